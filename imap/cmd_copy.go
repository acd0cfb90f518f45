package imap

import (
	"context"
	"fmt"

	"facteur/imap/wire"
	"facteur/storage"
)

func (s *session) copy(ctx context.Context, r *request) error {
	pairs, to, err := s.transfer(ctx, r, (*storage.Mailbox).Copy)
	if err != nil {
		return err
	}
	if len(pairs) == 0 {
		r.okText = "No messages found."
		return nil
	}
	r.okCode = copyUID(pairs, to)
	return nil
}

// move is RFC 6851: COPYUID comes in an untagged OK, so that clients have it before the
// EXPUNGE or VANISHED responses that sync writes.
func (s *session) move(ctx context.Context, r *request) error {
	pairs, to, err := s.transfer(ctx, r, (*storage.Mailbox).Move)
	if err != nil {
		return err
	}
	if len(pairs) == 0 {
		r.okText = "No messages found."
		return nil
	}
	s.out.printf("* OK [%s] Moved UIDs.\r\n", copyUID(pairs, to))
	r.expunged(s)
	return nil
}

// transfer reads the arguments of COPY or MOVE and does it. validity is the target's.
func (s *session) transfer(ctx context.Context, r *request,
	do func(*storage.Mailbox, context.Context, []storage.UID, *storage.Mailbox) ([]storage.UIDPair, error),
) (pairs []storage.UIDPair, validity uint32, err error) {
	s.dec.SP()
	set := s.dec.Set()
	s.dec.SP()
	name := s.dec.Mailbox()
	if s.dec.End(); s.dec.Err() != nil {
		return nil, 0, s.dec.Err()
	}
	spans, err := s.targets(r, set)
	if err != nil {
		return nil, 0, err
	}
	if count(spans) > s.srv.cfg.MessageLimit {
		return nil, 0, s.overMessageLimit()
	}
	to, err := s.open(ctx, name)
	if err != nil {
		return nil, 0, tryCreate(err)
	}
	defer to.Release()
	if len(spans) == 0 {
		return nil, 0, nil
	}
	pairs, err = patiently(s.progress(r), func() ([]storage.UIDPair, error) {
		return do(s.view.box, ctx, s.view.uidsOf(spans), to)
	})
	made := make([]storage.UID, len(pairs))
	for i, p := range pairs {
		made[i] = p.To
	}
	r.hasMade(s, to, made...)
	return pairs, to.Snapshot().UIDValidity, err
}

// copyUID is the response code of RFC 4315 3.
func copyUID(pairs []storage.UIDPair, validity uint32) string {
	var from, to wire.Ranges
	for _, p := range pairs {
		from, to = from.Add(uint32(p.From)), to.Add(uint32(p.To))
	}
	return fmt.Sprintf("COPYUID %d %s %s", validity, wire.AppendRanges(nil, from), wire.AppendRanges(nil, to))
}

// expunge is EXPUNGE and, with a set, UID EXPUNGE (RFC 4315 2.1).
func (s *session) expunge(ctx context.Context, r *request) error {
	var uids []storage.UID
	if r.cmd.uid {
		s.dec.SP()
		set := s.dec.Set()
		if s.dec.Err() == nil {
			spans, err := s.targets(r, set)
			if err != nil {
				return err
			}
			uids = append([]storage.UID{}, s.view.uidsOf(spans)...) // not nil
		}
	}
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	gone, err := patiently(s.progress(r), func() ([]storage.UID, error) { return s.view.box.Expunge(ctx, uids) })
	if err != nil {
		return err
	}
	if len(gone) > 0 {
		r.expunged(s)
	}
	return nil
}

// expunged has the final OK tell the new HIGHESTMODSEQ (RFC 7162 3.2.5.2, 3.2.7).
func (r *request) expunged(s *session) {
	if s.qresync && r.okCode == "" {
		r.okCode = fmt.Sprintf("HIGHESTMODSEQ %d", s.view.box.Snapshot().HighestModSeq)
	}
}

// replace is RFC 8508: the new message is stored and the old one removed in one step.
func (s *session) replace(ctx context.Context, r *request) error {
	s.dec.SP()
	set := wire.Set{Ranges: []wire.Range{{}}}
	if !s.dec.Take('*') {
		n := s.dec.Number()
		set.Ranges[0] = wire.Range{First: n, Last: n}
		if n == 0 {
			s.dec.Fail("0 is not a message number")
		}
	}
	s.dec.SP()
	name := s.dec.Mailbox()
	s.dec.SP()
	if s.dec.Err() != nil {
		return s.dec.Err()
	}
	spans, err := s.targets(r, set)
	if err != nil {
		return err
	}
	if len(spans) == 0 {
		return no("NONEXISTENT", "No such message")
	}
	to, err := s.open(ctx, name)
	if err != nil {
		return tryCreate(err)
	}
	defer to.Release()
	old, _ := s.view.entry(spans[0].from)
	up := &upload{s: s, freed: old.Size}
	defer up.discard()
	if err := up.message(ctx); err != nil {
		return err
	}
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	uid, err := s.view.box.Replace(ctx, s.view.uids[spans[0].from], to, up.msgs[0])
	if err != nil {
		return err
	}
	r.hasMade(s, to, uid)
	// RFC 8508 3.4: APPENDUID in front of the EXPUNGE.
	s.out.printf("* OK [APPENDUID %d %d] Replacement Message ready\r\n", to.Snapshot().UIDValidity, uid)
	r.expunged(s)
	return nil
}
