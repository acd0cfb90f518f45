package imap

import (
	"context"
	"slices"

	"facteur/storage"
)

func (s *session) fetch(ctx context.Context, r *request) error {
	s.dec.SP()
	set := s.dec.Set()
	s.dec.SP()
	q := parseFetchRequest(s.dec)
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if err := s.checkFetch(r, &q); err != nil {
		return err
	}
	if err := s.refresh(ctx, r); err != nil {
		return err
	}
	spans, err := s.targets(r, set)
	if err != nil {
		return err
	}
	if q.partial != nil { // in front of CHANGEDSINCE, wherever it stands (RFC 9394 3.4)
		from, to := q.partial.Of(count(spans))
		if to-from > s.srv.cfg.MessageLimit { // RFC 9738 3.1: no part of a part
			return s.overMessageLimit()
		}
		spans = slice(spans, from, to)
	}
	if q.changedSince != nil {
		spans = s.view.changedSince(spans, *q.changedSince)
	}
	if q.vanished {
		known := set.Resolve(uint32(s.view.snap.UIDNext) - 1)
		gone, err := s.view.vanished(ctx, *q.changedSince, known)
		if err != nil {
			return err
		}
		s.writeVanished("* VANISHED (EARLIER) ", gone)
	}
	f := &fetcher{session: s, r: r, items: q.items}
	if err := f.run(ctx, s.limit(r, spans)); err != nil {
		return err
	}
	if f.gone && !r.cmd.uid { // RFC 2180 4.1.2, but with the OK of RFC 5530 3
		s.setCode(r, "EXPUNGEISSUED", "Some messages were expunged already.")
	}
	return nil
}

// checkFetch refuses what doesn't go together, and adds what the client gets unasked.
func (s *session) checkFetch(r *request, q *fetchRequest) error {
	switch {
	case q.vanished && (!r.cmd.uid || q.changedSince == nil || !s.qresync):
		// RFC 7162 3.2.6
		return bad("VANISHED needs UID FETCH, CHANGEDSINCE and QRESYNC")
	case q.partial != nil && !r.cmd.uid: // RFC 9394 3.3
		return bad("PARTIAL needs UID FETCH")
	}
	asks := func(attr fetchAttr) bool {
		return slices.ContainsFunc(q.items, func(i fetchItem) bool { return i.attr == attr })
	}
	q.items = withoutDoubles(q.items)
	if q.changedSince != nil && !asks(attrModSeq) { // RFC 7162 3.1.4.1
		q.items = append(q.items, fetchItem{attr: attrModSeq})
	}
	if asks(attrModSeq) {
		s.useCondstore()
	}
	if s.needsUID(r) && !asks(attrUID) {
		q.items = append([]fetchItem{{attr: attrUID}}, q.items...)
	}
	return nil
}

// withoutDoubles leaves out items that are asked for twice; sections may be.
func withoutDoubles(items []fetchItem) []fetchItem {
	var seen uint32
	return slices.DeleteFunc(items, func(i fetchItem) bool {
		if i.attr == attrSection || i.attr == attrBinary || i.attr == attrBinarySize {
			return false
		}
		double := seen&(1<<i.attr) != 0
		seen |= 1 << i.attr
		return double
	})
}

// changedSince keeps those of spans that have changed.
func (v *view) changedSince(spans []span, since storage.ModSeq) []span {
	var out []span
	k := 0
	for _, e := range v.snap.ChangedSince(since) {
		i, ok := v.position(e.UID)
		if !ok {
			continue
		}
		for k < len(spans) && spans[k].to <= i {
			k++
		}
		if k == len(spans) {
			break
		}
		if i < spans[k].from {
			continue
		}
		if n := len(out); n > 0 && out[n-1].to == i {
			out[n-1].to++
		} else {
			out = append(out, span{i, i + 1})
		}
	}
	return out
}

// slice returns the from-th up to, not including, the to-th message of spans.
func slice(spans []span, from, to int) []span {
	var out []span
	at := 0
	for _, s := range spans {
		n := s.to - s.from
		a, b := max(from-at, 0), min(to-at, n)
		if a < b {
			out = append(out, span{s.from + a, s.from + b})
		}
		at += n
	}
	return out
}
