package storage

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"facteur/storage/maildir"
)

// What still wanted to write to a mailbox that was deleted meanwhile wrote into the text file of the next of its name.
func TestDeletedMailboxWritesNoTextFile(t *testing.T) {
	a := newAccount(t)
	deliver(t, a, text(1), "Work")
	m := box(t, a, "Work")
	if err := errors.Join(a.DeleteMailbox(t.Context(), "Work"), a.CreateMailbox(t.Context(), "Work", "")); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	err := m.writeInfo()
	m.mu.Unlock()
	if !errors.Is(err, ErrNoMailbox) {
		t.Error(err)
	}
	info, err := maildir.ReadInfo(a.fs, ".Work/facteur")
	if err != nil || info.UIDValidity != box(t, a, "Work").validity {
		t.Error(info, err)
	}
}

// stuckRename is a disk on which one name can't be renamed, and nothing into one folder.
type stuckRename struct {
	maildir.FS
	name, folder string
}

func (f *stuckRename) Rename(from, to string) error {
	if f.name != "" && (strings.Contains(from, f.name) || strings.HasPrefix(to, f.folder)) {
		return &fs.PathError{Op: "rename", Path: from, Err: syscall.EIO}
	}
	return f.FS.Rename(from, to)
}

// After a MOVE that failed, and whose first messages could not be moved back either, these were in no mailbox until a restart.
func TestMoveThatCanNotBeTakenBackHidesNothing(t *testing.T) {
	a := newAccount(t)
	for i := range 3 {
		deliver(t, a, text(i), "Work")
	}
	m, to := box(t, a, "Work"), box(t, a, "Archive")
	disk := &stuckRename{FS: a.fs, name: filepath.Base(fileOf(t, m, 3)), folder: ".Work/"}
	a.fs = disk
	time.Sleep(2 * clockStep)
	if _, err := m.Move(t.Context(), []UID{1, 2, 3}, to); err == nil {
		t.Fatal("this shows nothing")
	}
	disk.name = ""
	m, to = box(t, a, "Work"), box(t, a, "Archive")
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{3}) {
		t.Error("in Work:", got)
	}
	if got := to.Snapshot().Len(); got != 2 {
		t.Error("in Archive:", got)
	}
	mustAgree(t, a)
}

// An account that was removed and made again within a second, or by a clock set back, had its old UIDVALIDITYs.
func TestAccountMadeAgainHasHigherUIDValidity(t *testing.T) {
	s := testStore(t, t.TempDir())
	defer s.Close()
	now := time.Now()
	s.cfg.Now = func() time.Time { return now }
	last := map[string]uint32{}
	for round := range 4 {
		if round > 0 {
			if err := errors.Join(s.RemoveAccount(t.Context(), alice), s.CreateAccount(t.Context(), alice)); err != nil {
				t.Fatal(err)
			}
		}
		a, err := s.Account(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.CreateMailbox(t.Context(), "Work", ""); err != nil {
			t.Fatal(err)
		}
		for _, m := range a.allMailboxes() {
			if m.validity <= last[m.Name()] {
				t.Errorf("UIDVALIDITY of %s went from %d to %d", m.Name(), last[m.Name()], m.validity)
			}
			last[m.Name()] = m.validity
		}
		a.Release()
		if round == 1 {
			s.closeIdleNow(t)
		}
		now = now.Add(-time.Minute)
	}
}

// closeIdleNow closes all accounts that nobody uses.
func (s *Store) closeIdleNow(t *testing.T) {
	t.Helper()
	for _, a := range s.openAccounts() {
		a.used.Store(0)
		a.refs.Add(-1)
	}
	s.closeIdle()
	if len(s.openAccounts()) > 0 {
		t.Error("still open")
	}
}
