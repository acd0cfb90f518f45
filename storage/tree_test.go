package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// A folder that another program had put back was made anew by the next delivery: a new UIDVALIDITY, and no keywords.
func TestFolderMadeByOthersIsNotMadeAgain(t *testing.T) {
	a := newAccount(t)
	for what, create := range map[string]func() error{
		"deliver": func() error { return deliverErr(a, text(2), "Work") },
		"create":  func() error { return a.CreateMailbox(t.Context(), "Work", "") },
		"rename":  func() error { return a.RenameMailbox(t.Context(), "Junk", "Work/Junk") },
	} {
		st := deliver(t, a, text(1), "Work")
		back := moveAway(t, a, ".Work")
		back()
		if err := create(); (err != nil) != (what == "create") || err != nil && !errors.Is(err, ErrExists) {
			t.Error(what, err)
		}
		m := box(t, a, "Work")
		if _, ok := m.Snapshot().Find(st[0].UID); !ok || m.validity != st[0].UIDValidity {
			t.Errorf("%s: UIDVALIDITY %d instead of %d, UIDs %v", what, m.validity, st[0].UIDValidity, m.Snapshot().UIDs())
		}
		mustAgree(t, a)
	}
}

// busyFS is a disk on which no folder but the account's can be looked into, when err says so.
type busyFS struct {
	maildir.FS
	err *error
}

func (b busyFS) Stat(name string) (fs.FileInfo, error) {
	if *b.err != nil && strings.Contains(name, "/") {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: *b.err}
	}
	return b.FS.Stat(name)
}

// With no file descriptor left all folders passed for removed: sessions ended, the index forgot them, and the next delivery made
// them anew, with another UIDVALIDITY.
func TestFolderThatCanNotBeLookedAtIsNotGone(t *testing.T) {
	var busy error
	dir := t.TempDir()
	open := func() (*Store, *Account) {
		s := testStore(t, dir)
		s.openFS = func(dir string) (maildir.FS, error) {
			fsys, err := maildir.OpenFS(dir)
			return busyFS{fsys, &busy}, err
		}
		return s, testAccount(t, s)
	}
	s, a := open()
	st := deliver(t, a, text(1), "Work")
	m := box(t, a, "Work")
	time.Sleep(clockStep)
	busy = syscall.EMFILE
	put(t, filepath.Join(a.path, ".touch"), "") // look again
	if _, err := a.Mailboxes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.Gone() {
		t.Error("gone")
	}
	busy = nil
	if box(t, a, "Work") != m {
		t.Error("another mailbox")
	}
	mustAgree(t, a)
	s.Close()

	busy = syscall.EMFILE
	s, a = open()
	t.Cleanup(func() { s.Close() })
	busy = nil
	if again := deliver(t, a, text(2), "Work"); again[0].UIDValidity != st[0].UIDValidity || again[0].UID != 2 {
		t.Error(st, again)
	}
	mustAgree(t, a)
}

