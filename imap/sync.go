package imap

import (
	"context"
	"slices"
	"strconv"

	"facteur/imap/wire"
	"facteur/storage"
)

// sync tells the client what has changed in the selected mailbox, as far as the
// command's line in the table allows it.
func (s *session) sync(ctx context.Context, r *request) error {
	if s.view == nil || r.cmd.sync == syncNone {
		return nil
	}
	if err := s.report(ctx, r, r.cmd.sync == syncAll && !r.numbers); err != nil {
		return err
	}
	s.reportHeld()
	return nil
}

// reportHeld lowers HIGHESTMODSEQ while expunges are held back (RFC 7162 3.2 and 6): a client that takes the highest MODSEQ
// it has seen for where it stands, and then loses its connection, would never hear of them.
func (s *session) reportHeld() {
	if v := s.view; v != nil && s.qresync && v.held() {
		v.lowered = true
		s.out.printf("* OK [HIGHESTMODSEQ %d] Expunges are held back\r\n", v.full)
	}
}

// refresh brings the view up to date in front of a command that looks at the mailbox.
// Expunges wait for its end: the numbers in its arguments are the client's.
func (s *session) refresh(ctx context.Context, r *request) error {
	return s.report(ctx, r, false)
}

// report writes EXPUNGE or VANISHED, then EXISTS and RECENT, then FETCH. What r has
// reported itself is left out.
func (s *session) report(ctx context.Context, r *request, expunges bool) error {
	v := s.view
	if v.box.Gone() {
		// RFC 2180 3.3 leaves the choice; a mailbox whose files are no more can't be served.
		s.out.printf("* BYE [UNAVAILABLE] Selected mailbox has been deleted\r\n")
		return errBye
	}
	snap := v.box.Snapshot()
	before, known := v.snap, v.lastUID()
	if snap == before && !expunges {
		return nil
	}
	gone := v.gone(snap)
	if expunges && len(gone) > 0 {
		s.reportGone(gone)
		gone = nil
	}
	had := len(v.uids)
	s.reportFlagsOf(snap)
	if err := s.reportNew(ctx, snap, len(gone) == 0); err != nil {
		return err
	}
	s.reportChanges(r, before, known)
	s.reportFull()
	if err := s.contextsChanged(ctx, had); err != nil || s.notifying == nil {
		return err
	}
	return s.reportNewMessages(ctx, r, had)
}

// reportFull notes that the client has been told everything, and tells one that was held at a lower ModSeq.
func (s *session) reportFull() {
	v := s.view
	if v.held() {
		return
	}
	if v.full = v.snap.HighestModSeq; v.lowered {
		v.lowered = false
		s.out.printf("* OK [HIGHESTMODSEQ %d] Highest\r\n", v.full)
	}
}

// reportGone writes the EXPUNGE responses, or VANISHED for QRESYNC (RFC 7162 3.2.10) and
// UIDONLY (RFC 9586 3).
func (s *session) reportGone(gone []int) {
	v := s.view
	recent := v.countRecent()
	s.contextsGone(gone)
	if s.qresync || s.uidOnly {
		var set wire.Ranges
		for _, i := range gone {
			set = set.Add(uint32(v.uids[i]))
		}
		s.writeVanished("* VANISHED ", set)
	} else {
		s.out.hold()
		// From the last to the first: then no number changes on the way.
		for k := len(gone) - 1; k >= 0; k-- {
			s.out.buf = append(s.out.buf, "* "...)
			s.out.buf = strconv.AppendInt(s.out.buf, int64(gone[k]+1), 10)
			s.out.buf = append(s.out.buf, " EXPUNGE\r\n"...)
			s.out.spill()
		}
	}
	kept := make([]storage.UID, 0, len(v.uids)-len(gone))
	k := 0
	for i, uid := range v.uids {
		if k < len(gone) && gone[k] == i {
			k++
			continue
		}
		kept = append(kept, uid)
	}
	v.uids = kept
	if now := v.countRecent(); now != recent && !s.rev2 {
		s.out.printf("* %d RECENT\r\n", now)
	}
}

// writeVanished writes a set of UIDs on as many lines as it takes to keep each short.
func (s *session) writeVanished(start string, set wire.Ranges) {
	const perLine = 500
	for len(set) > 0 {
		n := min(len(set), perLine)
		s.out.hold()
		s.out.buf = append(s.out.buf, start...)
		s.out.buf = wire.AppendRanges(s.out.buf, set[:n])
		s.out.buf = append(s.out.buf, "\r\n"...)
		s.out.spill()
		set = set[n:]
	}
}

