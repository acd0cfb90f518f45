package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"facteur/storage/maildir"
)

// calmBox is a mailbox of 1200 messages in .Work, watched by Run, and the disk that another program meddles with.
func calmBox(t *testing.T) (a *Account, m *Mailbox, disk *meddlingFS) {
	t.Helper()
	s := testStore(t, fastDir(t))
	s.openFS = openMeddling
	s.cfg.FullText = false
	t.Cleanup(func() { s.Close() })
	a = testAccount(t, s)
	deliver(t, a, text(1), "Work")
	m = box(t, a, "Work")
	copies(t, m, 1200)
	runStore(t, s)
	heard(t, m, "first")
	return a, m, a.fs.(*meddlingFS)
}

func copies(t *testing.T, m *Mailbox, n int) {
	t.Helper()
	for m.Snapshot().Len() < n {
		uids := m.Snapshot().UIDs()
		if _, err := m.Copy(t.Context(), uids[:min(len(uids), n-len(uids))], m); err != nil {
			t.Fatal(err)
		}
	}
}

// heard moves a file into a mailbox's cur and waits until Run has heard of it. Nobody else looks.
func heard(t *testing.T, m *Mailbox, name string) {
	t.Helper()
	w := m.a.Watch()
	defer w.Close()
	n := m.Snapshot().Len()
	put(t, filepath.Join(m.a.path, "tmp", name), text(9)) // a file written in cur would be heard of by calm's watch too
	if err := mv(m.a, "tmp/"+name, maildir.Join(m.place.Load().folder, "cur", name+":2,")); err != nil {
		t.Fatal(err)
	}
	until(t, w, name+" in "+m.Name(), func() bool { return m.Snapshot().Len() == n+1 })
}

func storeAll(m *Mailbox, f Flags) error {
	_, err := m.Store(context.Background(), slices.Clone(m.Snapshot().UIDs()), FlagsAdd, f, nil)
	return err
}

func listened(t *testing.T, m *Mailbox) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !m.Snapshot().deaf.IsZero(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("deaf for good:", m.Name())
		}
	}
}

// Whatever is done to the folder while inotify is calm, what happens in it later is heard, and taken for the right mailbox's.
func TestFolderMovedDuringALargeStore(t *testing.T) {
	t.Parallel()
	for what, meddle := range map[string]struct{ during, after func(a *Account) error }{
		"mv away, mv back": {
			func(a *Account) error { return mv(a, ".Work", "away") },
			func(a *Account) error { return mv(a, "away", ".Work") },
		},
		"mv":         {func(a *Account) error { return mv(a, ".Work", ".Play") }, nil},
		"swap":       {func(a *Account) error { return swap(a, ".Work", ".Other") }, nil},
		"swap, swap": {func(a *Account) error { return swap(a, ".Work", ".Other") }, func(a *Account) error { return swap(a, ".Work", ".Other") }},
		"mv cur": {func(a *Account) error {
			return errors.Join(mv(a, ".Work/cur", "oldcur"), os.Mkdir(filepath.Join(a.path, ".Work", "cur"), 0o700))
		}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a, m, disk := calmBox(t)
			deliver(t, a, text(5), "Other")
			other := box(t, a, "Other")
			heard(t, other, "first")
			disk.meddle = func() {
				if err := meddle.during(a); err != nil {
					t.Error(err)
				}
			}
			disk.renames.Store(1201)
			if err := storeAll(m, Flags{System: Flagged}); err != nil {
				t.Log(err)
			}
			if meddle.after != nil {
				if err := meddle.after(a); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(1500 * time.Millisecond)
			if m.Gone() && what == "mv away, mv back" {
				t.Skip("Run saw that it was away")
			}
			listened(t, m)
			for _, b := range []*Mailbox{m, other} {
				heard(t, b, "second")
				heard(t, b, "third")
			}
			if m.Gone() || m.Snapshot().UIDs()[0] != 1 && what != "mv cur" {
				t.Error(m.Gone(), m.Snapshot().UIDs()[0])
			}
			mustAgree(t, a)
		})
	}
}

