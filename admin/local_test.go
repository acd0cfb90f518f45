package admin

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

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

// Of two changes of one domain or account at the same time, the one that wrote last undid the other.
func TestChangesAtTheSameTime(t *testing.T) {
	d, err := auth.Open(filepath.Join(t.TempDir(), "server.db"), auth.Config{Log: slog.New(slog.DiscardHandler), Hostname: "mail.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	l := &Local{Directory: d}
	if _, err := l.AddDomain(t.Context(), Domain{Name: "example.org"}); err != nil {
		t.Fatal(err)
	}
	if err := d.AddAccount(t.Context(), "ann@example.org", "pw"); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		off, catchAll, quota := i%2 == 0, fmt.Sprintf("a%d@example.org", i), int64(i+1)
		var changes errgroup.Group
		changes.Go(func() error {
			_, err := l.DisableDomain(t.Context(), Switch{Name: "example.org", Off: off})
			return err
		})
		changes.Go(func() error {
			_, err := l.SetCatchAll(t.Context(), CatchAll{Domain: "example.org", Address: catchAll})
			return err
		})
		changes.Go(func() error {
			_, err := l.DisableAccount(t.Context(), Switch{Name: "ann@example.org", Off: off})
			return err
		})
		changes.Go(func() error {
			_, err := l.SetQuota(t.Context(), Quota{Name: "ann@example.org", Bytes: quota, Messages: -1, SendPerDay: -1})
			return err
		})
		if err := changes.Wait(); err != nil {
			t.Fatal(err)
		}
		domains, err := l.Domains(t.Context(), None{})
		if err != nil || domains[0].Disabled != off || domains[0].CatchAll != catchAll {
			t.Errorf("round %d: %+v %v", i, domains, err)
		}
		account, err := d.Account(t.Context(), "ann@example.org")
		if err != nil || account.Disabled != off || account.QuotaBytes != quota {
			t.Errorf("round %d: %+v %v", i, account, err)
		}
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
