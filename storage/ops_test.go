package storage

import (
	"fmt"
	"reflect"
	"testing"
)

// Details follow each message to its copy, whatever UIDs are missing between.
func TestDetailsFollowCopies(t *testing.T) {
	a := newAccount(t)
	m, archive, other := box(t, a, "INBOX"), box(t, a, "Archive"), box(t, a, "Trash")
	for n := range 8 {
		deliver(t, a, text(n))
	}
	// What a FETCH would work out anew doesn't show here.
	row := func(m *Mailbox, uid UID) string {
		t.Helper()
		if err := a.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var thread int64
		var summary string
		if err := a.db.Load().QueryRow(t.Context(), "SELECT thread, summary FROM detail WHERE id=?", rowID(m.validity, uid)).Scan(&thread, &summary); err != nil {
			t.Fatalf("UID %d of %s: %v", uid, m.Name(), err)
		}
		return fmt.Sprint(thread, " ", summary)
	}
	if _, err := m.Store(t.Context(), []UID{3, 6}, FlagsAdd, Flags{System: Deleted}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	pairs, err := m.Copy(t.Context(), []UID{1, 2, 4, 5, 7, 8}, archive)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		if want, got := row(m, p.From), row(archive, p.To); got != want {
			t.Errorf("copy of %d: %q, want %q", p.From, got, want)
		}
	}
	moved, err := archive.Move(t.Context(), []UID{1, 2, 5, 6}, other)
	if err != nil {
		t.Fatal(err)
	}
	for i, from := range []UID{1, 2, 7, 8} {
		if want, got := row(m, from), row(other, moved[i].To); got != want {
			t.Errorf("moved copy of %d: %q, want %q", from, got, want)
		}
	}
	mustAgree(t, a)
}

func TestCopiesAreNotedAsRuns(t *testing.T) {
	a := newAccount(t)
	var pairs []UIDPair
	for i := UID(0); i < 600; i++ {
		from := 10 + i
		if i >= 300 {
			from += 5
		}
		pairs = append(pairs, UIDPair{from, 1 + i})
	}
	a.pendMu.Lock()
	a.pending = nil
	a.pendMu.Unlock()
	a.pendCopies(7, 8, pairs, 0, false)
	a.pendMu.Lock()
	defer a.pendMu.Unlock()
	want := []op{
		opCopy{rowID(7, 10), rowID(8, 1), 256, 0, false},
		opCopy{rowID(7, 266), rowID(8, 257), 44, 0, false},
		opCopy{rowID(7, 315), rowID(8, 301), 256, 0, false},
		opCopy{rowID(7, 571), rowID(8, 557), 44, 0, false},
	}
	if !reflect.DeepEqual(a.pending, want) {
		t.Errorf("got %+v", a.pending)
	}
	a.pending = nil
}
