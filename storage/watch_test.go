package storage

import (
	"path/filepath"
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
