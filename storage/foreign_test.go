package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runStore runs the store's background work until the end of the test.
func runStore(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// until waits for a change that the watcher tells of.
func until(t *testing.T, w *Watch, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-w.C():
		case <-deadline:
			t.Fatal("waited in vain for", what)
		}
	}
}

func put(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fileOf(t *testing.T, m *Mailbox, uid UID) string {
	t.Helper()
	s := m.Snapshot()
	pos, ok := s.Find(uid)
	if !ok {
		t.Fatalf("no UID %d", uid)
	}
	return filepath.Join(m.a.path, m.path(s.fileName(pos)))
}

func TestRule1OtherProgramsWhileWatched(t *testing.T) {
	s := testStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	runStore(t, s)
	a := testAccount(t, s)
	inbox, archive := box(t, a, "INBOX"), box(t, a, "Archive")
	deliver(t, a, text(1))
	deliver(t, a, text(2))
	w := a.Watch()
	defer w.Close()
	// The first file may come before Run watches the folder: then Run looks when it begins to.
	put(t, filepath.Join(a.path, "new", "1700000001.M1P2.other"), "Subject: foreign\n\nwith bare LF\n")
	until(t, w, "a file added to new", func() bool { return inbox.Snapshot().Len() == 3 })
	if got := read(t, inbox, 3); got != "Subject: foreign\r\n\r\nwith bare LF\r\n" {
		t.Errorf("served %q", got)
	}
	if e := inbox.Snapshot().At(2); e.Size != int64(len("Subject: foreign\r\n\r\nwith bare LF\r\n")) {
		t.Error("size", e.Size)
	}
	if name := filepath.Base(fileOf(t, inbox, 3)); name != "1700000001.M1P2.other,S=31,W=34,I="+strings.Split(strings.Split(name, "I=")[1], "-")[0]+"-3" {
		t.Error("adopted as", name)
	}

	// mutt sets flags by a rename to cur, letters in any order.
	path := fileOf(t, inbox, 1)
	if err := os.Rename(path, filepath.Join(a.path, "cur", filepath.Base(path)+":2,SF")); err != nil {
		t.Fatal(err)
	}
	until(t, w, "flags changed", func() bool { return inbox.Snapshot().At(0).Flags.System == Seen|Flagged })
	if name := fileOf(t, inbox, 1); !strings.HasSuffix(name, ":2,FS") {
		t.Error("not tidied:", name)
	}

	// Moved to another folder: a new UID there, gone here.
	path = fileOf(t, inbox, 1)
	if err := os.Rename(path, filepath.Join(a.path, ".Archive", "cur", filepath.Base(path))); err != nil {
		t.Fatal(err)
	}
	until(t, w, "a file moved", func() bool { return archive.Snapshot().Len() == 1 && inbox.Snapshot().Len() == 2 })
	if e := archive.Snapshot().At(0); e.Flags.System != Seen|Flagged || e.UID != 1 {
		t.Errorf("%+v", e)
	}

	if err := os.Remove(fileOf(t, inbox, 2)); err != nil {
		t.Fatal(err)
	}
	until(t, w, "a file removed", func() bool { return slices.Equal(inbox.Snapshot().UIDs(), []UID{3}) })
	if gone, _, err := inbox.Vanished(t.Context(), 0); err != nil || !slices.Equal(gone, []UID{1, 2}) {
		t.Error(gone, err)
	}

	// A folder with mail in it.
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(a.path, ".Mutt.Box", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(a.path, ".Mutt.Box", "cur", "x:2,S"), "Subject: x\r\n\r\n")
	until(t, w, "a folder made", func() bool { _, err := a.Mailbox(t.Context(), "Mutt/Box"); return err == nil })
	if m := box(t, a, "Mutt/Box"); m.Snapshot().Len() != 1 {
		t.Error("messages in it:", m.Snapshot().Len())
	}
	mustAgree(t, a)
}

func TestRule3NamesOfDovecotAreAdopted(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	path, _ := s.Path(alice)
	put(t, filepath.Join(path, "cur", "1435000000.M1P2.dove,S=33,W=36:2,FSab"), "Subject: dovecot\n\nbody of it, yes")
	put(t, filepath.Join(path, "cur", "1434000000.Q5.courier:2,"), "Subject: older\r\n\r\n")
	put(t, filepath.Join(path, "cur", ".hidden"), "no message")
	a := testAccount(t, s)
	defer s.Close()
	m := box(t, a, "INBOX")
	snap := m.Snapshot()
	if snap.Len() != 2 || snap.At(0).Size != 18 || snap.At(1).Flags.System != Flagged|Seen {
		t.Fatalf("%d %+v %+v", snap.Len(), snap.At(0), snap.At(1))
	}
	mustAgree(t, a)
}

func TestOddFilesDoNotCloseTheMailbox(t *testing.T) {
	a := newAccount(t)
	cur := filepath.Join(a.path, "cur")
	deliver(t, a, text(1))
	if err := os.Symlink("/etc/passwd", filepath.Join(cur, "leads:2,outside")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(cur, "broken")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(cur, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(cur, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(cur, "plain"), "Subject: x\r\n\r\n")
	m := box(t, a, "INBOX")
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{1, 2}) {
		t.Error(got)
	}
	deliver(t, a, text(2))
}

// A kill can lose what the index was not told of yet.
func TestVanishedIsNotTrustedAfterAKill(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	deliver(t, a, text(2))
	seen := m.Snapshot().HighestModSeq // by a session, with UIDs 1 and 2
	m.Store(t.Context(), []UID{2}, FlagsAdd, Flags{System: Deleted}, nil)
	m.Expunge(t.Context(), nil)
	last := m.Snapshot().HighestModSeq
	killed := copyDir(t, dir)
	s.Close()

	s = testStore(t, killed)
	defer s.Close()
	m = box(t, testAccount(t, s), "INBOX")
	if h := m.Snapshot().HighestModSeq; h <= last {
		t.Errorf("HIGHESTMODSEQ went from %d to %d", last, h)
	}
	if gone, complete, err := m.Vanished(t.Context(), seen); err != nil || complete && !slices.Contains(gone, 2) {
		t.Error(gone, complete, err)
	}
}

// What the index knew last, or all of it, is lost, and the clock starts again in the past.
func TestRule5ModSeqRisesOverALostIndexAndAClockSetBack(t *testing.T) {
	for _, lost := range []string{"all", "the last changes"} {
		t.Run(lost, func(t *testing.T) {
			dir, now := t.TempDir(), time.Now()
			s := testStore(t, dir)
			for range 3 { // restarts, each a month before the last one
				s.cfg.Now = func() time.Time { return now }
				a := testAccount(t, s)
				m := box(t, a, "INBOX")
				deliver(t, a, text(1))
				if err := a.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				now = now.Add(time.Hour)
				deliver(t, a, text(2))
				if _, err := m.Store(t.Context(), m.Snapshot().UIDs(), FlagsAdd, Flags{System: Deleted}, nil); err != nil {
					t.Fatal(err)
				}
				if _, err := m.Expunge(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				seen := m.Snapshot().HighestModSeq
				dir = copyDir(t, dir)
				s.Close()
				if lost == "all" {
					if err := removeIndex(filepath.Join(dir, "example.org", "alice", indexFile)); err != nil {
						t.Fatal(err)
					}
				}
				now = now.AddDate(0, -1, 0)
				s = testStore(t, dir)
				s.cfg.Now = func() time.Time { return now }
				a = testAccount(t, s)
				m = box(t, a, "INBOX")
				if h := m.Snapshot().HighestModSeq; h <= seen {
					t.Errorf("HIGHESTMODSEQ went from %d to %d", seen, h)
				}
				seen = m.Snapshot().HighestModSeq
				uid := deliver(t, a, text(3))[0].UID
				if got := m.Snapshot(); got.At(got.Len()-1).UID != uid || got.At(got.Len()-1).ModSeq <= seen {
					t.Errorf("%+v after HIGHESTMODSEQ %d", got.At(got.Len()-1), seen)
				}
			}
			s.Close()
		})
	}
}

// The times of a folder are only as fine as a tick of the kernel.
func TestKillInTheTickOfAFlush(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	times := m.Snapshot().times
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	deliver(t, a, text(2))
	for sub, ns := range map[string]int64{"new": times.New, "cur": times.Cur} { // as if in the same tick
		at := time.Unix(0, ns)
		if err := os.Chtimes(filepath.Join(a.path, sub), at, at); err != nil {
			t.Fatal(err)
		}
	}
	killed := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", dir, killed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.Close()
	s = testStore(t, killed)
	defer s.Close()
	if m := box(t, testAccount(t, s), "INBOX"); m.Snapshot().Len() != 2 {
		t.Error("messages:", m.Snapshot().Len())
	}
}

// Between reading the index and the end of the first look, the table doesn't know all files yet: an index that was
// told so would take them for expunged messages after a kill.
func TestKillBeforeTheFirstLookKeepsUIDs(t *testing.T) {
	for _, knew := range []int{0, 1} { // messages that the index knew
		dir := t.TempDir()
		s := testStore(t, dir)
		a := testAccount(t, s)
		for i := range 3 {
			if i == knew {
				if err := a.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			deliver(t, a, text(i))
		}
		killed := copyDir(t, dir)
		s.Close()

		s = testStore(t, killed)
		a = &Account{s: s, name: alice, path: filepath.Join(killed, "example.org", "alice"), mailboxes: map[string]*Mailbox{}, watches: map[*Watch]struct{}{}}
		var err error
		if a.fs, err = s.openFS(a.path); err != nil {
			t.Fatal(err)
		}
		a.listed()
		if err := errors.Join(a.openIndex(), a.readAccountInfo(), a.readTree()); err != nil {
			t.Fatal(err)
		}
		m := a.mailboxes["INBOX"]
		m.mu.Lock()
		err = m.load(t.Context())
		m.mu.Unlock()
		if err = errors.Join(err, a.flush(t.Context()), a.db.Load().Close()); err != nil {
			t.Fatal(err)
		}

		s = testStore(t, killed)
		if got := box(t, testAccount(t, s), "INBOX").Snapshot().UIDs(); !slices.Equal(got, []UID{1, 2, 3}) {
			t.Errorf("of an index that knew %d: UIDs %v", knew, got)
		}
		s.Close()
	}
}

// Two files of one UID: the one that the index knows keeps it, and none is lost, whatever the names.
func TestCopyBesideItsOriginal(t *testing.T) {
	for _, copyName := range []string{"0000000000.aaaa.copy,S=%d,I=%d-1:2,", "9999999999.zzzz.copy,S=%d,I=%d-1:2,F"} {
		a := newAccount(t)
		deliver(t, a, text(1))
		m := box(t, a, "INBOX")
		was := read(t, m, 1)
		other := "Subject: not the same\r\n\r\n"
		if err := os.WriteFile(filepath.Join(a.path, "cur", fmt.Sprintf(copyName, len(other), m.validity)), []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		m = box(t, a, "INBOX")
		if uids := m.Snapshot().UIDs(); !slices.Equal(uids, []UID{1, 2}) {
			t.Fatalf("UIDs %v", uids)
		}
		if read(t, m, 1) != was || read(t, m, 2) != other {
			t.Errorf("1 is %q, 2 is %q", read(t, m, 1), read(t, m, 2))
		}
		mustAgree(t, a)
	}
}

// A file gets its proper name, and another one has that name already.
func TestProperNameIsTaken(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	appendTo(t, m, newMsg(text(1), Flags{System: Seen | Flagged}))
	was, name := read(t, m, 1), fileOf(t, m, 1)
	odd := strings.TrimSuffix(name, "FS") + "SF"
	if odd == name+"SF" {
		t.Fatal(name)
	}
	other := "Subject: not the same\r\n\r\n"
	if err := errors.Join(os.Rename(name, odd), os.WriteFile(name, []byte(other), 0o600)); err != nil {
		t.Fatal(err)
	}
	m = box(t, a, "INBOX")
	var got []string
	for _, uid := range m.Snapshot().UIDs() {
		got = append(got, read(t, m, uid))
	}
	if !slices.Equal(got, []string{was, other}) {
		t.Errorf("left: %q", got)
	}
	mustAgree(t, a)
}

// Mail that came before the stop must not make the next start look through the folder.
func TestCleanStopIsTrusted(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	deliver(t, a, text(1))
	s.Close()
	s = testStore(t, dir)
	defer s.Close()
	a = testAccount(t, s)
	for _, m := range a.allMailboxes() {
		if m.snap.Load() != nil {
			t.Error("looked through", m.Name())
		}
	}
}

func TestVanishedIsCompleteAfterACleanStop(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	deliver(t, a, text(2))
	a.flush(t.Context())
	seen := m.Snapshot().HighestModSeq
	m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Deleted}, nil)
	m.Expunge(t.Context(), nil)
	s.Close()
	s = testStore(t, dir)
	defer s.Close()
	m = box(t, testAccount(t, s), "INBOX")
	if gone, complete, err := m.Vanished(t.Context(), seen); err != nil || !complete || !slices.Equal(gone, []UID{1}) {
		t.Error(gone, complete, err)
	}
}

func TestLeftoversOfDeletesAreSwept(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	path, _ := s.Path(alice)
	for _, left := range []string{filepath.Join(path, trashPrefix+"x", "cur"), filepath.Join(dir, removedPrefix+"y")} {
		if err := os.MkdirAll(left, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s = testStore(t, dir)
	defer s.Close()
	testAccount(t, s)
	for _, left := range []string{filepath.Join(path, trashPrefix+"x"), filepath.Join(dir, removedPrefix+"y")} {
		if _, err := os.Stat(left); err == nil {
			t.Error("left:", left)
		}
	}
}

func TestUIDNeverComesBack(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	inbox := box(t, a, "INBOX")
	deliver(t, a, text(1))
	path := fileOf(t, inbox, 1)
	data, _ := os.ReadFile(path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	inbox.mu.Lock()
	err := inbox.refresh(t.Context(), true)
	inbox.mu.Unlock()
	if err != nil || inbox.Snapshot().Len() != 0 {
		t.Fatal(err, inbox.Snapshot().Len())
	}
	put(t, path, string(data)) // restored from a backup, with its old name
	m := box(t, a, "INBOX")
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{2}) {
		t.Fatal(got)
	}
	// All messages and the index lost: the text file still has the bound.
	os.Remove(fileOf(t, m, 2))
	s.Close()
	os.Remove(filepath.Join(a.path, indexFile))
	s = testStore(t, dir)
	defer s.Close()
	a = testAccount(t, s)
	if st := deliver(t, a, text(2)); st[0].UID < 3 {
		t.Error("UID", st[0].UID)
	}
	mustAgree(t, a)
}

func TestLostTextFileKeepsUIDValidity(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	st := deliver(t, a, text(1), "Archive")
	s.Close()
	for _, content := range []string{"", "facteur 1\nuidvalidity 7\n", "\x00\x00\x00"} {
		path := filepath.Join(a.path, ".Archive", "facteur")
		os.Remove(path)
		if content != "" {
			put(t, path, content)
		}
		s = testStore(t, dir)
		a = testAccount(t, s)
		if snap := box(t, a, "Archive").Snapshot(); snap.UIDValidity != st[0].UIDValidity || !slices.Equal(snap.UIDs(), []UID{st[0].UID}) {
			t.Errorf("with %q: %d %v", content, snap.UIDValidity, snap.UIDs())
		}
		s.Close()
	}
}

func TestCopiedFolderGetsItsOwnUIDValidity(t *testing.T) {
	a := newAccount(t)
	work := a.CreateMailbox(t.Context(), "Work", "")
	if work != nil {
		t.Fatal(work)
	}
	m := box(t, a, "Work")
	appendTo(t, m, newMsg(text(1), Flags{Keywords: []string{"red"}}))
	copyTo(t, filepath.Join(a.path, ".Work"), filepath.Join(a.path, ".Copy"))
	c := box(t, a, "Copy")
	if c.validity == m.validity || c.Snapshot().Len() != 1 || !slices.Equal(c.Snapshot().At(0).Flags.Keywords, []string{"red"}) {
		t.Fatal(c.validity, m.validity, c.Snapshot().Len())
	}
	mustAgree(t, a)
}

func TestIndexOfTheFutureIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	deliver(t, a, text(1))
	a.flush(t.Context())
	if err := a.db.Load().Write(t.Context(), userVersion(99)); err != nil {
		t.Fatal(err)
	}
	before := state(t, a)
	s.Close()
	s = testStore(t, dir)
	defer s.Close()
	a = testAccount(t, s)
	if after := state(t, a); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestMessageRemovedByOthersIsGone(t *testing.T) {
	a := newAccount(t)
	inbox := box(t, a, "INBOX")
	deliver(t, a, text(1))
	os.Remove(fileOf(t, inbox, 1))
	if _, err := inbox.Open(1); !errors.Is(err, ErrGone) {
		t.Fatal(err)
	}
	if inbox.Snapshot().Len() != 0 {
		t.Error("still in the table")
	}
}
