package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const alice = "alice@example.org"

// testStore opens a store with the account alice in a temporary folder.
func testStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Config{Hostname: "mail.example.org", FullText: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAccount(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	return s
}

func testAccount(t testing.TB, s *Store) *Account {
	t.Helper()
	a, err := s.Account(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Release)
	return a
}

// newAccount opens a store that is closed at the end of the test.
func newAccount(t testing.TB) *Account {
	t.Helper()
	s := testStore(t, t.TempDir())
	a := testAccount(t, s)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func box(t testing.TB, a *Account, name string) *Mailbox {
	t.Helper()
	m, err := a.Mailbox(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	return m
}

func text(n int) string {
	return fmt.Sprintf("Message-ID: <%d@example.org>\r\nSubject: number %d\r\nFrom: bob@example.org\r\n\r\nBody of message %d.\r\n", n, n, n)
}

func deliver(t testing.TB, a *Account, body string, to ...string) []Stored {
	t.Helper()
	if len(to) == 0 {
		to = []string{"INBOX"}
	}
	st, err := a.Deliver(context.Background(), Delivery{
		Prefix: []byte("Return-Path: <bob@example.org>\r\n"), Body: strings.NewReader(body), BodySize: int64(len(body)), Mailboxes: to,
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func appendTo(t testing.TB, m *Mailbox, msgs ...New) []UID {
	t.Helper()
	uids, err := m.Append(context.Background(), msgs)
	if err != nil {
		t.Fatal(err)
	}
	return uids
}

func newMsg(body string, f Flags) New {
	return New{Body: strings.NewReader(body), Size: int64(len(body)), Flags: f, Internal: time.Unix(1700000000, 0)}
}

func read(t testing.TB, m *Mailbox, uid UID) string {
	t.Helper()
	c, err := m.Open(uid)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustAgree(t testing.TB, a *Account) {
	t.Helper()
	problems, err := a.Verify(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("verify: %+v", p)
	}
}

func TestDeliverReadStoreExpunge(t *testing.T) {
	a := newAccount(t)
	inbox := box(t, a, "inbox")
	w := a.Watch()
	defer w.Close()
	st := deliver(t, a, text(1))
	select {
	case <-w.C():
	default:
		t.Error("watcher was not woken")
	}
	if got := read(t, inbox, st[0].UID); got != "Return-Path: <bob@example.org>\r\n"+text(1) {
		t.Errorf("read %q", got)
	}
	if _, err := os.Stat(filepath.Join(a.path, st[0].Path)); err != nil {
		t.Error(err)
	}
	res, err := inbox.Store(t.Context(), []UID{1, 7}, FlagsAdd, Flags{System: Seen | Deleted, Keywords: []string{"$Forwarded", "work"}}, nil)
	if err != nil || len(res.Changed) != 1 || !slices.Equal(res.Changed[0].Flags.Keywords, []string{"$Forwarded", "work"}) {
		t.Fatal(res, err)
	}
	mustAgree(t, a)
	gone, err := inbox.Expunge(t.Context(), nil)
	if err != nil || !slices.Equal(gone, []UID{1}) {
		t.Fatal(gone, err)
	}
	if st := deliver(t, a, text(2)); st[0].UID != 2 {
		t.Error("UID", st[0].UID)
	}
	vanished, _, err := inbox.Vanished(t.Context(), 0)
	if err != nil || !slices.Equal(vanished, []UID{1}) {
		t.Fatal(vanished, err)
	}
	mustAgree(t, a)
}

func TestDeliverToSeveralIsOneFile(t *testing.T) {
	a := newAccount(t)
	st := deliver(t, a, text(1), "INBOX", "Lists/go", "inbox", "Archive")
	if len(st) != 3 {
		t.Fatal(st)
	}
	fi, _ := os.Stat(filepath.Join(a.path, st[0].Path))
	for _, one := range st[1:] {
		o, err := os.Stat(filepath.Join(a.path, one.Path))
		if err != nil || !os.SameFile(fi, o) {
			t.Error(one, err)
		}
	}
	mustAgree(t, a)
}

// state is what a client may rely on.
func state(t testing.TB, a *Account) string {
	t.Helper()
	var b bytes.Buffer
	list, err := a.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		fmt.Fprintf(&b, "%+v\n", info)
		if info.NoSelect {
			continue
		}
		m, err := a.Mailbox(t.Context(), info.Name)
		if err != nil {
			t.Fatal(err)
		}
		s := m.Snapshot()
		fmt.Fprintf(&b, "validity %d next %d\n", s.UIDValidity, s.UIDNext)
		for _, e := range s.All(0) {
			fmt.Fprintf(&b, "%d %+v %d %v", e.UID, e.Flags, e.Size, e.Internal.Unix())
			for d, err := range m.Details(t.Context(), []UID{e.UID}) {
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, " %s %s %x", d.EmailID(), d.ThreadID(), d.Summary)
			}
			b.WriteByte('\n')
		}
		m.Release()
	}
	u, _ := a.Usage(t.Context())
	fmt.Fprintf(&b, "usage %+v\n", u)
	return b.String()
}

// fill makes an account with a bit of everything.
func fill(t testing.TB, a *Account) {
	t.Helper()
	for i := range 20 {
		deliver(t, a, text(i))
	}
	inbox := box(t, a, "INBOX")
	archive := box(t, a, "Archive")
	appendTo(t, archive, newMsg(text(100), Flags{System: Flagged, Keywords: []string{"a.b", "$Junk"}}), newMsg(text(101), Flags{}))
	var kw []string
	for i := range 30 {
		kw = append(kw, fmt.Sprintf("key%02d", i))
	}
	for _, step := range []func() error{
		func() error {
			_, err := inbox.Store(t.Context(), []UID{1, 2, 3}, FlagsAdd, Flags{System: Seen, Keywords: kw}, nil)
			return err
		},
		func() error {
			_, err := inbox.Store(t.Context(), []UID{4, 5}, FlagsAdd, Flags{System: Deleted}, nil)
			return err
		},
		func() error { _, err := inbox.Expunge(t.Context(), nil); return err },
		func() error { _, err := inbox.Copy(t.Context(), []UID{3, 1}, archive); return err },
		func() error { _, err := inbox.Move(t.Context(), []UID{6, 20}, archive); return err },
		func() error { return a.CreateMailbox(t.Context(), "Projekte/Fähre.x & y", "") },
		func() error { return a.Subscribe(t.Context(), "no/such", true) },
		func() error {
			return a.SetMetadata(t.Context(), "INBOX", map[string][]byte{"/private/comment": []byte("x")})
		},
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRestartAfterIndexIsLost(t *testing.T) {
	for name, hurt := range map[string]func(path string) error{
		"untouched": func(string) error { return nil },
		"deleted":   os.Remove,
		"garbage":   func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("garbage "), 5000), 0o600) },
		"truncated": func(p string) error { return os.Truncate(p, 5000) },
		"empty":     func(p string) error { return os.Truncate(p, 0) },
		"middle": func(p string) error {
			f, err := os.OpenFile(p, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 40<<10), 8192)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := testStore(t, dir)
			a := testAccount(t, s)
			fill(t, a)
			mustAgree(t, a)
			before := state(t, a)
			path := filepath.Join(a.path, indexFile)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := hurt(path); err != nil {
				t.Fatal(err)
			}
			s = testStore(t, dir)
			defer s.Close()
			a = testAccount(t, s)
			if after := state(t, a); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			mustAgree(t, a)
		})
	}
}
