package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facteur/storage/maildir"
)

// crashCases are the operations that are broken off after each of their steps.
var crashCases = map[string]struct {
	do func(ctx context.Context, a *Account) error
	// twice: a power cut may leave a message under both names. It was not acknowledged
	// to be in one place yet, and none is lost.
	twice bool
}{
	"deliver": {do: func(ctx context.Context, a *Account) error {
		return deliverErr(a, text(50), "INBOX")
	}},
	"deliver to two": {do: func(ctx context.Context, a *Account) error {
		return deliverErr(a, text(50), "INBOX", "Archive")
	}},
	"deliver to a new mailbox": {do: func(ctx context.Context, a *Account) error {
		return deliverErr(a, text(50), "New/er")
	}},
	"append two": {do: func(ctx context.Context, a *Account) error {
		m, err := a.Mailbox(ctx, "Work")
		if err != nil {
			return err
		}
		_, err = m.Append(ctx, []New{newMsg(text(50), Flags{System: Seen, Keywords: []string{"fresh"}}), newMsg(text(51), Flags{})})
		return err
	}},
	"store": {do: onInbox(func(ctx context.Context, m *Mailbox) error {
		_, err := m.Store(ctx, []UID{1, 2, 3}, FlagsAdd, Flags{System: Seen, Keywords: []string{"one", "two"}}, nil)
		return err
	})},
	"copy": {do: between(func(ctx context.Context, m, to *Mailbox) error {
		_, err := m.Copy(ctx, []UID{1, 2, 3}, to)
		return err
	})},
	"move": {twice: true, do: between(func(ctx context.Context, m, to *Mailbox) error {
		_, err := m.Move(ctx, []UID{1, 2, 3}, to)
		return err
	})},
	"replace": {twice: true, do: between(func(ctx context.Context, m, to *Mailbox) error {
		_, err := m.Replace(ctx, 2, to, newMsg(text(50), Flags{}))
		return err
	})},
	"expunge": {do: onInbox(func(ctx context.Context, m *Mailbox) error {
		_, err := m.Expunge(ctx, nil)
		return err
	})},
	"rename": {twice: true, do: func(ctx context.Context, a *Account) error {
		return a.RenameMailbox(ctx, "Work", "Play/Time")
	}},
	"rename INBOX": {twice: true, do: func(ctx context.Context, a *Account) error {
		return a.RenameMailbox(ctx, "INBOX", "Old")
	}},
	"delete": {do: func(ctx context.Context, a *Account) error { return a.DeleteMailbox(ctx, "Work") }},
}

func deliverErr(a *Account, body string, to ...string) error {
	_, err := a.Deliver(context.Background(), Delivery{Body: strings.NewReader(body), BodySize: int64(len(body)), Mailboxes: to})
	return err
}

func onInbox(f func(context.Context, *Mailbox) error) func(context.Context, *Account) error {
	return func(ctx context.Context, a *Account) error {
		m, err := a.Mailbox(ctx, "INBOX")
		if err != nil {
			return err
		}
		return f(ctx, m)
	}
}

func between(f func(context.Context, *Mailbox, *Mailbox) error) func(context.Context, *Account) error {
	return func(ctx context.Context, a *Account) error {
		m, err := a.Mailbox(ctx, "INBOX")
		if err != nil {
			return err
		}
		to, err := a.Mailbox(ctx, "Archive")
		if err != nil {
			return err
		}
		return f(ctx, m, to)
	}
}

// crashTemplate makes the folder that every case starts from.
func crashTemplate(t *testing.T) string {
	dir := fastDir(t)
	s := testStore(t, dir)
	a := testAccount(t, s)
	for i := range 3 {
		deliver(t, a, text(i))
	}
	deliver(t, a, text(3), "Archive")
	deliver(t, a, text(4), "Work")
	deliver(t, a, text(5), "Work/Sub")
	m := box(t, a, "INBOX")
	if _, err := m.Store(t.Context(), []UID{2}, FlagsAdd, Flags{System: Deleted}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// census counts the messages of an account by their subject, and notes the highest UID
// of each mailbox.
func census(t testing.TB, a *Account) (subjects map[string]int, uids map[uint32]UID) {
	t.Helper()
	subjects, uids = map[string]int{}, map[uint32]UID{}
	list, err := a.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		if info.NoSelect {
			continue
		}
		m := box(t, a, info.Name)
		for _, e := range m.Snapshot().All(0) {
			body := read(t, m, e.UID)
			_, rest, _ := strings.Cut(body, "Subject: ")
			subject, _, _ := strings.Cut(rest, "\r\n")
			if !strings.HasSuffix(body, "Body of message "+strings.TrimPrefix(subject, "number ")+".\r\n") {
				t.Errorf("message cut off: %q", body)
			}
			subjects[subject]++
			uids[m.validity] = e.UID
		}
	}
	return subjects, uids
}

func TestRule4CrashAfterEveryStep(t *testing.T) {
	template := crashTemplate(t)
	for name, c := range crashCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, _ := run(t, template, 0, nil)
			after, steps := run(t, template, 1<<30, c.do)
			t.Logf("%d steps", steps)
			for k := range steps + 1 {
				crashAt(t, template, k, c.do, before, after, c.twice)
			}
		})
	}
}

