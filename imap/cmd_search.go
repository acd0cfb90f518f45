package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// returnOptions is what RETURN asks of SEARCH and SORT (RFC 4731, 5182, 5267, 9394).
type returnOptions struct {
	given               bool // RETURN was there: the answer is ESEARCH
	min, max, all       bool
	count, save, update bool
	partial             *wire.Partial
	items               []fetchItem // of UPDATE (RFC 5465 7)
}

// wants reports whether anything is to be answered: SAVE alone is silent (RFC 5182 2.1).
func (o *returnOptions) wants() bool {
	return o.min || o.max || o.all || o.count || o.partial != nil || !o.save
}

// parseReturn reads "RETURN (...) ", if it is there.
func parseReturn(d *wire.Decoder) returnOptions {
	var o returnOptions
	if !d.TakeWord("RETURN") {
		return o
	}
	o.given = true
	option := ""
	d.List(func() {
		if option == "UPDATE" && d.Peek() == '(' {
			o.items = parseFetchItems(d)
			option = ""
			return
		}
		switch option = d.Keyword(); option {
		case "MIN":
			o.min = true
		case "MAX":
			o.max = true
		case "ALL":
			o.all = true
		case "COUNT":
			o.count = true
		case "SAVE":
			o.save = true
		case "CONTEXT": // a hint (RFC 5267 4.2)
		case "UPDATE":
			o.update = true
			if d.Peek() == '(' { // RFC 5465 has a space in front of it in its example, but not in its grammar
				o.items = parseFetchItems(d)
			}
		case "PARTIAL":
			d.SP()
			if o.partial != nil {
				d.Fail("more than one PARTIAL")
			}
			p := d.Partial()
			o.partial = &p
		default:
			d.Fail("unknown return option %s", option)
		}
	})
	d.SP()
	if o.all && o.partial != nil { // RFC 9394 3.1
		d.Fail("PARTIAL and ALL don't go together")
	}
	if !o.min && !o.max && !o.count && !o.save && o.partial == nil {
		o.all = true // RFC 4731 3.1: RETURN ()
	}
	return o
}

// searchProgram reads the keys, in the charset that "CHARSET name" in front of them says.
func (s *session) searchProgram() (*searchKey, error) {
	charset := ""
	if s.dec.TakeWord("CHARSET") {
		charset = s.dec.AString()
		s.dec.SP()
		if s.utf8 && s.dec.Err() == nil { // RFC 9755 3: strings are in UTF-8 then, without a label
			return nil, bad("CHARSET isn't possible once UTF8=ACCEPT is enabled")
		}
	}
	return s.searchKeys(charset)
}

// searchKeys reads the keys, in a charset; "" is UTF-8.
func (s *session) searchKeys(charset string) (*searchKey, error) {
	if s.utf8 && s.dec.Err() == nil && charset != "" && !strings.EqualFold(charset, "UTF-8") {
		// RFC 9755 3 and erratum 4029 of RFC 6855: SORT and THREAD, which must have a charset, have this one.
		return nil, bad("The charset is UTF-8 once UTF8=ACCEPT is enabled")
	}
	if s.dec.Err() == nil && charset != "" && !knownCharset(charset) {
		return nil, no("BADCHARSET ("+searchCharsets+")", "Unknown charset")
	}
	key := parseSearch(s.dec, charset)
	if s.dec.End(); s.dec.Err() != nil {
		return nil, s.dec.Err()
	}
	if s.uidOnly && key.usesNumbers() {
		return nil, uidRequired()
	}
	return key, nil
}

// usesNumbers reports whether message sequence numbers are in the program.
func (k *searchKey) usesNumbers() bool {
	return k.op == opSeqSet || slices.ContainsFunc(k.keys, func(k searchKey) bool { return k.usesNumbers() })
}

func (s *session) search(ctx context.Context, r *request) error {
	s.dec.SP()
	opts := parseReturn(s.dec)
	key, err := s.searchProgram()
	if err != nil {
		return s.notSaved(&opts, err)
	}
	if opts.update {
		if err := s.mayUpdate(r); err != nil {
			return err
		}
	}
	found, err := s.lookUp(ctx, r, key)
	if err != nil {
		return s.notSaved(&opts, err)
	}
	if opts.save {
		s.saved = toSave(s.view, &opts, found)
	}
	correlator := fmt.Sprintf("TAG %s", wire.AppendString(nil, r.tag, false))
	if opts.update {
		s.addContext(r, correlator, &opts, key, found)
	}
	if !opts.given && !s.rev2 {
		s.writeNumbers("SEARCH", r, key, found)
		return nil
	}
	if !opts.given { // RFC 9051 6.4.4: IMAP4rev2 knows no SEARCH response
		opts.all = true
	}
	if opts.wants() {
		a := &searchAnswer{session: s, correlator: correlator, uid: r.cmd.uid, modSeq: key.usesModSeq()}
		a.write(s.view, &opts, found)
	}
	return nil
}

// notSaved empties "$" when a search with SAVE is answered by NO; BAD leaves it (RFC 5182 2.1).
func (s *session) notSaved(o *returnOptions, err error) error {
	if r, _, fatal := failure(err); o.save && !fatal && r.status == "NO" {
		s.saved = nil
	}
	return err
}

