package storage

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"facteur/storage/maildir"
	"facteur/storage/message"
	"facteur/storage/sqlite"
)

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	for want, hurt := range map[string]func(t *testing.T, a *Account, m *Mailbox) error{
		"file is gone": func(t *testing.T, a *Account, m *Mailbox) error {
			return os.Remove(fileOf(t, m, 1))
		},
		"can't be looked at": func(t *testing.T, a *Account, m *Mailbox) error {
			if err := os.Remove(fileOf(t, m, 1)); err != nil {
				return err
			}
			return os.Symlink("nowhere", fileOf(t, m, 1))
		},
		"not in the index": func(t *testing.T, a *Account, m *Mailbox) error {
			return os.WriteFile(filepath.Join(a.path, "cur", "stray"), nil, 0o600)
		},
		"octets and had": func(t *testing.T, a *Account, m *Mailbox) error {
			return os.Truncate(fileOf(t, m, 1), 3)
		},
		"differ about the message": func(t *testing.T, a *Account, m *Mailbox) error {
			other := m.Snapshot().changed([]int{0}, func(_ int, r *rec) { r.internal++ })
			return a.db.Load().Write(t.Context(), func(tx *sqlite.Tx) error {
				_, err := tx.Exec("UPDATE chunk SET data=?", other.chunks[0].appendBlob(nil))
				return err
			})
		},
		"damaged row": func(t *testing.T, a *Account, m *Mailbox) error {
			return a.db.Load().Write(t.Context(), func(tx *sqlite.Tx) error {
				_, err := tx.Exec("UPDATE chunk SET data=x'01020304050607080910'")
				return err
			})
		},
		"text file \"facteur\" is damaged": func(t *testing.T, a *Account, m *Mailbox) error {
			return os.Truncate(filepath.Join(a.path, maildir.InfoFile), 20)
		},
		"another text file": func(t *testing.T, a *Account, m *Mailbox) error {
			return maildir.WriteInfo(a.fs, maildir.InfoFile, &maildir.Info{UIDValidity: 1, UIDBound: 1})
		},
		"are used up": func(t *testing.T, a *Account, m *Mailbox) error { m.info.UIDBound = 1; return nil },
		"quota":       func(t *testing.T, a *Account, m *Mailbox) error { m.counted.Messages++; return nil },
	} {
		t.Run(want, func(t *testing.T) {
			a := newAccount(t)
			deliver(t, a, text(1))
			deliver(t, a, text(2))
			m := box(t, a, "INBOX")
			mustAgree(t, a)
			if err := hurt(t, a, m); err != nil {
				t.Fatal(err)
			}
			problems, err := a.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				if strings.Contains(p.What, want) {
					return
				}
			}
			t.Errorf("found %+v", problems)
		})
	}
}

