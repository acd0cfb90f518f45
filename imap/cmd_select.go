package imap

import (
	"context"
	"slices"

	"facteur/imap/wire"
	"facteur/storage"
)

// qresync is SELECT's QRESYNC parameter: what the client remembers (RFC 7162 3.2.5).
type qresync struct {
	validity uint32
	since    storage.ModSeq
	known    wire.Ranges // nil: all
	matches  bool        // there was sequence match data
}

func (s *session) selectMailbox(ctx context.Context, r *request) error {
	return s.selectOrExamine(ctx, r, false)
}

func (s *session) examine(ctx context.Context, r *request) error {
	return s.selectOrExamine(ctx, r, true)
}

func (s *session) selectOrExamine(ctx context.Context, r *request, readOnly bool) error {
	s.dec.SP()
	name := s.dec.Mailbox()
	condstore, resync := s.selectParams()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if resync != nil && !s.qresync {
		return bad("QRESYNC is not enabled")
	}
	if resync != nil && resync.matches && s.uidOnly {
		return uidRequired()
	}
	if s.view != nil {
		s.leaveMailbox()
		s.out.printf("* OK [CLOSED] Previous mailbox closed.\r\n")
	}
	box, err := s.open(ctx, name)
	if err != nil {
		return err
	}
	if condstore {
		s.useCondstore()
	}
	snap := box.Snapshot()
	s.view = &view{box: box, snap: snap, uids: snap.UIDs(), readOnly: readOnly, full: snap.HighestModSeq}
	s.state = selected
	if err := s.describe(ctx); err != nil {
		return err
	}
	if resync != nil && resync.validity == snap.UIDValidity {
		if err := s.resync(ctx, resync); err != nil {
			return err
		}
	}
	r.okCode, r.okText = "READ-WRITE", "Select completed."
	if readOnly {
		r.okCode, r.okText = "READ-ONLY", "Examine completed."
	}
	return nil
}

// selectParams reads "(CONDSTORE)" or "(QRESYNC (...))".
func (s *session) selectParams() (condstore bool, resync *qresync) {
	d := s.dec
	if !d.Take(' ') || d.AtEnd() {
		return false, nil
	}
	d.List(func() {
		switch word := d.Keyword(); word {
		case "CONDSTORE":
			condstore = true
		case "QRESYNC":
			d.SP()
			resync = s.qresyncParam()
		default:
			d.Fail("unknown parameter %s", word)
		}
	})
	return condstore, resync
}

// qresyncParam reads "(UIDVALIDITY MODSEQ [KNOWN-UIDS] [(SEQS UIDS)])". The sequence match
// data would let us send less when our memory of expunges is too short; a client gets
// the same from the full list.
func (s *session) qresyncParam() *qresync {
	d, q := s.dec, new(qresync)
	d.Open()
	q.validity = d.Number()
	d.SP()
	q.since = storage.ModSeq(d.Number64())
	for d.Take(' ') {
		if d.Peek() != '(' {
			q.known = d.KnownSet()
			continue
		}
		q.matches = true
		d.Open()
		d.KnownSet()
		d.SP()
		d.KnownSet()
		if !d.Close() {
			d.Fail("expected a parenthesis")
		}
	}
	if !d.Close() {
		d.Fail("expected a parenthesis")
	}
	return q
}

// describe writes what SELECT tells of a mailbox (RFC 9051 6.3.2, RFC 3501 6.3.1).
func (s *session) describe(ctx context.Context) error {
	v, snap := s.view, s.view.snap
	s.writeFlagLists(snap.Keywords)
	s.out.printf("* %d EXISTS\r\n", snap.Len())
	if !s.rev2 {
		if err := v.claimRecent(ctx); err != nil {
			return err
		}
		s.out.printf("* %d RECENT\r\n", v.countRecent())
		if _, first, _, _ := snap.Counts(); first >= 0 && !s.uidOnly {
			s.out.printf("* OK [UNSEEN %d] First unseen.\r\n", first+1)
		}
	}
	s.out.printf("* OK [UIDVALIDITY %d] UIDs valid\r\n", snap.UIDValidity)
	s.out.printf("* OK [UIDNEXT %d] Predicted next UID\r\n", snap.UIDNext)
	s.out.printf("* OK [HIGHESTMODSEQ %d] Highest\r\n", snap.HighestModSeq)
	if id := v.box.Status().ID; id != "" {
		s.out.printf("* OK [MAILBOXID (%s)] Mailbox ID\r\n", id)
	}
	if s.rev2 {
		s.out.printf("* LIST () \"/\" %s\r\n", s.mailboxText(v.box.Name()))
	}
	return nil
}

// resync sends what has changed since the client was here last (RFC 7162 3.2.5.1).
func (s *session) resync(ctx context.Context, q *qresync) error {
	v := s.view
	gone, err := v.vanished(ctx, q.since, q.known)
	if err != nil {
		return err
	}
	s.writeVanished("* VANISHED (EARLIER) ", gone)
	for i, e := range v.snap.ChangedSince(q.since) {
		if q.known == nil || q.known.Contains(uint32(e.UID)) {
			s.writeFlags(&request{}, i, e)
		}
	}
	return nil
}

// vanished lists the UIDs of known (nil: all) that were expunged after since. Where the
// index doesn't reach back that far it lists all that are not there. Messages that the view has
// are left out: VANISHED without EARLIER is to take them out of the client's numbers (RFC 7162 3.2.10).
func (v *view) vanished(ctx context.Context, since storage.ModSeq, known wire.Ranges) (wire.Ranges, error) {
	if since >= v.snap.HighestModSeq {
		return nil, nil
	}
	uids, complete, err := v.box.Vanished(ctx, since)
	if err != nil {
		return nil, err
	}
	var gone wire.Ranges
	if complete {
		uids = slices.DeleteFunc(uids, func(uid storage.UID) bool { return hasUID(v.uids, uid) })
		gone = wire.RangesOf(uids)
	} else {
		gone = v.missing()
	}
	if known != nil {
		gone = gone.And(known)
	}
	return gone, nil
}

// missing lists the UIDs below UIDNEXT that no message of the view has.
func (v *view) missing() wire.Ranges {
	var out wire.Ranges
	next := uint32(1)
	for _, uid := range v.uids {
		if uint32(uid) > next {
			out = append(out, wire.Range{First: next, Last: uint32(uid) - 1})
		}
		next = uint32(uid) + 1
	}
	if end := uint32(v.snap.UIDNext); end > next {
		out = append(out, wire.Range{First: next, Last: end - 1})
	}
	return out
}

// leaveMailbox goes back to the authenticated state.
func (s *session) leaveMailbox() {
	if s.view == nil {
		return
	}
	s.view.box.Release()
	s.view, s.contexts, s.saved = nil, nil, nil
	s.state = authenticated
}

func (s *session) closeMailbox(ctx context.Context, r *request) error {
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if !s.view.readOnly {
		_, err := patiently(s.progress(r), func() ([]storage.UID, error) { return s.view.box.Expunge(ctx, nil) })
		if err != nil {
			return err
		}
	}
	s.leaveMailbox()
	return nil
}

func (s *session) unselect(_ context.Context, _ *request) error {
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	s.leaveMailbox()
	return nil
}
