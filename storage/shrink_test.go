package storage

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"

	"facteur/storage/sqlite"
)

// Each set of flags that a message ever had was kept for good, in memory and in the index: who changed keywords in a loop could
// fill both.
func TestSetsOfFlagsThatNoMessageHasAreDropped(t *testing.T) {
	dir := fastDir(t)
	s := testStore(t, dir)
	s.openFS = openLazy
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	for i := range 300 {
		deliver(t, a, text(i))
	}
	keep := Flags{System: Seen, Keywords: []string{"key3", "red"}}
	if _, err := m.Store(t.Context(), []UID{7, 290}, FlagsSet, keep, nil); err != nil {
		t.Fatal(err)
	}
	old := m.Snapshot()
	for i := range 5000 {
		var f Flags
		for bit := range 13 {
			if i&(1<<bit) != 0 {
				f.Keywords = append(f.Keywords, fmt.Sprint("key", bit))
			}
		}
		if _, err := m.Store(t.Context(), []UID{5}, FlagsSet, f, nil); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			if err := a.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(m.flags.sets); n > 1100 {
		t.Errorf("%d sets of flags for 300 messages", n)
	}
	for _, s := range []*Snapshot{old, m.Snapshot()} {
		for _, uid := range []UID{7, 290} {
			pos, _ := s.Find(uid)
			if f := s.At(pos).Flags; f.System != keep.System || !slices.Equal(f.Keywords, keep.Keywords) {
				t.Errorf("%d: %+v", uid, f)
			}
		}
	}
	mustAgree(t, a)
	before := state(t, a)
	s.Close()
	s = testStore(t, dir)
	defer s.Close()
	a = testAccount(t, s)
	if after := state(t, a); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	mustAgree(t, a)
}

// What the index knew of the threads of messages that are gone stayed for good.
func TestReferencesOfThreadsThatAreGoneAreForgotten(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	for i := range 50 {
		deliver(t, a, text(i))
	}
	deliver(t, a, "Message-ID: <reply@example.org>\r\nReferences: <1@example.org>\r\n\r\n") // keeps the thread of what it answers
	thread := func(uid UID) uint64 {
		for d, err := range m.Details(t.Context(), []UID{uid}) {
			if err != nil {
				t.Fatal(err)
			}
			return d.Thread
		}
		t.Fatal("no details of", uid)
		return 0
	}
	was := thread(51)
	if _, err := m.Store(t.Context(), m.Snapshot().UIDs()[:40], FlagsAdd, Flags{System: Deleted}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for slice := range uint64(refSlices) {
		if err := a.db.Load().Write(t.Context(), func(tx *sqlite.Tx) error { return tidyReferences(tx, slice) }); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	if err := a.query(t.Context(), func(rows *sql.Rows) error { return rows.Scan(&n) }, "SELECT count(*) FROM ref"); err != nil || n != 12 {
		t.Error(n, "references", err)
	}
	deliver(t, a, "Message-ID: <again@example.org>\r\nReferences: <reply@example.org>\r\n\r\n")
	deliver(t, a, "Message-ID: <late@example.org>\r\nReferences: <1@example.org>\r\n\r\n")
	if thread(51) != was || thread(52) != was || thread(53) != was {
		t.Error("a thread came apart:", was, thread(51), thread(52), thread(53))
	}
	if err := a.tidy(t.Context()); err != nil {
		t.Error(err)
	}
}
