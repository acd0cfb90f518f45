package message

import (
	"encoding/binary"
	"errors"
)

// The binary form of a Summary. It begins with its version; then come the totals of
// addresses, parameters, parts and envelopes, so that reading makes one slice of
// each, the envelope, the parts breadth first (so that a part's children stand
// together), and the preview. Numbers are varints, strings have their length in
// front.
const summaryVersion = 1

var errSummary = errors.New("damaged message summary")

// AppendBinary appends the compact form that the index keeps.
func (s *Summary) AppendBinary(b []byte) []byte {
	w := summaryWriter{b: append(b, summaryVersion)}
	parts := breadthFirst(s.Structure)
	w.totals(s, parts)
	w.envelope(&s.Envelope)
	for _, p := range parts {
		w.part(p)
	}
	w.string(s.Preview)
	return w.b
}

// breadthFirst lists the tree's parts in the order of the binary form.
func breadthFirst(root *Part) []*Part {
	parts := []*Part{root}
	for i := 0; i < len(parts); i++ {
		for j := range parts[i].Parts {
			parts = append(parts, &parts[i].Parts[j])
		}
	}
	return parts
}

type summaryWriter struct{ b []byte }

func (w *summaryWriter) uint(n uint64)   { w.b = binary.AppendUvarint(w.b, n) }
func (w *summaryWriter) string(s string) { w.uint(uint64(len(s))); w.b = append(w.b, s...) }

func (w *summaryWriter) totals(s *Summary, parts []*Part) {
	addresses := s.Envelope.countAddresses()
	params, languages, envelopes := 0, 0, 0
	for _, p := range parts {
		params += len(p.Params) + len(p.DispParams)
		languages += len(p.Language)
		if p.Envelope != nil {
			envelopes++
			addresses += p.Envelope.countAddresses()
		}
	}
	for _, n := range []int{addresses, params, languages, len(parts), envelopes} {
		w.uint(uint64(n))
	}
}

func (e *Envelope) countAddresses() int {
	return len(e.From) + len(e.Sender) + len(e.ReplyTo) + len(e.To) + len(e.Cc) + len(e.Bcc)
}

func (w *summaryWriter) envelope(e *Envelope) {
	for _, t := range []Text{e.Date, e.Subject, e.InReplyTo, e.MessageID, e.References} {
		if !t.Present {
			w.uint(0)
			continue
		}
		w.uint(uint64(len(t.Value)) + 1)
		w.b = append(w.b, t.Value...)
	}
	for _, list := range [][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		w.uint(uint64(len(list)))
		for _, a := range list {
			w.b = append(w.b, byte(a.Kind))
			if a.Kind == GroupEnd {
				continue
			}
			w.string(a.Mailbox)
			if a.Kind == Mailbox {
				w.string(a.Host)
				w.string(a.Name)
				w.string(a.Route)
			}
		}
	}
}

func (w *summaryWriter) part(p *Part) {
	for _, s := range []string{p.Type, p.Subtype, p.Encoding, p.ID, p.Description, p.MD5, p.Disposition, p.Location} {
		w.string(s)
	}
	w.params(p.Params)
	w.params(p.DispParams)
	w.uint(uint64(len(p.Language)))
	for _, tag := range p.Language {
		w.string(tag)
	}
	w.uint(uint64(p.Start))
	w.uint(uint64(p.BodyStart - p.Start))
	w.uint(uint64(p.End - p.BodyStart))
	w.uint(uint64(p.Lines))
	w.uint(uint64(len(p.Parts)))
	if p.Envelope == nil {
		w.b = append(w.b, 0)
		return
	}
	w.b = append(w.b, 1)
	w.envelope(p.Envelope)
}

func (w *summaryWriter) params(params []Param) {
	w.uint(uint64(len(params)))
	for _, p := range params {
		w.string(p.Name)
		w.string(p.Value)
	}
}

// ParseSummary reads the form AppendBinary wrote. An error means that the form
// is of another version, or damaged: summarize the message again.
func ParseSummary(form string) (*Summary, error) { return new(SummaryReader).Summary(form) }

// SummaryReader reads many summaries, one after the other, into the same memory: what
// one costs is mostly its slices. All strings are parts of the forms.
type SummaryReader struct {
	summary Summary
	all     summaryParts
	r       formReader
}

// summaryParts are what the slices of a Summary are cut from, one slice of each type.
type summaryParts struct {
	addresses  []Address
	parameters []Param
	languages  []string
	parts      []Part
	envelopes  []Envelope
}

// Summary is ParseSummary; what it returns is good until the next call.
func (sr *SummaryReader) Summary(form string) (*Summary, error) {
	if err := sr.begin(form); err != nil {
		return nil, err
	}
	r, s := &sr.r, &sr.summary
	s.Structure = &sr.all.parts[0]
	r.parts = r.parts[1:]
	for i := range sr.all.parts {
		r.part(&sr.all.parts[i])
	}
	s.Preview = r.string()
	if r.bad || r.s != "" || len(r.addresses)+len(r.parameters)+len(r.languages)+len(r.parts)+len(r.envelopes) > 0 {
		return nil, errSummary
	}
	return s, nil
}

