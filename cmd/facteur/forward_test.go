package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"facteur/admin"
)

func TestSendingLimits(t *testing.T) {
	now := time.Now()
	d := startDaemon(t, "", func(cfg *Config, deps *Deps) {
		cfg.Submit.PerDay, cfg.Submit.NewRecipients = 3, 4
		deps.Now = func() time.Time { return now }
	})
	facteur(t, exitOK, "--data", d.dir, "account", "quota", "ben@example.org", "--send-per-day", "5")
	if out := facteur(t, exitOK, "--data", d.dir, "account", "show", "ben@example.org"); !strings.Contains(out, "5 messages") {
		t.Errorf("the account's own limit is not shown:\n%s", out)
	}
	send := func(account string, want string, to ...string) {
		t.Helper()
		c := d.submit(account)
		c.offer(account, to, "From: "+account+"\r\n\r\nx")
		c.Want(want)
	}
	const full = "450 4.7.1 This account has sent %d messages in 24 hours, which is its limit; try again later"
	for range 3 {
		send("ann@example.org", "250", "a@x.test")
	}
	send("ann@example.org", fmt.Sprintf(full, 3), "a@x.test")
	for range 5 {
		send("ben@example.org", "250", "a@x.test")
	}
	send("ben@example.org", fmt.Sprintf(full, 5), "a@x.test")

	facteur(t, exitOK, "--data", d.dir, "account", "quota", "ben@example.org", "--send-per-day", "100")
	send("ben@example.org", "250", "a@x.test", "b@x.test", "c@x.test")
	send("ben@example.org", "450 4.7.1 This account has written to 3 new addresses in 24 hours, its limit is 4; try again later", "d@x.test", "e@x.test")
	send("ben@example.org", "250", "a@x.test", "d@x.test")
}

// A header that can't be signed is malformed, and no fault of ours: it would be so again at the next try.
func TestHeaderWithTooManyFieldsIsRefused(t *testing.T) {
	d := startDaemon(t, "")
	c := d.submit("ann@example.org")
	c.offer("ann@example.org", []string{"a@x.test"}, "From: ann@example.org\r\n"+strings.Repeat("Subject: again\r\n", 100)+"\r\nx")
	c.Want("550 5.6.0")
}

var returnPath = regexp.MustCompile(`Return-Path: <([^>]*)>`)

func TestForwardedMailBouncesToItsSender(t *testing.T) {
	d := startDaemon(t, elsewhere)
	if _, err := d.service.AddAlias(context.Background(), admin.Alias{Address: "boss@example.org", Targets: []string{"boss@away.test"}}); err != nil {
		t.Fatal(err)
	}
	c := d.SMTP(serviceMX)
	c.Send("EHLO mx.elsewhere.test")
	c.Want("250 ")
	c.mail("carol@elsewhere.test", []string{"boss@example.org"}, hello)
	forwarded := d.take("ann@example.org", "Sink")
	path := returnPath.FindStringSubmatch(forwarded)
	if path == nil || !strings.HasPrefix(path[1], "SRS0=") || !strings.HasSuffix(path[1], "=elsewhere.test=carol@example.org") ||
		!strings.Contains(forwarded, "Delivered-To: boss@away.test\r\n") || !strings.HasSuffix(forwarded, "\r\n\r\nIt works.\r\n") {
		t.Fatalf("forwarded:\n%s", forwarded)
	}

	// The other side can't deliver it and says so.
	c = d.SMTP(serviceMX)
	c.Send("EHLO mx.away.test")
	c.Want("250 ")
	c.mail("", []string{path[1]}, "From: MAILER-DAEMON@away.test\r\nSubject: No such boss\r\n\r\nSorry.")
	bounce := d.take("ann@example.org", "Sink")
	if !strings.Contains(bounce, "Return-Path: <>\r\nDelivered-To: carol@elsewhere.test\r\n") || !strings.Contains(bounce, "Subject: No such boss") {
		t.Errorf("bounce:\n%s", bounce)
	}

	// Nobody else gets through by that address, nor by one of his own make.
	for from, to := range map[string]string{"x@elsewhere.test": path[1], "": strings.Replace(path[1], "=carol@", "=dave@", 1)} {
		c.Send("MAIL FROM:<%s>", from)
		c.Want("250")
		c.Send("RCPT TO:<%s>", to)
		c.Want("550 5.1.1")
		c.Send("RSET")
		c.Want("250")
	}

	// The message comes back: the loop ends here.
	c.Send("MAIL FROM:<carol@elsewhere.test>")
	c.Want("250")
	c.Send("RCPT TO:<boss@example.org>")
	c.Want("250")
	c.Send("DATA")
	c.Want("354")
	c.Send("%s.", forwarded)
	c.Want("554 5.4.6")
}

// The server is mail.example.org and hosts example.org only.
func TestReplyToAReportReachesThePostmaster(t *testing.T) {
	d := startDaemon(t, "")
	c := d.SMTP(serviceMX)
	c.Send("EHLO mx.elsewhere.test")
	c.Want("250 ")
	for _, to := range []string{"Postmaster", "postmaster@mail.example.org"} {
		c.mail("carol@elsewhere.test", []string{to}, hello)
		d.take("ann@example.org", "INBOX")
	}
	c = d.submit("ben@example.org")
	c.mail("ben@example.org", []string{"postmaster@mail.example.org"}, "From: ben@example.org\r\nSubject: Why?\r\n\r\nx")
	if got := d.take("ann@example.org", "INBOX"); !strings.Contains(got, "Subject: Why?") {
		t.Errorf("got:\n%s", got)
	}
	c = d.SMTP(serviceMX)
	c.Send("EHLO mx.elsewhere.test")
	c.Want("250 ")
	c.Send("MAIL FROM:<carol@elsewhere.test>")
	c.Want("250")
	c.Send("RCPT TO:<ann@mail.example.org>")
	c.Want("550 5.7.1")
}
