package storage

import (
	"iter"
	"slices"
	"time"

	"facteur/storage/maildir"
)

// Snapshot is a mailbox at one moment: its messages by ascending UID. It is
// immutable and may be shared and kept.
type Snapshot struct {
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq
	FirstRecent   UID // messages from here on have not been claimed as \Recent
	Keywords      []string

	chunks []*chunk
	starts []int32 // position of each chunk's first message, and the number of all
	uids   []UID
	sets   []flagSet
	keys   []string // of sets, as the index keeps them
	totals totals
	times  maildir.Times // of the folder, when the table agreed with it
	since  ModSeq        // expunges before may be unknown to the index; its row may say a higher one
	// The folder was looked through since the table was read. Not before may the index be told of it: UIDNext
	// is above files that the table doesn't know yet, and they would pass for expunged ones.
	looked bool
	// Since then other programs may have changed names in the folder without our hearing of it (Mailbox.calm, touched), and its times
	// are not to be trusted. Zero after a look by Run.
	deaf time.Time
}

// Len is the number of messages.
func (s *Snapshot) Len() int { return len(s.uids) }

// At returns the message at position i, from 0.
func (s *Snapshot) At(i int) Entry {
	r, _, _ := s.at(i)
	return s.entry(r)
}

func (s *Snapshot) entry(r *rec) Entry {
	return Entry{
		UID: r.uid, Flags: s.sets[r.setID()].flags, ModSeq: r.modseq,
		Size: int64(r.size), Internal: time.Unix(r.internal, 0),
	}
}

// Find returns the position of uid, or where it would stand.
func (s *Snapshot) Find(uid UID) (i int, ok bool) { return slices.BinarySearch(s.uids, uid) }

// All goes through all messages, or from position from on.
func (s *Snapshot) All(from int) iter.Seq2[int, Entry] {
	return func(yield func(int, Entry) bool) {
		if from >= s.Len() {
			return
		}
		for c := s.chunkOf(from); c < len(s.chunks); c++ {
			recs, start := s.chunks[c].recs, int(s.starts[c])
			for i := max(from-start, 0); i < len(recs); i++ {
				if !yield(start+i, s.entry(&recs[i])) {
					return
				}
			}
		}
	}
}

// ChangedSince goes through the messages with a higher ModSeq than since. It skips
// over stretches without a change, so that it costs little in a large mailbox.
func (s *Snapshot) ChangedSince(since ModSeq) iter.Seq2[int, Entry] {
	return func(yield func(int, Entry) bool) {
		for c, chunk := range s.chunks {
			if chunk.high <= since {
				continue
			}
			for i := range chunk.recs {
				r := &chunk.recs[i]
				if r.modseq > since && !yield(int(s.starts[c])+i, s.entry(r)) {
					return
				}
			}
		}
	}
}

// Counts are kept up to date, not counted: unseen messages, the first unseen
// one's position (-1: none), messages with \Deleted, octets in all.
func (s *Snapshot) Counts() (unseen, firstUnseen, deleted int, size int64) {
	return s.totals.unseen, s.firstUnseen(), s.totals.deleted, s.totals.size
}

func (s *Snapshot) firstUnseen() int {
	for c, chunk := range s.chunks {
		if chunk.unseen == 0 {
			continue
		}
		for i := range chunk.recs {
			if s.sets[chunk.recs[i].setID()].flags.System&Seen == 0 {
				return int(s.starts[c]) + i
			}
		}
	}
	return -1
}

// UIDs returns all UIDs ascending. The slice is shared: never change it.
func (s *Snapshot) UIDs() []UID { return s.uids[:len(s.uids):len(s.uids)] }
