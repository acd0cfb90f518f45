package imap

import (
	"context"
	"iter"
	"slices"
	"sort"

	"facteur/imap/wire"
	"facteur/storage"
)

// view is the selected mailbox as this client knows it. Two things are kept apart:
//
//   - uids is what the client's sequence numbers mean: position i is message i+1. A
//     message leaves it only when EXPUNGE or VANISHED has been sent. As long as nothing
//     is held back it is the snapshot's own slice, shared with everybody.
//   - snap is the mailbox as it was when the client was last told of changes: all up to
//     snap.HighestModSeq has been sent, expunges excepted.
type view struct {
	box      *storage.Mailbox
	snap     *storage.Snapshot
	uids     []storage.UID
	readOnly bool
	full     storage.ModSeq // up to it the client has been told of expunges too
	lowered  bool           // it has been told so, while expunges were held back
	recent   wire.Ranges    // UIDs this session has claimed as \Recent
	keywords int            // how many of snap.Keywords FLAGS has told of
}

// held reports whether expunges are held back: uids has all that snap has, and more.
func (v *view) held() bool { return len(v.uids) > v.snap.Len() }

// span is the messages at positions from up to, not including, to.
type span struct{ from, to int }

// entry returns the message at a position of the view; ok is false when it has been
// expunged and the client doesn't know yet.
func (v *view) entry(i int) (e storage.Entry, ok bool) {
	if i < v.snap.Len() {
		if e := v.snap.At(i); e.UID == v.uids[i] {
			return e, true
		}
	}
	at, ok := v.snap.Find(v.uids[i])
	if !ok {
		return storage.Entry{UID: v.uids[i]}, false
	}
	return v.snap.At(at), true
}

// entries goes through the messages of spans that are there still, with their positions.
func (v *view) entries(spans []span) iter.Seq2[int, storage.Entry] {
	return func(yield func(int, storage.Entry) bool) {
		for _, s := range spans {
			if !v.span(s, yield) {
				return
			}
		}
	}
}

// span is entries of one span. Most often the view is the snapshot, which can be walked
// without looking anything up.
func (v *view) span(s span, yield func(int, storage.Entry) bool) bool {
	i := s.from
	for at, e := range v.snap.All(s.from) {
		if i == s.to || at != i || e.UID != v.uids[i] {
			break
		}
		if !yield(i, e) {
			return false
		}
		i++
	}
	for ; i < s.to; i++ {
		if e, ok := v.entry(i); ok && !yield(i, e) {
			return false
		}
	}
	return true
}

// position finds the view's position of a UID.
func (v *view) position(uid storage.UID) (int, bool) {
	return slices.BinarySearch(v.uids, uid)
}

// lastUID is the highest UID of the view, 0 when it is empty.
func (v *view) lastUID() storage.UID {
	if len(v.uids) == 0 {
		return 0
	}
	return v.uids[len(v.uids)-1]
}

// bySeq turns message numbers into spans. ok is false when one is beyond the last message.
func (v *view) bySeq(set wire.Ranges) (spans []span, ok bool) {
	for _, r := range set {
		if int64(r.Last) > int64(len(v.uids)) {
			return nil, false
		}
		spans = append(spans, span{int(r.First) - 1, int(r.Last)})
	}
	return spans, true
}

// byUID turns UIDs into spans; those that don't exist are passed over.
func (v *view) byUID(set wire.Ranges) []span {
	var spans []span
	for _, r := range set {
		from := sort.Search(len(v.uids), func(i int) bool { return uint32(v.uids[i]) >= r.First })
		to := from + sort.Search(len(v.uids)-from, func(i int) bool { return uint32(v.uids[from+i]) > r.Last })
		if from < to {
			spans = append(spans, span{from, to})
		}
	}
	return spans
}

// uidsOf lists the UIDs of spans. The slice may be shared: never change it.
func (v *view) uidsOf(spans []span) []storage.UID {
	if len(spans) == 1 {
		return v.uids[spans[0].from:spans[0].to:spans[0].to]
	}
	var uids []storage.UID
	for _, s := range spans {
		uids = append(uids, v.uids[s.from:s.to]...)
	}
	return uids
}

// all goes through the positions of spans.
func all(spans []span) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, s := range spans {
			for i := s.from; i < s.to; i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}

func count(spans []span) int {
	n := 0
	for _, s := range spans {
		n += s.to - s.from
	}
	return n
}

// isRecent reports whether a message has \Recent in this session.
func (v *view) isRecent(uid storage.UID) bool {
	return len(v.recent) > 0 && v.recent.Contains(uint32(uid))
}

// countRecent is what the RECENT response says.
func (v *view) countRecent() int {
	n := 0
	for _, s := range v.byUID(v.recent) {
		n += s.to - s.from
	}
	return n
}

// claimRecent takes the messages nobody has been told of as \Recent (RFC 3501 2.3.2).
func (v *view) claimRecent(ctx context.Context) error {
	if v.snap.FirstRecent >= v.snap.UIDNext {
		return nil
	}
	if v.readOnly { // EXAMINE looks without taking
		v.recent = wire.Ranges{{First: uint32(v.snap.FirstRecent), Last: uint32(v.snap.UIDNext) - 1}}
		return nil
	}
	first, next, err := v.box.ClaimRecent(ctx)
	if err != nil {
		return err
	}
	// The client may not have been told of all of them: the next sync does.
	if n := len(v.recent); n > 0 && first < next && v.recent[n-1].Last == uint32(first)-1 {
		v.recent[n-1].Last = uint32(next) - 1 // a session that listens for months has one range
	} else if first < next {
		v.recent = append(v.recent, wire.Range{First: uint32(first), Last: uint32(next) - 1})
	}
	return nil
}

// gone lists the positions of the view, ascending, whose messages are not in snap.
func (v *view) gone(snap *storage.Snapshot) []int {
	if len(v.uids) == 0 {
		return nil
	}
	// UIDs only rise: what snap has up to the view's last UID is a part of the view.
	kept, ok := snap.Find(v.lastUID())
	if ok {
		kept++
	}
	missing := len(v.uids) - kept
	if missing == 0 {
		return nil
	}
	positions := make([]int, 0, missing)
	now := snap.UIDs()
	for i, j := 0, 0; i < len(v.uids) && len(positions) < missing; i++ {
		for j < len(now) && now[j] < v.uids[i] {
			j++
		}
		if j == len(now) || now[j] != v.uids[i] {
			positions = append(positions, i)
		}
	}
	return positions
}