// Envelope reads no more than the Envelope, which stands in front. What it returns is good until
// the next call.
func (sr *SummaryReader) Envelope(form string) (*Envelope, error) {
	if err := sr.begin(form); err != nil {
		return nil, err
	}
	return &sr.summary.Envelope, nil
}

// begin reads the totals and the envelope.
func (sr *SummaryReader) begin(form string) error {
	if len(form) == 0 || form[0] != summaryVersion {
		return errSummary
	}
	sr.r = formReader{s: form[1:]}
	r, all := &sr.r, &sr.all
	all.addresses = room(all.addresses, r.count())
	all.parameters = room(all.parameters, r.count())
	all.languages = room(all.languages, r.count())
	all.parts = room(all.parts, r.count())
	all.envelopes = room(all.envelopes, r.count())
	if r.bad || len(all.parts) == 0 {
		return errSummary
	}
	r.summaryParts = *all
	sr.summary = Summary{}
	if r.envelope(&sr.summary.Envelope); r.bad {
		return errSummary
	}
	return nil
}

// room returns n zero values, in the memory of s where that is enough.
func room[T any](s []T, n int) []T {
	if n > cap(s) {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// formReader hands out pieces of the form and of summaryParts. After a mistake bad is set
// and everything is empty.
type formReader struct {
	s   string
	bad bool
	summaryParts
}

func (r *formReader) uint() uint64 {
	if len(r.s) > 0 && r.s[0] < 0x80 { // nearly always
		n := uint64(r.s[0])
		r.s = r.s[1:]
		return n
	}
	var n uint64
	for i := 0; i < len(r.s) && i < 9; i++ {
		n |= uint64(r.s[i]&0x7f) << (7 * i)
		if r.s[i] < 0x80 {
			r.s = r.s[i+1:]
			return n
		}
	}
	r.fail()
	return 0
}

func (r *formReader) fail() {
	r.bad = true
	r.s = ""
}

// count reads a number of things, each of which takes at least one octet of what is
// left: so a damaged form can't ask for more memory than its size allows.
func (r *formReader) count() int {
	n := r.uint()
	if n > uint64(len(r.s)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *formReader) text(n uint64) string {
	if n > uint64(len(r.s)) {
		r.fail()
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *formReader) string() string { return r.text(r.uint()) }

// cut takes n things off the front of what was made for all. An empty list is nil.
func cut[T any](r *formReader, from *[]T, n int) []T {
	if n == 0 {
		return nil
	}
	if n > len(*from) {
		r.fail()
		return nil
	}
	piece := (*from)[:n:n]
	*from = (*from)[n:]
	return piece
}

func (r *formReader) envelope(e *Envelope) {
	for _, t := range [...]*Text{&e.Date, &e.Subject, &e.InReplyTo, &e.MessageID, &e.References} {
		if n := r.uint(); n > 0 {
			t.Value, t.Present = r.text(n-1), true
		}
	}
	for _, list := range [...]*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		*list = cut(r, &r.addresses, r.count())
		for i := range *list {
			r.address(&(*list)[i])
		}
	}
}

func (r *formReader) address(a *Address) {
	kind := r.uint()
	if kind > uint64(GroupEnd) {
		r.fail()
	}
	a.Kind = AddressKind(kind)
	if a.Kind == GroupEnd {
		return
	}
	a.Mailbox = r.string()
	if a.Kind == Mailbox {
		a.Host, a.Name, a.Route = r.string(), r.string(), r.string()
	}
}

func (r *formReader) part(p *Part) {
	for _, s := range [...]*string{&p.Type, &p.Subtype, &p.Encoding, &p.ID, &p.Description, &p.MD5, &p.Disposition, &p.Location} {
		*s = r.string()
	}
	p.Params = r.params()
	p.DispParams = r.params()
	p.Language = cut(r, &r.languages, r.count())
	for i := range p.Language {
		p.Language[i] = r.string()
	}
	p.Start = r.offset(0)
	p.BodyStart = r.offset(p.Start)
	p.End = r.offset(p.BodyStart)
	p.Lines = r.offset(0)
	p.Parts = cut(r, &r.parts, r.count())
	if r.uint() == 0 {
		return
	}
	if envelope := cut(r, &r.envelopes, 1); envelope != nil {
		p.Envelope = &envelope[0]
		r.envelope(p.Envelope)
	}
}

// offset reads a distance from base. What would overflow is damage.
func (r *formReader) offset(base int64) int64 {
	n := r.uint()
	if n > 1<<48 || base > 1<<50 {
		r.fail()
		return 0
	}
	return base + int64(n)
}

func (r *formReader) params() []Param {
	params := cut(r, &r.parameters, r.count())
	for i := range params {
		params[i].Name, params[i].Value = r.string(), r.string()
	}
	return params
}
