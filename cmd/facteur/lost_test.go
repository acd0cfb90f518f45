package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"facteur/admin"
	"facteur/auth/cert"
)

// TestLostAccounts: a server that came up without its server.db would refuse everybody's mail for good.
func TestLostAccounts(t *testing.T) {
	d := startDaemon(t, "")
	mx := d.SMTP(serviceMX)
	mx.Send("EHLO friend.test")
	mx.Want("250 ")
	mx.Send("MAIL FROM:<>")
	mx.Want("250")
	for _, name := range []string{"ann", "ben"} {
		mx.Send("RCPT TO:<%s@example.org>", name)
		mx.Want("250")
	}
	mx.Send("DATA")
	mx.Want("354")
	mx.Send("From: <friend@friend.test>\r\nSubject: keep me\r\n\r\nx\r\n.")
	mx.Want("250")
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "server.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	for range 2 { // the first start has made an empty server.db
		cfg := d.cfg
		deps := defaultDeps(log)
		deps.Resolver = d.parts.resolver
		deps.Authority = func() (*cert.Authority, error) { return d.ca, nil }
		if _, err := New(cfg, deps); err == nil || !strings.Contains(err.Error(), "backup of server.db") || !strings.Contains(err.Error(), "ann@example.org") {
			t.Fatalf("started without its accounts: %v", err)
		}
	}

	parts, err := openParts(d.cfg, "test", log, defaultDeps(log)) // as "facteur account add" does
	if err != nil {
		t.Fatal(err)
	}
	ctx, s := context.Background(), parts.service(d.cfg)
	if _, err := s.AddDomain(ctx, admin.Domain{Name: "example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddAccount(ctx, admin.NewAccount{Name: "ann@example.org", Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	if err := parts.close(); err != nil {
		t.Fatal(err)
	}
	again := startDaemonIn(t, d.dir, "")
	boxes, err := again.service.Mailboxes(ctx, admin.Name{Name: "ann@example.org"})
	if err != nil || len(boxes) == 0 || boxes[0].Messages != 1 {
		t.Errorf("mailboxes %+v, %v", boxes, err)
	}
	if !strings.Contains(again.log.String(), "account=ben@example.org") {
		t.Error("nobody is told of ben's mail, who has no account")
	}
}

// What a killed "facteur account add" leaves is no lost server.db, and the next try makes it a whole account.
func TestKilledAccountAddIsNoLoss(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Hostname, cfg.Data = "mail.example.org", t.TempDir()
	p, err := openParts(cfg, "test", slog.New(slog.DiscardHandler), defaultDeps(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	ctx, s := t.Context(), p.service(cfg)
	if _, err := s.AddDomain(ctx, admin.Domain{Name: "example.org"}); err != nil {
		t.Fatal(err)
	}
	if err := p.store.CreateAccount(ctx, "ann@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := p.knowsOwners(ctx, cfg.Data); err != nil {
		t.Error(err)
	}
	if _, err := s.AddAccount(ctx, admin.NewAccount{Name: "ann@example.org"}); err != nil {
		t.Error(err)
	}
	if boxes, err := s.Mailboxes(ctx, admin.Name{Name: "ann@example.org"}); err != nil || len(boxes) == 0 {
		t.Errorf("mailboxes %+v, %v", boxes, err)
	}
}

// An account that has lost its folder is a problem, and has a folder again afterwards.
func TestVerifyFindsAccountsWithoutFolder(t *testing.T) {
	d := startDaemon(t, "")
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(d.dir, "mail", "example.org", "ann")); err != nil {
		t.Fatal(err)
	}
	if out := facteur(t, exitProblems, "--data", d.dir, "verify"); !strings.Contains(out, "no folder") || !strings.Contains(out, "facteur mailbox rebuild ann@example.org") || strings.Contains(out, "ben@") {
		t.Errorf("verify: %s", out)
	}
	facteur(t, exitOK, "--data", d.dir, "mailbox", "rebuild", "ann@example.org")
	facteur(t, exitOK, "--data", d.dir, "verify")
	facteur(t, exitNotFound, "--data", d.dir, "mailbox", "rebuild", "nobody@example.org")
}

func TestVerifySaysWhatNext(t *testing.T) {
	text := whatNext([]admin.Problem{{Account: "ann@example.org", What: "x"}, {Account: "ann@example.org", What: "y"}, {Message: "q1", What: "z"}})
	if strings.Count(text, "facteur mailbox rebuild ann@example.org\n") != 1 || !strings.Contains(text, "facteur queue drop") {
		t.Error(text)
	}
}
