package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facteur/storage/maildir"
)

// deniedFS is a disk on which one folder belongs to another user.
type deniedFS struct {
	maildir.FS
	folder string
}

func (d *deniedFS) denied(name string) error {
	if d.folder != "" && (name == d.folder || strings.HasPrefix(name, d.folder+"/")) {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return nil
}

func (d *deniedFS) Create(name string) (maildir.File, error) {
	if err := d.denied(name); err != nil {
		return nil, err
	}
	return d.FS.Create(name)
}

func (d *deniedFS) ReadDir(name string) ([]string, error) {
	if err := d.denied(name); err != nil {
		return nil, err
	}
	return d.FS.ReadDir(name)
}

// One folder that root has made, and not given to us, closed the account: no LIST, and no mail after a restart.
func TestFolderOfAnotherUserDoesNotCloseTheAccount(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	deliver(t, a, text(1), "Work")
	a.fs = &deniedFS{a.fs, ".Roots"}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(a.path, ".Roots", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	names := func(a *Account) (names []string) {
		list, err := a.Mailboxes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			names = append(names, m.Name)
		}
		return names
	}
	if got := names(a); slices.Contains(got, "Roots") || !slices.Contains(got, "Work") {
		t.Error(got)
	}
	s.Close()

	// Over a restart: one folder without a text file, one with.
	denied := &deniedFS{folder: ".Roots"}
	open := func() (*Store, *Account) {
		s := testStore(t, dir)
		s.openFS = func(dir string) (maildir.FS, error) {
			var err error
			denied.FS, err = maildir.OpenFS(dir)
			return denied, err
		}
		return s, testAccount(t, s)
	}
	s, a = open()
	if box(t, a, "Work").Snapshot().Len() != 1 {
		t.Error("Work")
	}
	denied.folder = "" // chown, which the account's folder doesn't show
	if got := names(a); !slices.Contains(got, "Roots") {
		t.Error(got)
	}
	path := a.path
	s.Close()
	os.Remove(filepath.Join(path, "index.db"))
	denied.folder = ".Work"
	s, a = open()
	t.Cleanup(func() { s.Close() })
	deliver(t, a, text(2))
	if m, err := a.Mailbox(t.Context(), "Work"); !errors.Is(err, fs.ErrPermission) {
		t.Error(m, err)
	}
	denied.folder = ""
	if box(t, a, "Work").Snapshot().Len() != 1 {
		t.Error("Work, after all")
	}
	mustAgree(t, a)
}

// One file that can't be read stopped every search of its mailbox.
func TestFileThatCanNotBeReadHidesNoOthers(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	for n := range 3 {
		deliver(t, a, text(n))
	}
	path := fileOf(t, box(t, a, "INBOX"), 2)
	s.Close()
	os.Remove(filepath.Join(a.path, "index.db"))
	s = testStore(t, dir)
	t.Cleanup(func() { s.Close() })
	a = testAccount(t, s)
	m := box(t, a, "INBOX")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(path), path); err != nil { // ELOOP, for root too
		t.Fatal(err)
	}
	var got []UID
	for d, err := range m.Details(t.Context(), []UID{1, 2, 3}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.UID)
	}
	if !slices.Equal(got, []UID{1, 3}) {
		t.Error(got)
	}
}
