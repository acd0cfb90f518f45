package storage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// After RENAME One Two, RENAME Two One and CREATE Two, what other programs did in One was taken for something in Two.
func TestWatchOfAFolderThatGotItsNameBack(t *testing.T) {
	s := testStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	a := testAccount(t, s)
	if err := a.CreateMailbox(t.Context(), "One", ""); err != nil {
		t.Fatal(err)
	}
	one := box(t, a, "One")
	w := s.newWatcher()
	defer w.close()
	w.watch(t.Context(), a)
	for _, change := range []func() error{
		func() error { return a.RenameMailbox(t.Context(), "One", "Two") },
		func() error { return a.RenameMailbox(t.Context(), "Two", "One") },
		func() error { return a.CreateMailbox(t.Context(), "Two", "") },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		w.watch(t.Context(), a)
	}
	put(t, filepath.Join(a.path, ".One", "cur", "foreign"), text(1))
	for deadline := time.After(10 * time.Second); one.Snapshot().Len() == 0; {
		select {
		case news := <-w.news():
			w.look(t.Context(), news)
		case <-deadline:
			t.Fatal("nobody heard of it")
		}
	}
}

// What another program put into a new cur, in the place of one that it had moved away, nobody heard of.
func TestWatchOfACurThatOthersMovedAway(t *testing.T) {
	s := testStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	a := testAccount(t, s)
	deliver(t, a, text(1), "Work")
	m := box(t, a, "Work")
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Seen}, nil); err != nil {
		t.Fatal(err)
	}
	runStore(t, s)
	w := a.Watch()
	defer w.Close()
	folder := filepath.Join(a.path, ".Work")
	put(t, filepath.Join(folder, "cur", "first"), text(2))
	until(t, w, "a file in the old cur", func() bool { return m.Snapshot().Len() == 2 })
	if err := errors.Join(os.Rename(filepath.Join(folder, "cur"), filepath.Join(folder, "old")), os.Mkdir(filepath.Join(folder, "cur"), 0o700)); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, "cur", "second"), text(3))
	until(t, w, "the new cur", func() bool { return slices.Equal(m.Snapshot().UIDs(), []UID{3}) })
	put(t, filepath.Join(folder, "cur", "third"), text(4))
	until(t, w, "a file in the new cur", func() bool { return slices.Equal(m.Snapshot().UIDs(), []UID{3, 4}) })
	mustAgree(t, a)
}