func mv(a *Account, from, to string) error {
	return os.Rename(filepath.Join(a.path, from), filepath.Join(a.path, to))
}

func swap(a *Account, one, other string) error {
	return errors.Join(mv(a, one, "swap"), mv(a, other, one), mv(a, "swap", other))
}

// Our own RENAME and DELETE that wait for a large STORE.
func TestRenameAndDeleteBehindALargeStore(t *testing.T) {
	t.Parallel()
	a, m, disk := calmBox(t)
	var wg sync.WaitGroup
	disk.meddle = func() {
		wg.Go(func() {
			if err := a.RenameMailbox(t.Context(), "Work", "Play"); err != nil {
				t.Error(err)
			}
		})
	}
	disk.renames.Store(600)
	if err := storeAll(m, Flags{System: Flagged}); err != nil {
		t.Error(err)
	}
	wg.Wait()
	listened(t, m)
	heard(t, m, "after the rename")
	mustAgree(t, a)
	disk.meddle = func() {
		wg.Go(func() {
			if err := a.DeleteMailbox(t.Context(), "Play"); err != nil {
				t.Error(err)
			}
		})
	}
	disk.renames.Store(600)
	if err := storeAll(m, Flags{System: Answered}); err != nil {
		t.Error(err)
	}
	wg.Wait()
	time.Sleep(1500 * time.Millisecond)
	if u, _ := a.Usage(t.Context()); u.Messages != 0 {
		t.Error(u)
	}
	mustAgree(t, a)
}

// inotify fails in the middle: what happened is still found out.
func TestInotifyEndsDuringALargeStore(t *testing.T) {
	t.Parallel()
	a, m, disk := calmBox(t)
	disk.meddle = func() {
		dir, err := os.Open(a.path) // reading it is an error
		if err == nil {
			err = unix.Dup3(int(dir.Fd()), a.s.notify.Load().fd, unix.O_CLOEXEC)
			dir.Close()
		}
		err = errors.Join(err, os.Remove(fileOf(t, m, 1190)))
		if err != nil {
			t.Error(err)
		}
	}
	disk.renames.Store(600)
	if _, err := m.Store(t.Context(), m.Snapshot().UIDs()[:1100], FlagsAdd, Flags{System: Flagged}, nil); err != nil {
		t.Error(err)
	}
	listened(t, m)
	if _, ok := m.Snapshot().Find(1190); ok {
		t.Error("a file removed meanwhile is not missed")
	}
	mustAgree(t, a)
}

// A deaf table outlives the end of Run, and its leaving memory, without passing for up to date.
func TestDeafTableAtTheEndOfRun(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"stop", "unload", "Run again"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := fastDir(t)
			s := testStore(t, dir)
			s.openFS = openMeddling
			defer func() { s.Close() }()
			w := s.newWatcher()
			a := testAccount(t, s)
			m := box(t, a, "INBOX")
			appendTo(t, m, newMsg(text(1), Flags{System: Seen}))
			copies(t, m, 1500)
			w.watch(t.Context(), a)
			storeMeddled(t, a, m)
			w.close()
			time.Sleep(2 * clockStep)
			if knowsMeddling(m.Snapshot()) || m.Snapshot().deaf.IsZero() {
				t.Fatal("this shows nothing")
			}
			switch what {
			case "stop":
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = testStore(t, dir)
				m = box(t, testAccount(t, s), "INBOX")
			case "unload":
				if err := a.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				refs := m.refs.Swap(0)
				m.unload(time.Now().Add(time.Hour))
				m.refs.Store(refs)
				if m.Snapshot() != nil {
					t.Log("stays in memory")
				}
				fallthrough
			case "Run again":
				runStore(t, s)
				listened(t, m)
			}
			if !knowsMeddling(m.Snapshot()) {
				t.Error("what another program did is not known")
			}
		})
	}
}