// TestRebuildTakesAChangedFileForANewMessage: also while the account is open.
func TestRebuildTakesAChangedFileForANewMessage(t *testing.T) {
	a := newAccount(t)
	deliver(t, a, text(1))
	m := box(t, a, "INBOX")
	appendTo(t, m, newMsg(text(2), Flags{System: Seen}))
	var was []string
	for _, uid := range []UID{1, 2} { // one in new, one in cur
		was = append(was, emailIDOf(t, m, uid))
		if err := os.Truncate(fileOf(t, m, uid), 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAgree(t, a)
	if uids := m.Snapshot().UIDs(); len(uids) != 2 || uids[0] != 3 || uids[1] != 4 {
		t.Fatalf("UIDs %v", uids)
	}
	for _, uid := range []UID{3, 4} {
		if id := emailIDOf(t, m, uid); slices.Contains(was, id) {
			t.Errorf("UID %d has the EmailID %s, which means other octets", uid, id)
		}
	}
}

func emailIDOf(t *testing.T, m *Mailbox, uid UID) string {
	return emailID(maildir.ParseFileName(filepath.Base(fileOf(t, m, uid))).Base)
}

// TestLostIndexTakesAChangedFileForANewMessage: then only the size in its name tells, and a rebuild of a stopped
// account begins in the same way.
func TestLostIndexTakesAChangedFileForANewMessage(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	for i := range 3 {
		deliver(t, a, text(i))
	}
	m := box(t, a, "INBOX")
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Flagged}, nil); err != nil {
		t.Fatal(err)
	}
	whole := read(t, m, 2)
	paths, was := []string{fileOf(t, m, 1), fileOf(t, m, 3)}, emailIDOf(t, m, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if err := os.Truncate(path, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeIndex(filepath.Join(a.path, indexFile)); err != nil {
		t.Fatal(err)
	}
	s = testStore(t, dir)
	defer s.Close()
	a = testAccount(t, s)
	m = box(t, a, "INBOX")
	mustAgree(t, a)
	if uids := m.Snapshot().UIDs(); !slices.Equal(uids, []UID{2, 4, 5}) {
		t.Errorf("UIDs %v", uids)
	}
	if read(t, m, 2) != whole {
		t.Error("another message changed")
	}
	if x, y := m.Snapshot().At(1), m.Snapshot().At(2); x.Flags.System|y.Flags.System != Flagged || emailIDOf(t, m, 4) == was || emailIDOf(t, m, 5) == was {
		t.Errorf("%+v, %+v", x, y)
	}
}

// TestRebuildKeepsUIDsOfADamagedIndex: with a look by verify in between, as an operator would do it.
func TestRebuildKeepsUIDsOfADamagedIndex(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	for i := range 3 {
		deliver(t, a, text(i))
	}
	before := state(t, a)
	s.Close()
	for _, do := range []func(a *Account) error{
		func(a *Account) error {
			return a.db.Load().Write(t.Context(), func(tx *sqlite.Tx) error {
				_, err := tx.Exec("DELETE FROM chunk")
				return err
			})
		},
		func(a *Account) error {
			problems, err := a.Verify(t.Context())
			if err == nil && (len(problems) != 1 || !strings.Contains(problems[0].What, "damaged row")) {
				t.Errorf("verify found %+v", problems)
			}
			return err
		},
		func(a *Account) error { return a.Rebuild(t.Context()) },
		func(a *Account) error { mustAgree(t, a); return nil },
	} {
		s = testStore(t, dir)
		a = testAccount(t, s)
		if err := do(a); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = testStore(t, dir)
	defer s.Close()
	if after := state(t, testAccount(t, s)); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestRebuildChangesNothing(t *testing.T) {
	a := newAccount(t)
	fill(t, a)
	before := state(t, a)
	if err := os.Truncate(filepath.Join(a.path, maildir.InfoFile), 20); err != nil {
		t.Fatal(err)
	}
	err := a.db.Load().Write(t.Context(), func(tx *sqlite.Tx) error {
		if _, err := tx.Exec("DELETE FROM detail"); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE chunk SET data=x'00'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := state(t, a); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	mustAgree(t, a)
	m := box(t, a, "INBOX")
	if _, complete, err := m.Vanished(t.Context(), 1); err != nil || complete {
		t.Error("what vanished before the rebuild is not known, but said to be", err)
	}
}

// The table of a mailbox that nobody uses left memory in the middle of a rebuild, which then ended the server.
func TestRebuildHoldsTheMailbox(t *testing.T) {
	s := testStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	a := testAccount(t, s)
	for i := range 3 {
		deliver(t, a, text(i))
	}
	if err := a.flush(t.Context()); err != nil { // else the details wait for the new index
		t.Fatal(err)
	}
	time.Sleep(2 * clockStep)
	summarize := s.summarize
	asked := 0
	s.summarize = func(r io.ReaderAt, size int64) (*message.Summary, error) {
		asked++
		m := a.mailboxes["INBOX"]
		m.indexed.Store(uint32(m.Snapshot().UIDNext))
		if err := a.flush(t.Context()); err != nil { // as Run may do meanwhile
			t.Error(err)
		}
		m.unload(time.Now().Add(2 * idleAccount))
		return summarize(r, size)
	}
	if err := a.Rebuild(t.Context()); err != nil || asked != 3 {
		t.Fatal(err, asked)
	}
	mustAgree(t, a)
}
