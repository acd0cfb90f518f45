package imap

import (
	"context"
	"fmt"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// storeRequest is STORE's arguments behind the set.
type storeRequest struct {
	unchangedSince *storage.ModSeq // RFC 7162 3.1.3
	op             storage.FlagOp
	silent         bool
	flags          []string
}

func (s *session) store(ctx context.Context, r *request) error {
	s.dec.SP()
	set := s.dec.Set()
	s.dec.SP()
	q := s.storeArguments()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	flags, err := parseFlags(q.flags)
	if err != nil {
		return err
	}
	if q.unchangedSince != nil {
		s.useCondstore()
	}
	spans, err := s.targets(r, set)
	if err != nil {
		return err
	}
	spans = s.limit(r, spans)
	v := s.view
	result, err := patiently(s.progress(r), func() (storage.StoreResult, error) {
		return v.box.Store(ctx, v.uidsOf(spans), q.op, flags, q.unchangedSince)
	})
	if err != nil {
		return err
	}
	s.answerStore(r, q, spans, result)
	if len(result.Modified) > 0 {
		s.setCode(r, "MODIFIED "+s.numbers(r, result.Modified), "Conditional STORE failed.")
	}
	return nil
}

// storeArguments reads "[(UNCHANGEDSINCE n) SP] [+-]FLAGS[.SILENT] SP flags".
func (s *session) storeArguments() storeRequest {
	d := s.dec
	var q storeRequest
	if d.Peek() == '(' {
		d.List(func() {
			if word := d.Keyword(); word != "UNCHANGEDSINCE" {
				d.Fail("unknown modifier %s", word)
			}
			d.SP()
			since := storage.ModSeq(d.Number64())
			q.unchangedSince = &since
		})
		d.SP()
	}
	switch {
	case d.Take('+'):
		q.op = storage.FlagsAdd
	case d.Take('-'):
		q.op = storage.FlagsRemove
	}
	switch word := d.Keyword(); word {
	case "FLAGS":
	case "FLAGS.SILENT":
		q.silent = true
	default:
		d.Fail("unknown data item %s", word)
	}
	d.SP()
	if d.Peek() == '(' {
		q.flags = d.Flags()
		return q
	}
	for {
		q.flags = append(q.flags, d.Flag())
		if d.Err() != nil || !d.Take(' ') || d.AtEnd() {
			return q
		}
	}
}

// answerStore writes a FETCH for every message STORE was about, changed or not (RFC 9051
// 6.4.6); with .SILENT only the new MODSEQ where CONDSTORE wants it (RFC 7162 3.1.3). What
// it has told the sync at the command's end leaves out.
func (s *session) answerStore(r *request, q storeRequest, spans []span, result storage.StoreResult) {
	v, now := s.view, s.view.box.Snapshot()
	if s.reportFlagsOf(now); q.silent {
		if r.own = result.Changed; s.condstore {
			s.answerSilent(r, q, spans, result.Changed, now)
		}
		return
	}
	modified := wire.RangesOf(result.Modified)
	gone := false
	r.own = make([]storage.Entry, 0, count(spans))
	for i := range all(spans) {
		at, ok := now.Find(v.uids[i])
		if !ok {
			gone = true
			continue
		}
		e := now.At(at)
		if len(modified) > 0 && modified.Contains(uint32(e.UID)) {
			continue // somebody else's change: the sync tells of it, if it is news
		}
		r.own = append(r.own, e)
		s.writeFlags(r, i, e)
	}
	if gone && !r.cmd.uid { // RFC 5530 3; the tagged NO of RFC 2180 4.2.3 is a MAY
		s.setCode(r, "EXPUNGEISSUED", "Some messages were expunged already.")
	}
}

// answerSilent tells the MODSEQ of what STORE has changed, and of what has passed UNCHANGEDSINCE and was so already
// (RFC 7162 3.1.3). Of what others have changed the sync tells.
func (s *session) answerSilent(r *request, q storeRequest, spans []span, changed []storage.Entry, now *storage.Snapshot) {
	for i := range all(spans) {
		uid := s.view.uids[i]
		for len(changed) > 0 && changed[0].UID < uid {
			changed = changed[1:]
		}
		if len(changed) > 0 && changed[0].UID == uid {
			s.writeModSeq(r, i, changed[0])
		} else if at, ok := now.Find(uid); ok && q.unchangedSince != nil && now.At(at).ModSeq <= *q.unchangedSince {
			s.writeModSeq(r, i, now.At(at))
		}
	}
}

func (s *session) writeModSeq(r *request, seq int, e storage.Entry) {
	s.out.hold()
	b := s.startFetch(s.out.buf, r, seq, e.UID)
	b = appendModSeq(b, e.ModSeq)
	s.out.buf = append(b, ")\r\n"...)
	s.out.spill()
}

// targets turns a command's set into positions of the view.
func (s *session) targets(r *request, set wire.Set) ([]span, error) {
	v := s.view
	switch {
	case set.Saved:
		return v.byUID(s.saved), nil
	case r.cmd.uid:
		return v.byUID(set.Resolve(uint32(v.lastUID()))), nil
	}
	if len(v.uids) == 0 && set.HasStar() {
		return nil, nil
	}
	spans, ok := v.bySeq(set.Resolve(uint32(len(v.uids))))
	if !ok {
		return nil, bad("Invalid message set")
	}
	return spans, nil
}

// limit cuts what one command may touch to MESSAGELIMIT messages, those with the highest
// UIDs, and has the final OK say where it stopped (RFC 9738 3.1).
func (s *session) limit(r *request, spans []span) []span {
	most := s.srv.cfg.MessageLimit
	if count(spans) <= most {
		return spans
	}
	left := most
	for k := len(spans) - 1; k >= 0; k-- {
		if n := spans[k].to - spans[k].from; n >= left {
			spans[k].from = spans[k].to - left
			spans = spans[k:]
			break
		}
		left -= spans[k].to - spans[k].from
	}
	r.okCode = fmt.Sprintf("MESSAGELIMIT %d %d", most, s.view.uids[spans[0].from])
	return spans
}

// setCode gives the final OK a code. MESSAGELIMIT, when that is there already, goes in front of it in an
// untagged NO (RFC 9738 3.1).
func (s *session) setCode(r *request, code, text string) {
	if strings.HasPrefix(r.okCode, "MESSAGELIMIT ") {
		s.out.printf("* NO [%s] Not all messages were processed\r\n", r.okCode)
	}
	r.okCode, r.okText = code, text
}

// overMessageLimit refuses what is done in whole or not at all (RFC 9738 3.1).
func (s *session) overMessageLimit() error {
	return no(fmt.Sprintf("MESSAGELIMIT %d", s.srv.cfg.MessageLimit), "Too many messages in one command")
}

// numbers writes UIDs as a set of what the command speaks of: UIDs or sequence numbers.
func (s *session) numbers(r *request, uids []storage.UID) string {
	if r.cmd.uid {
		return string(wire.AppendRanges(nil, wire.RangesOf(uids)))
	}
	var set wire.Ranges
	for _, uid := range uids {
		if i, ok := s.view.position(uid); ok {
			set = set.Add(uint32(i + 1))
		}
	}
	return string(wire.AppendRanges(nil, set))
}