// Large changes of two mailboxes side by side, while another program renames, adds and removes files in both.
func TestLargeChangesAndAnotherProgramAtOnce(t *testing.T) {
	t.Parallel()
	a, m, _ := calmBox(t)
	deliver(t, a, text(5), "Other")
	other := box(t, a, "Other")
	stop := make(chan struct{})
	var wg, foreign sync.WaitGroup
	foreign.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			dir := filepath.Join(a.path, []string{".Work", ".Other"}[i%2], "cur")
			names, _ := os.ReadDir(dir)
			if len(names) > 0 {
				name := filepath.Join(dir, names[i*7919%len(names)].Name())
				if i%5 == 0 {
					os.Remove(name)
				} else if !strings.Contains(name[strings.LastIndex(name, ":"):], "T") {
					os.Rename(name, name+"T")
				}
			}
			put(t, filepath.Join(a.path, "tmp", "x"), text(i))
			os.Rename(filepath.Join(a.path, "tmp", "x"), filepath.Join(dir, fmt.Sprintf("x%d:2,S", i)))
		}
	})
	for g := range 3 {
		wg.Go(func() {
			for i := range 6 {
				from, to := m, other
				if (g+i)%2 == 0 {
					from, to = other, m
				}
				var err error
				switch all := slices.Clone(from.Snapshot().UIDs()); (g*7 + i) % 5 {
				case 0:
					_, err = from.Move(t.Context(), all, to)
				case 1:
					_, err = from.Move(t.Context(), all, from)
				case 2, 3:
					_, err = from.Store(t.Context(), all, []FlagOp{FlagsAdd, FlagsRemove}[i%2], Flags{System: Flagged}, nil)
				case 4:
					_, err = from.Copy(t.Context(), all[:len(all)/2], to)
				}
				if err != nil {
					t.Log(err) // the other program was faster four times
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	foreign.Wait()
	time.Sleep(1500 * time.Millisecond)
	for _, b := range []*Mailbox{m, other} {
		listened(t, b)
		found, err := maildir.List(a.fs, b.place.Load().folder)
		if err != nil || len(found) != b.Snapshot().Len() {
			t.Errorf("%s: %d files, %d messages, %v", b.Name(), len(found), b.Snapshot().Len(), err)
		}
		heard(t, b, "last")
	}
	mustAgree(t, a)
}

// Without inotify, what another program did while we changed the folder ourselves passed for known: nobody looked until the next time that
// it did something.
func TestOtherProgramsWithoutInotify(t *testing.T) {
	t.Parallel()
	s := testStore(t, fastDir(t))
	s.openFS = openMeddling
	s.cfg.FullText = false
	t.Cleanup(func() { s.Close() })
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	runStore(t, s)
	heard(t, m, "first")
	dir, err := os.Open(a.path) // reading it is an error
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Dup3(int(dir.Fd()), s.notify.Load().fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.path, "cur", "wakes:2,"), nil, 0o600); err != nil { // should poll(2) still wait
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); s.notify.Load() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("inotify goes on: this shows nothing")
		}
	}
	m = box(t, a, "INBOX")
	n := m.Snapshot().Len()
	put(t, filepath.Join(a.path, "tmp", "foreign"), text(7))
	disk := a.fs.(*meddlingFS)
	disk.meddle = func() {
		if err := mv(a, "tmp/foreign", "cur/foreign:2,"); err != nil {
			t.Error(err)
		}
	}
	disk.renames.Store(1)
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Flagged}, nil); err != nil {
		t.Fatal(err)
	}
	w := a.Watch()
	defer w.Close()
	until(t, w, "a file added during a STORE", func() bool { return m.Snapshot().Len() == n+1 })
	listened(t, m)
	mustAgree(t, a)
}
