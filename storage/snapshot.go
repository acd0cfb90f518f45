package storage

import "iter"

// Snapshot is a mailbox at one moment: its messages by ascending UID. It is
// immutable and may be shared and kept.
type Snapshot struct {
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq
	FirstRecent   UID // messages from here on have not been claimed as \Recent
	Keywords      []string
}

// Len is the number of messages.
func (s *Snapshot) Len() int { panic("not built yet") }

// At returns the message at position i, from 0.
func (s *Snapshot) At(i int) Entry { panic("not built yet") }

// Find returns the position of uid, or where it would stand.
func (s *Snapshot) Find(uid UID) (i int, ok bool) { panic("not built yet") }

// All goes through all messages, or from position from on.
func (s *Snapshot) All(from int) iter.Seq2[int, Entry] { panic("not built yet") }

// ChangedSince goes through the messages with a higher ModSeq than since. It skips
// over stretches without a change, so that it costs little in a large mailbox.
func (s *Snapshot) ChangedSince(since ModSeq) iter.Seq2[int, Entry] { panic("not built yet") }

// Counts are kept up to date, not counted: unseen messages, the first unseen
// one's position (-1: none), messages with \Deleted, octets in all.
func (s *Snapshot) Counts() (unseen, firstUnseen, deleted int, size int64) {
	panic("not built yet")
}

// UIDs returns all UIDs ascending. The slice is shared: never change it.
func (s *Snapshot) UIDs() []UID { panic("not built yet") }
