package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// swapFolders is mv A T; mv B A; mv T B of another program, before anybody looks.
func swapFolders(t *testing.T, a *Account, one, other string) {
	t.Helper()
	rename := func(from, to string) error { return os.Rename(filepath.Join(a.path, from), filepath.Join(a.path, to)) }
	if err := errors.Join(rename(one, "swap"), rename(other, one), rename("swap", other)); err != nil {
		t.Fatal(err)
	}
}

// Whoever looked first after two folders were swapped, a delivery or a session that had one open, gave each message of
// both a new UID.
func TestFoldersSwappedByOthersKeepTheirUIDs(t *testing.T) {
	for what, first := range map[string]func(a *Account, red *Mailbox) error{
		"select":  func(a *Account, _ *Mailbox) error { _, err := a.Mailbox(t.Context(), "Red"); return err },
		"deliver": func(a *Account, _ *Mailbox) error { return deliverErr(a, text(50), "Blue") },
		"store": func(_ *Account, red *Mailbox) error {
			_, err := red.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Seen}, nil)
			return err
		},
		"expunge": func(_ *Account, red *Mailbox) error { _, err := red.Expunge(t.Context(), nil); return err },
		"append": func(_ *Account, red *Mailbox) error {
			_, err := red.Append(t.Context(), []New{newMsg(text(51), Flags{})})
			return err
		},
		"setmetadata": func(a *Account, _ *Mailbox) error {
			return a.SetMetadata(t.Context(), "Red", map[string][]byte{"/private/comment": []byte("x")})
		},
		"subscribe": func(a *Account, _ *Mailbox) error { return a.Subscribe(t.Context(), "Red", false) },
		"unload": func(_ *Account, red *Mailbox) error {
			red.mu.Lock()
			defer red.mu.Unlock()
			return red.exactBound(red.Snapshot())
		},
		"open": func(_ *Account, red *Mailbox) error {
			c, err := red.Open(2)
			if err == nil {
				c.Close()
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			a := newAccount(t)
			for i := range 3 {
				deliver(t, a, text(i), "Red")
				deliver(t, a, text(10+i), "Blue")
			}
			red, blue := box(t, a, "Red"), box(t, a, "Blue")
			was := map[*Mailbox]string{red: read(t, red, 2), blue: read(t, blue, 2)}
			swapFolders(t, a, ".Red", ".Blue")
			if err := first(a, red); err != nil {
				t.Log(err) // it may have to be tried again, which IMAP and SMTP say
			}
			if box(t, a, "Red") != blue || box(t, a, "Blue") != red {
				t.Fatal("the names don't go with the folders")
			}
			for m, body := range was {
				if uids := m.Snapshot().UIDs(); m.Gone() || !slices.Equal(uids[:min(3, len(uids))], []UID{1, 2, 3}) || len(uids) > 4 {
					t.Fatalf("%s: gone %v, UIDs %v", m.Name(), m.Gone(), uids)
				}
				if got := read(t, m, 2); got != body {
					t.Errorf("%s: %q instead of %q", m.Name(), got, body)
				}
			}
			mustAgree(t, a)
		})
	}
}

// The same while Run watches: what happens in the folders afterwards is taken for something in the right ones.
func TestFoldersSwappedByOthersAreWatchedOn(t *testing.T) {
	s := testStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	a := testAccount(t, s)
	deliver(t, a, text(1), "Red")
	deliver(t, a, text(2), "Blue")
	red, blue := box(t, a, "Red"), box(t, a, "Blue")
	runStore(t, s)
	w := a.Watch()
	defer w.Close()
	for round := range 5 {
		swapFolders(t, a, ".Red", ".Blue")
		until(t, w, "the names", func() bool { return (red.Name() == "Blue") == (round%2 == 0) && red.Name() != blue.Name() })
		for _, m := range []*Mailbox{red, blue} {
			put(t, filepath.Join(a.path, m.place.Load().folder, "cur", fmt.Sprint("foreign", round)), "Subject: for "+m.id+"\r\n\r\n")
			until(t, w, "a file for "+m.Name(), func() bool { return m.Snapshot().Len() == 2+round })
			if got := read(t, m, UID(2+round)); !strings.Contains(got, m.id) {
				t.Errorf("%q", got)
			}
		}
	}
	if !slices.Equal(red.Snapshot().UIDs(), blue.Snapshot().UIDs()) || red.Gone() || blue.Gone() {
		t.Error(red.Snapshot().UIDs(), blue.Snapshot().UIDs())
	}
	mustAgree(t, a)
}
