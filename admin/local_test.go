package admin

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"facteur/auth"
	"facteur/storage"
)

// While an account's folder is made, a kill leaves a server.db without the account: never one that can't be read.
func TestKilledAddAccountLeavesNoAccount(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	log := slog.New(slog.DiscardHandler)
	open := func(dir string) *auth.Directory {
		d, err := auth.Open(filepath.Join(dir, "server.db"), auth.Config{Log: log, Hostname: "mail.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	l := &Local{Directory: open(dir)}
	adding := false
	// The store asks for the time in the midst of making the folder.
	now := func() time.Time {
		if adding {
			adding = false
			if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
		}
		return time.Now()
	}
	var err error
	if l.Store, err = storage.Open(t.TempDir(), storage.Config{Log: log, Now: now, LowWater: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Store.Close() })
	if err := l.Directory.AddDomain(t.Context(), auth.Domain{Name: "example.org"}); err != nil {
		t.Fatal(err)
	}
	adding = true
	if _, err := l.AddAccount(t.Context(), NewAccount{Name: "ann@example.org"}); err != nil {
		t.Fatal(err)
	}
	if adding {
		t.Fatal("the store didn't ask for the time")
	}
	if _, err := l.Directory.Account(t.Context(), "ann@example.org"); err != nil {
		t.Errorf("not killed: %v", err)
	}
	if list, err := open(killed).Accounts(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("killed: %v, %v", list, err)
	}
}

func TestAppPasswordNamesArePrintable(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	d, err := auth.Open(filepath.Join(t.TempDir(), "server.db"), auth.Config{Log: log, Hostname: "mail.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := d.AddDomain(t.Context(), auth.Domain{Name: "example.org"}); err != nil {
		t.Fatal(err)
	}
	if err := d.AddAccount(t.Context(), "ann@example.org", "pw"); err != nil {
		t.Fatal(err)
	}
	l := &Local{Directory: d}
	for name, ok := range map[string]bool{"Ann's phone": true, "two\nlines": false, "\x1b[2J": false} {
		if _, err := l.AddAppPassword(t.Context(), AppPassword{Account: "ann@example.org", Name: name}); (err == nil) != ok || !ok && Kind(err) != ErrInvalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
