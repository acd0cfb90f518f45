package storage

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"facteur/storage/maildir"
)

// meddlingFS is a disk on which another program does something after so many renames of ours.
type meddlingFS struct {
	maildir.FS
	renames atomic.Int32
	meddle  func()
}

func (f *meddlingFS) Rename(from, to string) error {
	if f.renames.Add(-1) == 0 {
		f.meddle()
	}
	return f.FS.Rename(from, to)
}

func openMeddling(dir string) (maildir.FS, error) {
	fsys, err := maildir.OpenFS(dir)
	return &meddlingFS{FS: fsys}, err
}

// storeMeddled flags the first 1000 of 1500 messages, and lets another program flag one of the others, remove one and
// add one meanwhile.
func storeMeddled(t *testing.T, a *Account, m *Mailbox) {
	t.Helper()
	disk := a.fs.(*meddlingFS)
	disk.meddle = func() {
		flagged, removed := fileOf(t, m, 1400), fileOf(t, m, 1450)
		put(t, filepath.Join(a.path, "tmp", "foreign"), text(7))
		for _, err := range []error{
			os.Rename(flagged, flagged+"T"),
			os.Remove(removed),
			os.Rename(filepath.Join(a.path, "tmp", "foreign"), filepath.Join(a.path, "cur", "foreign:2,")),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	}
	disk.renames.Store(500)
	res, err := m.Store(t.Context(), m.Snapshot().UIDs()[:1000], FlagsAdd, Flags{System: Flagged}, nil)
	if err != nil || len(res.Changed) != 1000 {
		t.Fatal(len(res.Changed), err)
	}
}

// knowsMeddling reports whether a table has what storeMeddled's other program did.
func knowsMeddling(s *Snapshot) bool {
	pos, ok := s.Find(1400)
	_, removed := s.Find(1450)
	return ok && s.At(pos).Flags.System&Deleted != 0 && !removed && s.Len() == 1500
}

func TestOtherProgramsDuringALargeStore(t *testing.T) {
	s := testStore(t, t.TempDir())
	s.openFS = openMeddling
	s.cfg.FullText = false // who reads messages finds out that one is gone
	t.Cleanup(func() { s.Close() })
	runStore(t, s)
	a := testAccount(t, s)
	m := bigMailbox(t, a, 1500)
	w := a.Watch()
	defer w.Close()
	put(t, filepath.Join(a.path, "cur", "first:2,"), text(3))
	until(t, w, "the folder to be watched", func() bool { return m.Snapshot().Len() == 1501 })
	if err := os.Remove(fileOf(t, m, 1501)); err != nil {
		t.Fatal(err)
	}
	until(t, w, "a file removed", func() bool { return m.Snapshot().Len() == 1500 })

	storeMeddled(t, a, m)
	if m.Snapshot().deaf.IsZero() {
		t.Error("inotify was not calmed")
	}
	until(t, w, "what another program did during a STORE", func() bool { return knowsMeddling(m.Snapshot()) })
	listened(t, m)
	put(t, filepath.Join(a.path, "cur", "later:2,"), text(8))
	until(t, w, "a file added after a STORE", func() bool { return m.Snapshot().Len() == 1501 })
	mustAgree(t, a)
}

// Where a kill comes before the look, the index must not pass for up to date.
func TestKillAfterALargeStore(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	s.openFS = openMeddling
	defer s.Close()
	w := s.newWatcher() // nobody looks
	defer w.close()
	a := testAccount(t, s)
	m := bigMailbox(t, a, 1500)
	storeMeddled(t, a, m)
	time.Sleep(2 * clockStep) // so that the folder's times would be trusted
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if knowsMeddling(m.Snapshot()) {
		t.Fatal("the table knows already: this shows nothing")
	}
	killed := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", dir, killed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	again := testStore(t, killed)
	defer again.Close()
	if !knowsMeddling(box(t, testAccount(t, again), "INBOX").Snapshot()) {
		t.Error("what another program did during a STORE is not seen")
	}
}

// Every bulk change leaves the watch as it was, and the table no longer deaf than until the next look.
func TestLargeChangesAreCalm(t *testing.T) {
	s := testStore(t, t.TempDir())
	defer s.Close()
	w := s.newWatcher()
	defer w.close()
	a := testAccount(t, s)
	m, to := bigMailbox(t, a, 1500), box(t, a, "Archive")
	w.watch(t.Context(), a)
	all := m.Snapshot().UIDs()
	steps := []struct {
		what   string
		change func() error
		deaf   []*Mailbox
	}{
		{"STORE of few", func() error {
			_, err := m.Store(t.Context(), all[:700], FlagsAdd, Flags{System: Flagged}, nil)
			return err
		}, nil},
		{"STORE", func() error { _, err := m.Store(t.Context(), all, FlagsAdd, Flags{System: Answered}, nil); return err }, []*Mailbox{m}},
		{"COPY", func() error { _, err := m.Copy(t.Context(), all, to); return err }, []*Mailbox{to}},
		{"MOVE", func() error { _, err := m.Move(t.Context(), all[:1000], to); return err }, []*Mailbox{m, to}},
		{"EXPUNGE", func() error {
			if _, err := to.Store(t.Context(), to.Snapshot().UIDs()[:1499], FlagsAdd, Flags{System: Deleted}, nil); err != nil {
				return err
			}
			w.refresh(t.Context(), to, true)
			_, err := to.Expunge(t.Context(), nil)
			return err
		}, []*Mailbox{to}},
	}
	for _, step := range steps {
		if err := step.change(); err != nil {
			t.Fatal(step.what, err)
		}
		var got []string
		for _, box := range []*Mailbox{m, to} {
			if !box.Snapshot().deaf.IsZero() {
				got = append(got, box.Name())
			}
			w.refresh(t.Context(), box, true)
			if !box.Snapshot().deaf.IsZero() {
				t.Error(step.what, "leaves", box.Name(), "deaf after a look")
			}
		}
		var want []string
		for _, box := range step.deaf {
			want = append(want, box.Name())
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s makes %q deaf, want %q", step.what, got, want)
		}
	}
}
