package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facteur/storage/maildir"
)

// cp and tar write straight into cur: half a message must not be taken for one.
func TestFileStillBeingWrittenIsNotTakenYet(t *testing.T) {
	s := testStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	slow := func(name string) *os.File {
		f, err := os.Create(filepath.Join(a.path, "cur", name))
		if err == nil {
			_, err = f.WriteString("Subject: slow\r\n\r\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	finish := func(f *os.File) {
		if _, err := f.WriteString("the end\r\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}

	// Without inotify the next look finds it, though the folder's times stay the same.
	f := slow("first")
	deliver(t, a, text(1))
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{1}) {
		t.Error("half a file is a message:", got)
	}
	deliver(t, a, text(2))
	finish(f)
	deliver(t, a, text(3))
	if got := read(t, m, 3); got != "Subject: slow\r\n\r\nthe end\r\n" {
		t.Errorf("got %q", got)
	}

	runStore(t, s)
	w := a.Watch()
	defer w.Close()
	f = slow("second")
	put(t, filepath.Join(a.path, "cur", "third"), text(4))
	until(t, w, "a whole file", func() bool { return m.Snapshot().Len() == 5 })
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{1, 2, 3, 4, 5}) {
		t.Error(got)
	}
	finish(f)
	until(t, w, "the slow file", func() bool { return m.Snapshot().Len() == 6 })
	if got := read(t, m, 6); got != "Subject: slow\r\n\r\nthe end\r\n" {
		t.Errorf("got %q", got)
	}
	mustAgree(t, a)
}

// A client that was told a message's old size can't be served the new octets under its UID.
func TestChangedFileIsNotServedAsWhatItWas(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	deliver(t, a, text(2))
	if err := os.Truncate(fileOf(t, m, 1), 3); err != nil {
		t.Fatal(err)
	}
	var keywords []string // the last has no letter
	for i := range 27 {
		keywords = append(keywords, fmt.Sprint("k", 10+i))
	}
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Flagged, Keywords: keywords}, nil); err != nil {
		t.Fatal(err)
	}
	if c, err := m.Open(1); !errors.Is(err, ErrGone) {
		t.Error("opened", c, err)
	}
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{2, 3}) {
		t.Error(got)
	}
	if got := m.Snapshot().At(1).Flags; got.System != Flagged || !slices.Equal(got.Keywords, keywords) {
		t.Error("flags", got)
	}
	if got := read(t, m, 3); got != "Ret" {
		t.Errorf("got %q", got)
	}
	mustAgree(t, a)
}

