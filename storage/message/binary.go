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
func ParseSummary(b []byte) (*Summary, error) {
	if len(b) == 0 || b[0] != summaryVersion {
		return nil, errSummary
	}
	r := summaryReader{s: string(b[1:])}
	addresses, params, languages, parts, envelopes := r.count(), r.count(), r.count(), r.count(), r.count()
	if r.bad || parts == 0 {
		return nil, errSummary
	}
	r.addresses = make([]Address, addresses)
	r.parameters = make([]Param, params)
	if languages > 0 {
		r.languages = make([]string, languages)
	}
	r.parts = make([]Part, parts)
	if envelopes > 0 {
		r.envelopes = make([]Envelope, envelopes)
	}
	s := &Summary{Structure: &r.parts[0]}
	r.envelope(&s.Envelope)
	all := r.parts
	r.parts = r.parts[1:]
	for i := range all {
		r.part(&all[i])
	}
	s.Preview = r.string()
	if r.bad || r.s != "" || len(r.addresses)+len(r.parameters)+len(r.languages)+len(r.parts)+len(r.envelopes) > 0 {
		return nil, errSummary
	}
	return s, nil
}

// summaryReader hands out pieces of one string and of one slice of each type.
// After a mistake bad is set and everything is empty.
type summaryReader struct {
	s   string
	bad bool

	addresses  []Address
	parameters []Param
	languages  []string
	parts      []Part
	envelopes  []Envelope
}

func (r *summaryReader) uint() uint64 {
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

func (r *summaryReader) fail() {
	r.bad = true
	r.s = ""
}

// count reads a number of things, each of which takes at least one octet of what is
// left: so a damaged form can't ask for more memory than its size allows.
func (r *summaryReader) count() int {
	n := r.uint()
	if n > uint64(len(r.s)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *summaryReader) text(n uint64) string {
	if n > uint64(len(r.s)) {
		r.fail()
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *summaryReader) string() string { return r.text(r.uint()) }

// cut takes n things off the front of what was made for all. An empty list is nil.
func cut[T any](r *summaryReader, from *[]T, n int) []T {
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

func (r *summaryReader) envelope(e *Envelope) {
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

func (r *summaryReader) address(a *Address) {
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

func (r *summaryReader) part(p *Part) {
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
func (r *summaryReader) offset(base int64) int64 {
	n := r.uint()
	if n > 1<<48 || base > 1<<50 {
		r.fail()
		return 0
	}
	return base + int64(n)
}

func (r *summaryReader) params() []Param {
	params := cut(r, &r.parameters, r.count())
	for i := range params {
		params[i].Name, params[i].Value = r.string(), r.string()
	}
	return params
}