// The next delivery made an account anew that had lost INBOX's cur: all its mailboxes got another UIDVALIDITY.
func TestAccountThatLostItsCurKeepsTheRest(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	stored := []Stored{deliver(t, a, text(1), "Sent")[0], deliver(t, a, text(2))[0]}
	if err := a.SetMetadata(t.Context(), "", map[string][]byte{"/private/comment": []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.RemoveAll(filepath.Join(a.path, "cur")); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Config{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	if err == nil {
		err = s.CreateAccount(t.Context(), alice) // as mda does
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a = testAccount(t, s)
	for i, name := range []string{"Sent", "INBOX"} {
		if m := box(t, a, name); m.validity != stored[i].UIDValidity || !slices.Equal(m.Snapshot().UIDs(), []UID{1}) {
			t.Errorf("%s: UIDVALIDITY %d instead of %d, UIDs %v", name, m.validity, stored[i].UIDValidity, m.Snapshot().UIDs())
		}
	}
	if meta, err := a.Metadata(t.Context(), ""); err != nil || string(meta["/private/comment"]) != "kept" {
		t.Error(meta, err)
	}
}

func TestFirstDeliveriesAtOnceMakeOneAccount(t *testing.T) {
	s := testStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	first := func() error {
		if err := s.CreateAccount(t.Context(), "bob@example.org"); err != nil {
			return err
		}
		a, err := s.Account(t.Context(), "bob@example.org")
		if err != nil {
			return err
		}
		defer a.Release()
		return deliverErr(a, text(1), "INBOX")
	}
	for range 10 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := first(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := s.RemoveAccount(t.Context(), "bob@example.org"); err != nil {
			t.Fatal(err)
		}
	}
}

// failingFS is a disk on which renames of one name fail.
type failingFS struct {
	maildir.FS
	name *string
}

func (f failingFS) Rename(from, to string) error {
	if *f.name != "" && filepath.Base(from) == *f.name {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.EIO}
	}
	return f.FS.Rename(from, to)
}

// After a kill, and a first look that failed when it had taken in some files, an earlier UID came behind later ones.
func TestUIDsAscendAfterALookThatFailed(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	for i := range 3 {
		deliver(t, a, text(i), "Work")
	}
	file := strings.TrimPrefix(fileOf(t, box(t, a, "Work"), 2), dir)
	killed := copyDir(t, dir)
	s.Close()
	// The second file can't be read at first, and a foreign one can't be given its name.
	if err := errors.Join(os.Rename(killed+file, killed+"/aside"), os.Mkdir(killed+file, 0o700)); err != nil {
		t.Fatal(err)
	}
	fails := "foreign"
	put(t, filepath.Join(filepath.Dir(killed+file), fails), text(4))
	s = testStore(t, killed)
	t.Cleanup(func() { s.Close() })
	s.openFS = func(dir string) (maildir.FS, error) {
		fsys, err := maildir.OpenFS(dir)
		return failingFS{fsys, &fails}, err
	}
	a = testAccount(t, s)
	foreign := filepath.Join(filepath.Dir(killed+file), fails)
	if err := errors.Join(os.Remove(killed+file), os.Rename(killed+"/aside", killed+file), os.Remove(foreign)); err != nil {
		t.Fatal(err)
	}
	m := box(t, a, "Work")
	if got := m.Snapshot().UIDs(); len(got) != 3 || !slices.IsSorted(got) {
		t.Error(got)
	}
	mustAgree(t, a)
}

// mv .Work .Old && maildirmake .Work, and rm -r .Junk && mv .Done .Junk, each before anybody looks.
func TestFolderRenamedByOthersAndAnotherInItsPlace(t *testing.T) {
	a := newAccount(t)
	work, done, junk := deliver(t, a, text(1), "Work")[0], deliver(t, a, text(2), "Done")[0], deliver(t, a, text(3), "Junk")[0]
	keyword := Flags{Keywords: []string{"red"}}
	if _, err := box(t, a, "Done").Store(t.Context(), []UID{1}, FlagsAdd, keyword, nil); err != nil {
		t.Fatal(err)
	}
	m, other := box(t, a, "Work"), box(t, a, "Junk")
	rename := func(from, to string) error { return os.Rename(filepath.Join(a.path, from), filepath.Join(a.path, to)) }
	time.Sleep(clockStep)
	err := errors.Join(rename(".Work", ".Old"), os.RemoveAll(filepath.Join(a.path, ".Junk")), rename(".Done", ".Junk"))
	for _, sub := range []string{"cur", "new", "tmp"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(a.path, ".Work", sub), 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(a.path, ".Work", "cur", "foreign"), text(4))
	if old := box(t, a, "Old"); old != m || m.Gone() || old.validity != work.UIDValidity || !slices.Equal(old.Snapshot().UIDs(), []UID{1}) {
		t.Errorf("Old: UIDVALIDITY %d instead of %d, UIDs %v", old.validity, work.UIDValidity, old.Snapshot().UIDs())
	}
	if again := box(t, a, "Work"); again.validity == work.UIDValidity || again.Snapshot().Len() != 1 {
		t.Error("Work:", again.validity, again.Snapshot().UIDs())
	}
	moved := box(t, a, "Junk")
	if moved.validity != done.UIDValidity || !other.Gone() || other.validity != junk.UIDValidity {
		t.Errorf("Junk: UIDVALIDITY %d instead of %d", moved.validity, done.UIDValidity)
	}
	if e := moved.Snapshot().At(0); e.UID != 1 || !slices.Equal(e.Flags.Keywords, keyword.Keywords) {
		t.Error(e)
	}
	if _, err := a.Mailbox(t.Context(), "Done"); !errors.Is(err, ErrNoMailbox) {
		t.Error(err)
	}
	mustAgree(t, a)
}

// A folder that is restored from a copy with its text file is the same mailbox.
func TestFolderRestoredFromACopyKeepsItsUIDs(t *testing.T) {
	a := newAccount(t)
	st := deliver(t, a, text(1), "Work")[0]
	m := box(t, a, "Work")
	folder := filepath.Join(a.path, ".Work")
	time.Sleep(clockStep)
	copyTo(t, folder, filepath.Join(a.path, "copy"))
	if err := errors.Join(os.RemoveAll(folder), os.Rename(filepath.Join(a.path, "copy"), folder)); err != nil {
		t.Fatal(err)
	}
	if again := box(t, a, "Work"); again != m || again.validity != st.UIDValidity || !slices.Equal(again.Snapshot().UIDs(), []UID{1}) {
		t.Error(again.validity, again.Snapshot().UIDs())
	}
	mustAgree(t, a)
}

// Two folders that another program made in one tick of the kernel's clock, the second after we had looked: it was not seen until the next.
func TestFolderMadeInTheTickOfALook(t *testing.T) {
	a := newAccount(t)
	for _, name := range []string{"First", "Second"} {
		at, err := os.Stat(a.path)
		for _, sub := range []string{"cur", "new", "tmp"} {
			err = errors.Join(err, os.MkdirAll(filepath.Join(a.path, "."+name, sub), 0o700))
		}
		if name == "Second" {
			err = errors.Join(err, os.Chtimes(a.path, at.ModTime(), at.ModTime()))
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first look writes the account's text file, which shows in the folder
			if _, err := a.Mailbox(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}
}