// run does the operation on a copy without a crash, and counts messages and steps.
func run(t *testing.T, template string, steps int, do func(context.Context, *Account) error) (map[string]int, int) {
	t.Helper()
	dir := copyDir(t, template)
	s := testStore(t, dir)
	d := newCrashDisk(t, dir, steps)
	if do != nil {
		s.openFS = d.open
	}
	a := testAccount(t, s)
	used := 0
	if do != nil {
		used = d.left
		if err := do(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		used -= d.left
	}
	subjects, _ := census(t, a)
	s.Close()
	return subjects, used
}

func crashAt(t *testing.T, template string, k int, do func(context.Context, *Account) error, before, after map[string]int, twice bool) {
	t.Helper()
	dir := copyDir(t, template)
	s := testStore(t, dir)
	d := newCrashDisk(t, dir, 1<<30)
	s.openFS = d.open
	a := testAccount(t, s)
	d.left = k
	err := do(t.Context(), a)
	d.left = 0
	_ = a.flush(context.Background()) // the index may have got further than the files
	shown := map[uint32]UID{}
	for _, m := range a.allMailboxes() {
		if s := m.Snapshot(); s != nil {
			shown[m.validity] = s.UIDNext
		}
	}
	for _, variant := range []string{"kill", "power cut", "power cut, no index"} {
		to := filepath.Join(fastDir(t), "after")
		if variant == "kill" {
			copyTo(t, dir, to)
		} else {
			d.powerCut(to, variant == "power cut")
		}
		if !t.Run(fmt.Sprintf("%s after step %d", variant, k), func(t *testing.T) {
			afterCrash(t, to, err == nil, before, after, shown, twice && variant != "kill")
		}) {
			return
		}
	}
	a.db.Load().Close()
}

// afterCrash checks what a restart finds.
func afterCrash(t *testing.T, dir string, acknowledged bool, before, after map[string]int, shown map[uint32]UID, twice bool) {
	s := testStore(t, dir)
	s.openFS = openLazy
	s.cfg.Now = func() time.Time { return time.Now().Add(2 * linkLeft) } // a reboot takes that long
	defer s.Close()
	a := testAccount(t, s)
	got, uids := census(t, a)
	for subject := range merged(before, after, got) {
		lo, hi := min(before[subject], after[subject]), max(before[subject], after[subject])
		if acknowledged {
			lo, hi = after[subject], after[subject]
		} else if twice {
			hi++
		}
		if n := got[subject]; n < lo || n > hi {
			t.Errorf("%q is there %d times, want %d to %d", subject, n, lo, hi)
		}
	}
	mustAgree(t, a)
	for _, m := range a.allMailboxes() {
		if names, _ := a.fs.ReadDir(maildir.Join(m.place.Load().folder, "tmp")); len(names) > 0 {
			t.Errorf("left in tmp of %q: %v", m.Name(), names)
		}
	}
	for _, st := range deliver(t, a, text(90), "INBOX", "Archive") {
		if st.UID <= uids[st.UIDValidity] || st.UID < shown[st.UIDValidity] {
			t.Errorf("UID %d of %s was used before", st.UID, st.Mailbox)
		}
	}
	mustAgree(t, a)
}

func merged(maps ...map[string]int) map[string]bool {
	all := map[string]bool{}
	for _, m := range maps {
		for k := range m {
			all[k] = true
		}
	}
	return all
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(fastDir(t), "copy")
	copyTo(t, from, to)
	return to
}

func copyTo(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
