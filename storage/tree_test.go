package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"facteur/storage/maildir"
)

// moveAway renames a folder so that it is no mailbox, and has the account see that. What it returns puts it back.
func moveAway(t *testing.T, a *Account, folder string) (back func()) {
	t.Helper()
	rename := func(from, to string) {
		time.Sleep(clockStep) // the folder above shows it
		if err := os.Rename(filepath.Join(a.path, from), filepath.Join(a.path, to)); err != nil {
			t.Fatal(err)
		}
	}
	rename(folder, "away")
	if _, err := a.Mailbox(t.Context(), folder[1:]); !errors.Is(err, ErrNoMailbox) {
		t.Fatal(err)
	}
	return func() { rename("away", folder) }
}

// The index lost the messages of a folder that was away for a moment, and yet said that it knew all that had vanished.
func TestFolderThatWasAwayForAMoment(t *testing.T) {
	a := newAccount(t)
	for i := range 3 {
		deliver(t, a, text(i), "Work")
	}
	m := box(t, a, "Work")
	seen := m.Snapshot().HighestModSeq
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Deleted}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * clockStep) // the index notes the folder's times
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := moveAway(t, a, ".Work")
	back()
	m = box(t, a, "Work")
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{2, 3}) {
		t.Error(got)
	}
	if gone, complete, err := m.Vanished(t.Context(), seen); err != nil || complete && !slices.Contains(gone, 1) {
		t.Error(gone, complete, err)
	}
	mustAgree(t, a)
}