// reportNew takes snap over into the view and writes EXISTS and RECENT when messages
// have come. Where nothing is held back the view shares the snapshot's UIDs.
func (s *session) reportNew(ctx context.Context, snap *storage.Snapshot, shared bool) error {
	v := s.view
	had, last := len(v.uids), v.lastUID()
	now := snap.UIDs()
	if shared {
		v.uids = now
	} else {
		i, ok := snap.Find(last)
		if ok {
			i++
		}
		if i < len(now) {
			v.uids = append(v.uids[:had:had], now[i:]...)
		}
	}
	v.snap = snap
	if len(v.uids) == had {
		return nil
	}
	s.out.printf("* %d EXISTS\r\n", len(v.uids))
	if s.rev2 { // RFC 9051 has no RECENT
		return nil
	}
	if err := v.claimRecent(ctx); err != nil {
		return err
	}
	s.out.printf("* %d RECENT\r\n", v.countRecent())
	return nil
}

// reportChanges writes FETCH for messages that the client knew (up to the UID known) and
// whose flags have changed since before. r.own are changes that it has been told of,
// ascending.
func (s *session) reportChanges(r *request, before *storage.Snapshot, known storage.UID) {
	v := s.view
	if v.snap.HighestModSeq == before.HighestModSeq {
		return
	}
	own := r.own
	for _, e := range v.snap.ChangedSince(before.HighestModSeq) {
		if e.UID > known {
			break // new: EXISTS has told of it, and so of all that follow
		}
		for len(own) > 0 && own[0].UID < e.UID {
			own = own[1:]
		}
		if len(own) > 0 && own[0].UID == e.UID && own[0].ModSeq == e.ModSeq {
			continue
		}
		if seq, ok := v.position(e.UID); ok && s.wantsFlagChanges() {
			s.writeFlags(r, seq, e)
		}
	}
}

// reportFlagsOf writes FLAGS and PERMANENTFLAGS when the mailbox has keywords that the
// client hasn't heard of.
func (s *session) reportFlagsOf(snap *storage.Snapshot) {
	if len(snap.Keywords) != s.view.keywords {
		s.writeFlagLists(snap.Keywords)
	}
}

// writeFlags writes the FETCH response of a change.
func (s *session) writeFlags(r *request, seq int, e storage.Entry) {
	s.out.hold()
	b := s.startFetch(s.out.buf, r, seq, e.UID)
	b = append(b, "FLAGS "...)
	b = s.appendFlags(b, e)
	if s.condstore { // RFC 7162 3.1
		b = appendModSeq(b, e.ModSeq)
	}
	s.out.buf = append(b, ")\r\n"...)
	s.out.spill()
}

// openFetch appends the start of a FETCH response: UIDFETCH once UIDONLY is enabled (RFC 9586
// 3).
func (s *session) openFetch(b []byte, seq int, uid storage.UID) []byte {
	b = append(b, "* "...)
	if s.uidOnly {
		b = strconv.AppendUint(b, uint64(uid), 10)
		return append(b, " UIDFETCH ("...)
	}
	b = strconv.AppendInt(b, int64(seq+1), 10)
	return append(b, " FETCH ("...)
}

// needsUID reports whether FETCH responses have to hold the UID: under UID commands (RFC
// 9051 6.4.9), since we have QRESYNC once CONDSTORE is on (RFC 7162 3.2.4), and with NOTIFY's
// FlagChange (RFC 5465 5.1).
func (s *session) needsUID(r *request) bool {
	if s.uidOnly {
		return false
	}
	group, _ := s.notifying.selected()
	return s.condstore || r.cmd != nil && r.cmd.uid || group.events.has(flagChange)
}

// unasked is what a FETCH response that no command asks for holds besides items: UID and MODSEQ with CONDSTORE
// (RFC 7162 3.1, 3.2.4).
func (s *session) unasked(items []fetchItem) []fetchItem {
	asks := func(attr fetchAttr) bool {
		return slices.ContainsFunc(items, func(i fetchItem) bool { return i.attr == attr })
	}
	if s.condstore && !s.uidOnly && !asks(attrUID) {
		items = append([]fetchItem{{attr: attrUID}}, items...)
	}
	if s.condstore && !asks(attrModSeq) {
		items = append(items[:len(items):len(items)], fetchItem{attr: attrModSeq})
	}
	return items
}

// startFetch is openFetch with the UID where it is needed.
func (s *session) startFetch(b []byte, r *request, seq int, uid storage.UID) []byte {
	b = s.openFetch(b, seq, uid)
	if s.needsUID(r) {
		b = append(b, "UID "...)
		b = strconv.AppendUint(b, uint64(uid), 10)
		b = append(b, ' ')
	}
	return b
}

// appendModSeq appends MODSEQ, behind a space unless it comes first.
func appendModSeq(b []byte, m storage.ModSeq) []byte {
	if last := b[len(b)-1]; last != '(' && last != ' ' {
		b = append(b, ' ')
	}
	b = append(b, "MODSEQ ("...)
	b = strconv.AppendUint(b, uint64(m), 10)
	return append(b, ')')
}

func decimal[T ~uint32 | ~uint64 | ~int64](n T) string { return strconv.FormatUint(uint64(n), 10) }