func TestWritingToAMessageMakesANewOneWhileWatched(t *testing.T) {
	s := testStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	runStore(t, s)
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	w := a.Watch()
	defer w.Close()
	deliver(t, a, text(1))
	put(t, filepath.Join(a.path, "cur", "now watched"), text(2))
	until(t, w, "the watch", func() bool { return m.Snapshot().Len() == 2 })
	f, err := os.OpenFile(fileOf(t, m, 1), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("more\r\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	until(t, w, "the longer message", func() bool { return slices.Equal(m.Snapshot().UIDs(), []UID{2, 3}) })
	if got := read(t, m, 3); !strings.HasSuffix(got, text(1)+"more\r\n") {
		t.Errorf("got %q", got)
	}
}

// mbsync puts a flagged message that nobody has read into new, with its flags.
func TestFlagsOfAFileInNewAreKept(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	put(t, filepath.Join(a.path, "new", "1700000000.M1.other:2,F"), text(1))
	m := box(t, a, "INBOX")
	if got := m.Snapshot().At(0).Flags.System; got != Flagged {
		t.Error("flags", got)
	}
	if path := fileOf(t, m, 1); !strings.HasSuffix(path, ":2,F") {
		t.Error("on disk", path)
	}
	path := a.path
	s.Close()
	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		if err := os.Remove(filepath.Join(path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	s = testStore(t, dir)
	t.Cleanup(func() { s.Close() })
	if got := box(t, testAccount(t, s), "INBOX").Snapshot().At(0).Flags.System; got != Flagged {
		t.Error("after the index was lost:", got)
	}
}

func TestColonInANameOfNew(t *testing.T) {
	a := newAccount(t)
	put(t, filepath.Join(a.path, "new", "12:30:00"), text(1))
	m := box(t, a, "INBOX")
	for range 3 {
		if got := m.Snapshot(); !slices.Equal(got.UIDs(), []UID{1}) || got.UIDNext != 2 {
			t.Fatal("UIDs", got.UIDs(), "next", got.UIDNext)
		}
		put(t, filepath.Join(a.path, "new", ".again"), "") // another look
		if err := m.refreshNow(t); err != nil {
			t.Fatal(err)
		}
	}
}

// Of two names of one folder each took the other's files for foreign ones, and gave them new UIDs.
func TestLinkToAFolderIsNoMailbox(t *testing.T) {
	a := newAccount(t)
	st := deliver(t, a, text(1), "Sent")
	if err := os.Symlink(".Sent", filepath.Join(a.path, ".A link")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Mailbox(t.Context(), "A link"); !errors.Is(err, ErrNoMailbox) {
		t.Error(err)
	}
	if s := box(t, a, "Sent").Snapshot(); s.UIDValidity != st[0].UIDValidity || !slices.Equal(s.UIDs(), []UID{1}) {
		t.Error(s.UIDValidity, s.UIDs())
	}
	mustAgree(t, a)
}

func TestFolderRenamedByOthersKeepsItsUIDs(t *testing.T) {
	a := newAccount(t)
	st := deliver(t, a, text(1), "Work")
	deliver(t, a, text(2), "Work")
	m := box(t, a, "Work")
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{Keywords: []string{"red"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(a.path, ".Work"), filepath.Join(a.path, ".Done.Work")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Mailbox(t.Context(), "Work"); !errors.Is(err, ErrNoMailbox) {
		t.Error(err)
	}
	done := box(t, a, "Done/Work")
	if done != m || m.Gone() || m.Name() != "Done/Work" || m.validity != st[0].UIDValidity || !slices.Equal(m.Snapshot().UIDs(), []UID{1, 2}) {
		t.Error(m.Name(), m.Gone(), m.validity, m.Snapshot().UIDs())
	}
	if got := read(t, done, 1); !strings.HasSuffix(got, text(1)) {
		t.Errorf("got %q", got)
	}
	deliver(t, a, text(3), "Work") // a new one under the old name
	if other := box(t, a, "Work"); other.validity == m.validity || other.Snapshot().Len() != 1 {
		t.Error(other.validity, m.validity)
	}
	mustAgree(t, a)
}

// growingFS is a disk on which another program writes the rest of a file just after it was asked for its size.
type growingFS struct {
	maildir.FS
	path, rest string
}

func (g *growingFS) Stat(name string) (fs.FileInfo, error) {
	st, err := g.FS.Stat(name)
	if filepath.Base(name) == filepath.Base(g.path) && g.rest != "" {
		f, err := os.OpenFile(g.path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		if _, err := f.WriteString(g.rest); err != nil {
			return nil, err
		}
		f.Close()
		g.rest = ""
	}
	return st, err
}

func TestFileFinishedWhileItIsMeasured(t *testing.T) {
	a := newAccount(t)
	path := filepath.Join(a.path, "cur", "late")
	put(t, path, "Subject: late\n\n")
	a.fs = &growingFS{a.fs, path, "the end\n"}
	m := box(t, a, "INBOX")
	if err := m.refreshNow(t); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m, 1); got != "Subject: late\r\n\r\nthe end\r\n" {
		t.Errorf("got %q", got)
	}
	mustAgree(t, a)
}

func (m *Mailbox) refreshNow(t *testing.T) error {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refresh(t.Context(), true)
}

// racingFS is a disk on which another program flags a message just before we move, copy or remove it.
type racingFS struct {
	maildir.FS
	dir   string
	races int
	flags string
}

func (r *racingFS) race(name string) {
	if r.races > 0 && strings.Contains(name, ",I=") {
		r.races--
		path := filepath.Join(r.dir, name)
		name, _, _ := strings.Cut(filepath.Base(path), ":")
		os.Rename(path, filepath.Join(filepath.Dir(filepath.Dir(path)), "cur", name+":2,"+r.flags))
	}
}

func (r *racingFS) Rename(from, to string) error { r.race(from); return r.FS.Rename(from, to) }
func (r *racingFS) Link(from, to string) error   { r.race(from); return r.FS.Link(from, to) }
func (r *racingFS) Remove(name string) error     { r.race(name); return r.FS.Remove(name) }

func TestMoveAndCopyOfWhatAnotherProgramJustRenamed(t *testing.T) {
	a := newAccount(t)
	m, to := box(t, a, "INBOX"), box(t, a, "Archive")
	for n := range 3 {
		deliver(t, a, text(n))
	}
	disk := a.fs
	a.fs = &racingFS{disk, a.path, 1, "F"}
	if pairs, err := m.Move(t.Context(), []UID{1, 2}, to); err != nil || len(pairs) != 2 {
		t.Fatal(pairs, err)
	}
	a.fs = &racingFS{disk, a.path, 1, "F"}
	if pairs, err := m.Copy(t.Context(), []UID{3}, to); err != nil || len(pairs) != 1 {
		t.Fatal(pairs, err)
	}
	a.fs = disk
	if m.Snapshot().Len() != 1 || to.Snapshot().Len() != 3 {
		t.Error(m.Snapshot().UIDs(), to.Snapshot().UIDs())
	}
	if got := m.Snapshot().At(0).Flags.System; got != Flagged {
		t.Error("the other program's flag is lost:", got)
	}
	mustAgree(t, a)
}

func TestFlagsOfWhatAnotherProgramJustRenamed(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	for n := range 3 {
		deliver(t, a, text(n))
	}
	disk := a.fs
	a.fs = &racingFS{disk, a.path, 1, "F"}
	res, err := m.Store(t.Context(), []UID{1, 2, 3}, FlagsAdd, Flags{System: Seen}, nil)
	if err != nil || len(res.Changed) != 3 || res.Changed[0].UID != 1 || res.Changed[0].Flags.System != Seen|Flagged {
		t.Error(res, err)
	}
	// RFC 7162 3.1.3: what another changed meanwhile is left alone, with UNCHANGEDSINCE.
	since := m.Snapshot().HighestModSeq
	a.fs = &racingFS{disk, a.path, 1, "F"}
	res, err = m.Store(t.Context(), []UID{2, 3}, FlagsAdd, Flags{System: Answered}, &since)
	if err != nil || !slices.Equal(res.Modified, []UID{2}) || len(res.Changed) != 1 || res.Changed[0].UID != 3 {
		t.Error(res, err)
	}
	a.fs = disk
	mustAgree(t, a)
}

// What EXPUNGE and REPLACE had removed came back as a new message.
func TestExpungeOfWhatAnotherProgramJustRenamed(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	for n := range 5 {
		deliver(t, a, text(n))
	}
	if _, err := m.Store(t.Context(), []UID{1, 2, 3, 4}, FlagsAdd, Flags{System: Deleted}, nil); err != nil {
		t.Fatal(err)
	}
	disk := a.fs
	a.fs = &racingFS{disk, a.path, 1, "FT"}
	if gone, err := m.Expunge(t.Context(), []UID{1, 2}); err != nil || !slices.Equal(gone, []UID{1, 2}) {
		t.Error(gone, err)
	}
	a.fs = &racingFS{disk, a.path, 1, "F"} // not \Deleted any more
	if gone, err := m.Expunge(t.Context(), nil); err != nil || !slices.Equal(gone, []UID{4}) {
		t.Error(gone, err)
	}
	a.fs = &racingFS{disk, a.path, 1, "S"}
	if uid, err := m.Replace(t.Context(), 5, m, newMsg(text(6), Flags{})); err != nil || uid != 6 {
		t.Error(uid, err)
	}
	a.fs = disk
	if err := m.refreshNow(t); err != nil {
		t.Fatal(err)
	}
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{3, 6}) {
		t.Error(got)
	}
	mustAgree(t, a)
}

// A message with a keyword that there is no room for was passed over, and one that got one there closed the mailbox.
func TestMessageWithoutRoomForItsKeywords(t *testing.T) {
	a := newAccount(t)
	m, archive := box(t, a, "INBOX"), box(t, a, "Archive")
	appendTo(t, m, newMsg(text(1), Flags{System: Flagged, Keywords: []string{"mine"}}))
	for i := range maxKeywords / 50 {
		var many []string
		for j := range 50 {
			many = append(many, fmt.Sprint("k", i, ".", j))
		}
		appendTo(t, archive, newMsg(text(i), Flags{Keywords: many}))
	}
	for _, from := range []string{fileOf(t, m, 1), fileOf(t, archive, 1)} { // P is $Forwarded
		if err := os.Rename(from, filepath.Join(a.path, ".Archive", "cur", filepath.Base(from)+"P")); err != nil {
			t.Fatal(err)
		}
	}
	s := box(t, a, "Archive").Snapshot()
	if n := s.Len(); n != maxKeywords/50+1 || s.At(n-1).Flags.System != Flagged || len(s.At(0).Flags.Keywords) != 50 {
		t.Error(n, s.At(n-1), s.At(0))
	}
	if err := m.refreshNow(t); err != nil {
		t.Fatal(err)
	}
	mustAgree(t, a)
}