// find runs a search over the selected mailbox and returns the positions of what it finds.
func (s *session) find(ctx context.Context, r *request, key *searchKey) ([]int, error) {
	p := s.progress(r)
	return patiently(p, func() ([]int, error) { return s.searcher(s.view, p).run(ctx, key) })
}

func (s *session) searcher(v *view, p *progress) *search {
	saved := s.saved
	if v != s.view { // "$" is of the selected mailbox
		saved = nil
	}
	return &search{
		box:  &countedBox{Mailbox: v.box, progress: p},
		uids: v.uids, entry: v.entry, entries: v.entries([]span{{0, len(v.uids)}}), recent: v.isRecent,
		saved: saved, now: s.srv.cfg.Now(),
	}
}

// toSave is what SAVE keeps: all, or what MIN, MAX and PARTIAL alone answer (RFC 5182 2.4, RFC
// 9394 3.2).
func toSave(v *view, o *returnOptions, found []int) wire.Ranges {
	keep := found
	if !o.all && !o.count && (o.min || o.max || o.partial != nil) && len(found) > 0 {
		keep = nil
		if o.partial != nil {
			from, to := o.partial.Of(len(found))
			keep = append(keep, found[from:to]...)
		}
		if o.min {
			keep = append(keep, found[0])
		}
		if o.max {
			keep = append(keep, found[len(found)-1])
		}
	}
	if !slices.IsSorted(keep) { // found is in SORT's order, or MIN stands behind PARTIAL
		keep = slices.Sorted(slices.Values(keep))
	}
	var set wire.Ranges
	for _, i := range keep {
		set = set.Add(uint32(v.uids[i]))
	}
	return set
}

// writeNumbers writes the SEARCH response of RFC 3501 7.2.5, and SORT's.
func (s *session) writeNumbers(name string, r *request, key *searchKey, found []int) {
	s.out.printf("* %s", name)
	for _, i := range found {
		s.out.buf = wire.AppendNumber(append(s.out.buf, ' '), s.view.number(i, r.cmd.uid))
		s.out.spill()
	}
	if key.usesModSeq() && len(found) > 0 { // RFC 7162 3.1.5, 3.1.6
		s.out.printf(" (MODSEQ %d)", s.view.highest(found))
	}
	s.out.printf("\r\n")
}

// number is a message as a command speaks of it: by its UID or its sequence number.
func (v *view) number(i int, uid bool) uint32 {
	if uid {
		return uint32(v.uids[i])
	}
	return uint32(i + 1)
}

// highest is the highest ModSeq of some messages.
func (v *view) highest(positions []int) storage.ModSeq {
	var most storage.ModSeq
	for _, i := range positions {
		if e, ok := v.entry(i); ok {
			most = max(most, e.ModSeq)
		}
	}
	return most
}

// searchAnswer writes ESEARCH responses (RFC 9051 7.3.4).
type searchAnswer struct {
	*session
	correlator string // TAG "a1", and more for MULTISEARCH
	uid        bool
	modSeq     bool
	sorted     bool // found is in the order of SORT: RFC 5267 3
}

func (a *searchAnswer) start() {
	a.out.printf("* ESEARCH (%s)", a.correlator)
	if a.uid {
		a.out.printf(" UID")
	}
}

// write answers with what RETURN asked for of found.
func (a *searchAnswer) write(v *view, o *returnOptions, found []int) {
	a.start()
	shown := found
	if len(found) > 0 {
		first, last := found[0], found[len(found)-1]
		if o.min {
			a.out.printf(" MIN %d", v.number(first, a.uid))
		}
		if o.max {
			a.out.printf(" MAX %d", v.number(last, a.uid))
		}
		if o.all {
			a.out.printf(" ALL ")
			a.writeSet(v, found)
		} else if o.partial == nil && !o.count {
			// RFC 4731 3.2: the MODSEQ is the higher one of the one or two messages returned.
			switch shown = []int{first, last}; {
			case !o.max:
				shown = shown[:1]
			case !o.min:
				shown = shown[1:]
			}
		}
	}
	if o.count {
		a.out.printf(" COUNT %d", len(found))
	}
	if o.partial != nil {
		a.writePartial(v, o.partial, found)
	}
	if a.modSeq && len(found) > 0 {
		a.out.printf(" MODSEQ %d", v.highest(shown))
	}
	a.out.printf("\r\n")
}

// writePartial: RFC 9394 3.1.
func (a *searchAnswer) writePartial(v *view, p *wire.Partial, found []int) {
	a.out.printf(" PARTIAL (%s ", wire.AppendPartial(nil, *p))
	if from, to := p.Of(len(found)); from < to {
		a.writeSet(v, found[from:to])
	} else {
		a.out.printf("NIL")
	}
	a.out.printf(")")
}

// writeSet writes messages, of which there are some, as a set. That of SORT keeps its order: only
// what ascends one by one becomes a range.
func (a *searchAnswer) writeSet(v *view, positions []int) {
	number := func(k int) uint32 { return v.number(positions[k], a.uid) }
	for k := 0; k < len(positions); {
		if k > 0 {
			a.out.buf = append(a.out.buf, ',')
		}
		r := wire.Range{First: number(k), Last: number(k)}
		for k++; k < len(positions) && (number(k) == r.Last+1 || !a.sorted && number(k) <= r.Last); k++ {
			r.Last = number(k)
		}
		a.out.buf = wire.AppendRanges(a.out.buf, wire.Ranges{r})
		a.out.spill()
	}
}
