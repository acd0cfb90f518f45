package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-msgauth/dkim"

	"facteur/admin"
	"facteur/mta/dns"
)

// elsewhere is a domain whose mail passes DMARC, and the sender of it.
const elsewhere = `elsewhere.test. IN TXT "v=spf1 ip4:127.0.0.1 -all"
_dmarc.elsewhere.test. IN TXT "v=DMARC1; p=reject"
forged.test. IN TXT "v=spf1 -all"
_dmarc.forged.test. IN TXT "v=DMARC1; p=reject"
`

const hello = "From: Carol <carol@elsewhere.test>\r\nTo: ann@example.org\r\nSubject: Bonjour\r\nMessage-ID: <1@elsewhere.test>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nIt works."

func TestMailFromElsewhereIsReadByIMAP(t *testing.T) {
	d := startDaemon(t, elsewhere)
	c := d.SMTP(serviceMX)
	c.Send("EHLO mx.elsewhere.test")
	c.Want("250 ")
	c.mail("carol@elsewhere.test", []string{"ann@example.org"}, hello)

	got := d.waitFor("ann@example.org", "INBOX")
	for _, part := range []string{
		"Return-Path: <carol@elsewhere.test>\r\n", "Delivered-To: ann@example.org\r\n", "Authentication-Results: mail.example.org;",
		"spf=pass", "dmarc=pass", "Received: from mx.elsewhere.test", "\r\n\r\nIt works.\r\n",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing in\n%s", part, got)
		}
	}
}

// A subaddress names a folder where the owner wants that, and the folder is there.
func TestDetailFolders(t *testing.T) {
	for _, on := range []bool{true, false} {
		d := startDaemon(t, elsewhere, func(c *Config, _ *Deps) { c.Address.Folders = on })
		if err := d.IMAP("ann@example.org").Create("Shop", nil).Wait(); err != nil {
			t.Fatal(err)
		}
		c := d.SMTP(serviceMX)
		c.Send("EHLO mx.elsewhere.test")
		c.Want("250 ")
		c.mail("carol@elsewhere.test", []string{"ann+shop@example.org"}, hello)
		c.mail("carol@elsewhere.test", []string{"ben+shop@example.org"}, hello)
		d.waitFor("ann@example.org", map[bool]string{true: "Shop", false: "INBOX"}[on])
		d.waitFor("ben@example.org", "INBOX")
	}
}

func TestMXRefusesForgeryRelayAndStrangersToIt(t *testing.T) {
	d := startDaemon(t, elsewhere)
	c := d.SMTP(serviceMX)
	c.Send("EHLO mx.elsewhere.test")
	c.Want("250 ")
	c.Send("MAIL FROM:<carol@elsewhere.test>")
	c.Want("250")
	c.Send("RCPT TO:<nobody@example.org>")
	c.Want("550 5.1.1")
	c.Send("RCPT TO:<someone@other.test>")
	c.Want("550 5.7.1")
	c.Send("RSET")
	c.Want("250")
	c.Send("MAIL FROM:<x@forged.test>")
	c.Want("250")
	c.Send("RCPT TO:<ann@example.org>")
	c.Want("250")
	c.Send("DATA")
	c.Want("354")
	c.Send("From: x@forged.test\r\n\r\nTrust me.\r\n.")
	c.Want("550 5.7.1")
}

func TestSubmissionReachesSinkSignedByBothKeys(t *testing.T) {
	d := startDaemon(t, elsewhere)
	c := d.submit("ben@example.org")
	c.mail("ben@example.org", []string{"carol@elsewhere.test", "ann@example.org"},
		"From: Ben <ben@example.org>\r\nTo: carol@elsewhere.test\r\nBcc: ann@example.org\r\nSubject: Re: Bonjour\r\n\r\nIt does.")

	got := d.waitFor("ann@example.org", "Sink")
	if strings.Contains(got, "Bcc:") {
		t.Errorf("Bcc left us:\n%s", got)
	}
	lookup := func(name string) ([]string, error) {
		r, err := dns.New(dns.Config{Zone: d.zone})
		if err != nil {
			return nil, err
		}
		answer, err := r.TXT(context.Background(), name)
		return answer.Records, err
	}
	signatures, err := dkim.VerifyWithOptions(strings.NewReader(got), &dkim.VerifyOptions{LookupTXT: lookup})
	if err != nil || len(signatures) != 2 {
		t.Fatalf("%d signatures, %v\n%s", len(signatures), err, got)
	}
	for _, s := range signatures {
		if s.Err != nil || s.Domain != "example.org" {
			t.Errorf("signature of %s: %v", s.Domain, s.Err)
		}
	}
	d.waitFor("ann@example.org", "INBOX") // the local recipient came through the queue too
}

func TestIndexLostKeepsUIDsAndFlags(t *testing.T) {
	d := startDaemon(t, "")
	c := d.IMAP("ann@example.org")
	for _, subject := range []string{"one", "two", "three"} {
		text := "Subject: " + subject + "\r\n\r\nbody\r\n"
		cmd := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagFlagged, "$custom"}})
		if _, err := cmd.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Create("Archive/2026", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Move(imap.UIDSetNum(2), "Archive/2026").Wait(); err != nil {
		t.Fatal(err)
	}
	before := d.view("ann@example.org")
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	indexes, err := filepath.Glob(filepath.Join(d.dir, "mail/example.org/ann/index.db*"))
	if err != nil || len(indexes) == 0 {
		t.Fatalf("no index: %v", err)
	}
	for _, file := range indexes {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}

	after := startDaemonIn(t, d.dir, "").view("ann@example.org")
	if !slices.Equal(before, after) {
		t.Errorf("before: %s\nafter:  %s", strings.Join(before, "\n        "), strings.Join(after, "\n        "))
	}
}

// view is all of an account that a client would keep: folders, UIDVALIDITY, UIDs and flags.
func (d *testDaemon) view(user string) []string {
	d.t.Helper()
	c := d.IMAP(user)
	folders, err := c.List("", "*", &imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: true}).Collect()
	if err != nil {
		d.t.Fatal(err)
	}
	var lines []string
	for _, f := range folders {
		slices.Sort(f.Attrs)
		box, err := c.Select(f.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			d.t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %v UIDVALIDITY %d UIDNEXT %d", f.Mailbox, f.Attrs, box.UIDValidity, box.UIDNext))
		if box.NumMessages == 0 {
			continue
		}
		var all imap.SeqSet
		all.AddRange(1, 0)
		msgs, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true}).Collect()
		if err != nil {
			d.t.Fatal(err)
		}
		for _, m := range msgs {
			slices.Sort(m.Flags)
			m.Flags = slices.DeleteFunc(m.Flags, func(f imap.Flag) bool { return f == `\Recent` })
			lines = append(lines, fmt.Sprintf("%s %d %v %s %d", f.Mailbox, m.UID, m.Flags, m.InternalDate, m.RFC822Size))
		}
	}
	return lines
}

func TestStopLetsTransactionsFinish(t *testing.T) {
	d := startDaemon(t, elsewhere)
	waiting := d.SMTP(serviceMX)
	c := d.SMTP(serviceMX)
	c.Send("EHLO mx.elsewhere.test")
	c.Want("250 ")
	c.Send("MAIL FROM:<carol@elsewhere.test>")
	c.Want("250")
	c.Send("RCPT TO:<ann@example.org>")
	c.Want("250")
	c.Send("DATA")
	c.Want("354")
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	waiting.Want("421") // now the end has begun
	c.Send("%s\r\n.", hello)
	c.Want("250")
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}

	d = startDaemonIn(t, d.dir, elsewhere)
	d.waitFor("ann@example.org", "INBOX")
}

func TestTwoServersOnOneFolderAreRefused(t *testing.T) {
	d := startDaemon(t, "")
	cfg := d.cfg
	_, err := New(cfg, Deps{Log: d.Daemon.log, Now: time.Now})
	if !errors.Is(err, admin.ErrLocked) || exitCode(err) != exitBusy || !strings.Contains(err.Error(), "facteur serve, process ") {
		t.Errorf("second server: %v", err)
	}
}

func TestExplainTellsAMessagesWayInAndOut(t *testing.T) {
	d := startDaemon(t, elsewhere)
	if _, err := d.service.AddAlias(context.Background(), admin.Alias{Address: "both@example.org", Targets: []string{"ann@example.org", "carol@elsewhere.test"}}); err != nil {
		t.Fatal(err)
	}
	c := d.SMTP(serviceMX)
	c.Send("EHLO mx.elsewhere.test")
	c.Want("250 ")
	reply := c.mail("carol@elsewhere.test", []string{"both@example.org"}, hello)
	d.waitFor("ann@example.org", "Sink")
	id := reply[strings.LastIndexByte(reply, ' ')+1:]
	d.waitForStory(id) // the line about the way out is written after the sink has the mail
	for _, name := range []string{id, "<1@elsewhere.test>"} {
		out := facteur(t, exitOK, "--data", d.dir, "explain", name)
		for _, want := range []string{"message accepted", "spf=pass", "dmarc=pass", "peer=127.0.0.1", "message delivered"} {
			if !strings.Contains(out, want) {
				t.Errorf("explain %s lacks %q:\n%s", name, want, out)
			}
		}
		if n := strings.Count(out, "message delivered"); n != 2 { // to ann and to carol
			t.Errorf("explain %s tells of %d deliveries:\n%s", name, n, out)
		}
	}
	facteur(t, exitNotFound, "--data", d.dir, "explain", "no-such-message")
}

// What passes through the queue to a mailbox of ours has one line about it, with all that is known.
func TestOneLineForOneDelivery(t *testing.T) {
	d := startDaemon(t, "")
	reply := d.submit("ben@example.org").mail("ben@example.org", []string{"ann@example.org"}, strings.Replace(hello, "carol@elsewhere.test", "ben@example.org", 1))
	id := reply[strings.LastIndexByte(reply, ' ')+1:]
	d.waitFor("ann@example.org", "INBOX")
	if err := d.stop(); err != nil { // all that was to be said has been
		t.Fatal(err)
	}
	out := facteur(t, exitOK, "--data", d.dir, "explain", id)
	var about []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "delivered") {
			about = append(about, line)
		}
	}
	if len(about) != 1 {
		t.Fatalf("%d lines:\n%s", len(about), out)
	}
	for _, want := range []string{"message delivered", "from=ben@example.org", "to=ann@example.org", "account=ann@example.org", "mailbox=INBOX", "uid=1", "path=", "size="} {
		if !strings.Contains(about[0], want) {
			t.Errorf("%q is missing in %s", want, about[0])
		}
	}
}

// The same verbs work over the socket of a running server and on the folder of a stopped one.
func TestVerbsWorkWithAndWithoutAServer(t *testing.T) {
	d := startDaemon(t, "")
	for _, running := range []bool{true, false} {
		name := map[bool]string{true: "running", false: "stopped"}[running]
		t.Run(name, func(t *testing.T) {
			if !running {
				if err := d.stop(); err != nil {
					t.Fatal(err)
				}
			}
			on := func(want int, args ...string) string {
				t.Helper()
				return facteur(t, want, append([]string{"--data", d.dir}, args...)...)
			}
			on(exitOK, "account", "add", name+"@example.org")
			on(exitExists, "account", "add", name+"@example.org")
			on(exitUsage, "account", "add", "no address")
			on(exitUsage, "account", "add")
			on(exitUsage, "account", "--bogus")
			on(exitUsage, "account", "frobnicate")
			on(exitNotFound, "account", "add", "x@nowhere.test")
			on(exitOK, "account", "quota", name+"@example.org", "--bytes", "10MB")
			if out := on(exitOK, "account", "show", strings.ToUpper(name)+"@Example.org"); !strings.Contains(out, "9.5 MiB") {
				t.Errorf("quota not shown: %s", out)
			}
			on(exitOK, "account", "disable", name+"@example.org")
			if out := on(exitOK, "account", "list", "--json"); !strings.Contains(out, `"disabled": true`) {
				t.Errorf("not disabled: %s", out)
			}
			on(exitOK, "app-password", "add", "ann@example.org", name, "--service", "imap")
			on(exitOK, "app-password", "revoke", "ann@example.org", name)
			on(exitNotFound, "app-password", "revoke", "ann@example.org", name)
			on(exitOK, "alias", "add", name+"-alias@example.org", "ann@example.org")
			on(exitOK, "alias", "remove", name+"-alias@example.org")
			on(exitUsage, "domain", "remove", "example.org") // has accounts
			on(exitOK, "domain", "disable", "Example.org")
			if out := on(exitOK, "domain", "list"); !strings.Contains(out, "disabled") {
				t.Errorf("domain list after disable: %s", out)
			}
			on(exitOK, "domain", "enable", "example.org")
			on(exitNotFound, "domain", "enable", "nowhere.test")
			on(exitOK, "domain", "catch-all", "Example.org", "Ann@example.org")
			if out := on(exitOK, "domain", "list", "--json"); !strings.Contains(out, `"catch_all": "ann@example.org"`) {
				t.Errorf("domain list with a catch-all: %s", out)
			}
			on(exitUsage, "domain", "catch-all", "example.org", "nobody")
			on(exitNotFound, "domain", "catch-all", "nowhere.test", "ann@example.org")
			if out := on(exitOK, "domain", "catch-all", "example.org", "--none", "--json"); out != "{\n  \"done\": \"mail for unknown users of example.org is refused\"\n}\n" {
				t.Errorf("catch-all --none: %s", out)
			}
			if out := on(exitOK, "domain", "list", "--json"); strings.Contains(out, "catch_all") {
				t.Errorf("domain list after --none: %s", out)
			}
			on(exitUsage, "queue", "drop", "some-id", "--all")
			if out := on(exitOK, "domain", "records", "example.org"); strings.Count(out, "v=DKIM1") != 2 {
				t.Errorf("records: %s", out)
			}
			on(exitOK, "dkim", "list", "example.org")
			on(exitOK, "queue", "list")
			on(exitOK, "queue", "destinations")
			on(exitOK, "tls", "peers")
			on(exitNotFound, "queue", "show", "zzz")
			on(exitUsage, "queue", "drop")
			on(exitOK, "mailbox", "list", "ann@example.org")
			on(exitOK, "mailbox", "rebuild", "ann@example.org")
			on(exitOK, "verify")
			if running {
				on(exitOK, "tls", "status")
			} else {
				on(exitBusy, "tls", "status")
			}
			on(exitUsage, "account", "remove", name+"@example.org")
			on(exitOK, "account", "remove", name+"@example.org", "--yes")
			on(exitNotFound, "account", "show", name+"@example.org")
		})
	}
}

// A running server follows "domain catch-all" at the next RCPT.
func TestCatchAllIsSetWhileRunning(t *testing.T) {
	d := startDaemon(t, elsewhere)
	c := d.SMTP(serviceMX)
	c.Send("EHLO mx.elsewhere.test")
	c.Want("250 ")
	c.Send("MAIL FROM:<carol@elsewhere.test>")
	c.Want("250")
	for _, step := range []struct{ whom, want string }{{"ann@example.org", "250"}, {"--none", "550"}} {
		facteur(t, exitOK, "--data", d.dir, "domain", "catch-all", "example.org", step.whom)
		c.Send("RCPT TO:<whoever@example.org>")
		c.Want(step.want)
	}
}

// What is switched off for an account is not shown to its clients from the next login on, and comes back.
func TestCapabilitiesAreSwitchedOffWhileRunning(t *testing.T) {
	d := startDaemon(t, elsewhere)
	shown := func() string {
		t.Helper()
		c := d.IMAP("ann@example.org")
		caps, err := c.Capability().Wait()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(caps.Has("NOTIFY"), caps.Has("COMPRESS=DEFLATE"), caps.Has("QUOTA"))
	}
	for _, step := range []struct{ change, off, shown string }{
		{"", "capabilities off  -\n", "true true true"},
		{"--off notify,COMPRESS=DEFLATE", "capabilities off  COMPRESS=DEFLATE NOTIFY\n", "false false true"},
		{"--off QUOTA --on NOTIFY", "capabilities off  COMPRESS=DEFLATE QUOTA\n", "true false false"},
		{"--on compress=deflate,quota", "capabilities off  -\n", "true true true"},
	} {
		if step.change != "" {
			facteur(t, exitOK, append([]string{"--data", d.dir, "account", "capabilities", "ann@example.org"}, strings.Fields(step.change)...)...)
		}
		if out := facteur(t, exitOK, "--data", d.dir, "account", "capabilities", "ann@example.org"); out != step.off {
			t.Errorf("%s: %q", step.change, out)
		}
		if got := shown(); got != step.shown {
			t.Errorf("%s: NOTIFY, COMPRESS and QUOTA shown: %s, want %s", step.change, got, step.shown)
		}
	}
	facteur(t, exitNotFound, "--data", d.dir, "account", "capabilities", "nobody@example.org", "--off", "NOTIFY")
}

func TestSendShowsTheDialogue(t *testing.T) {
	d := startDaemon(t, elsewhere)
	out := facteur(t, exitOK, "send", "--server", d.Addr(serviceMX).String(), "--from", "carol@elsewhere.test", "--to", "ann@example.org", "--trace")
	for _, want := range []string{"S: 220 mail.example.org", "C: EHLO ", "C: STARTTLS", "-- TLS 1.3", "C: MAIL FROM:<carol@elsewhere.test>", "C: .\n", "S: 250 2.0.0"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	facteur(t, exitRefused, "send", "--server", d.Addr(serviceMX).String(), "--to", "nobody@example.org")
	facteur(t, exitOK, "send", "--server", d.Addr(serviceMX).String(), "--to", "ann@example.org", "--from", "<>")
	if out := facteur(t, exitFailed, "send", "--server", d.Addr(serviceIMAP).String(), "--to", "ann@example.org"); !strings.Contains(out, "does not speak SMTP") {
		t.Errorf("to an IMAP server: %s", out)
	}
	for _, slip := range []struct{ tls, want string }{{"implicit", "--tls starttls is for a port"}, {"starttls", "--ca names its authority"}} {
		if out := facteur(t, exitFailed, "send", "--server", d.Addr(serviceMX).String(), "--to", "ann@example.org", "--tls", slip.tls); !strings.Contains(out, slip.want) {
			t.Errorf("--tls %s: %s", slip.tls, out)
		}
	}

	t.Setenv("FACTEUR_PASSWORD", testPassword)
	ca := filepath.Join(d.dir, "ca.pem")
	keys := filepath.Join(t.TempDir(), "keys")
	out = facteur(t, exitOK, "send", "--server", d.Addr(serviceSubmissions).String(), "--tls", "implicit", "--ca", ca, "--user", "ben@example.org",
		"--to", "carol@elsewhere.test", "--trace", "--keylog", keys)
	if !strings.Contains(out, "C: AUTH PLAIN (secret)") || strings.Contains(out, base64.StdEncoding.EncodeToString([]byte(testPassword))) {
		t.Errorf("the trace of a login:\n%s", out)
	}
	if text, err := os.ReadFile(keys); err != nil || !bytes.Contains(text, []byte("CLIENT_TRAFFIC_SECRET_0")) {
		t.Errorf("key log: %v", err)
	}
	t.Setenv("FACTEUR_PASSWORD", "wrong")
	facteur(t, exitRefused, "send", "--server", d.Addr(serviceSubmission).String(), "--ca", ca, "--user", "ben@example.org", "--to", "carol@elsewhere.test")
}

func TestWebServesPolicySettingsAndMetrics(t *testing.T) {
	d := startDaemon(t, "", func(c *Config, _ *Deps) {
		c.Listen.HTTP, c.Listen.Metrics = c.Listen.MX, c.Listen.MX
	})
	get := func(s service, host, path string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.Addr(s).String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Status + " " + string(text)
	}
	for _, tt := range []struct {
		service          service
		host, path, want string
	}{
		{serviceHTTP, "mta-sts.example.org", "/.well-known/mta-sts.txt", "mx: mail.example.org"},
		{serviceHTTP, "mail.example.org", "/health", "200 OK ok"},
		{serviceHTTP, "autoconfig.example.org", "/mail/config-v1.1.xml?emailaddress=ann@example.org", "<clientConfig"},
		{serviceHTTP, "evil.test", "/", "421"},
		{serviceMetrics, "localhost", "/metrics", "facteur_queue_total"},
	} {
		if got := get(tt.service, tt.host, tt.path); !strings.Contains(got, tt.want) {
			t.Errorf("%s%s: want %q in\n%s", tt.host, tt.path, tt.want, got)
		}
	}
}

// TestFullDiskIsToldAtMAIL: by both doors, before a message is sent for nothing.
func TestFullDiskIsToldAtMAIL(t *testing.T) {
	d := startDaemon(t, elsewhere, func(c *Config, _ *Deps) { c.Storage.LowWater = 1 << 60 })
	in := d.SMTP(serviceMX)
	in.Send("EHLO mx.elsewhere.test")
	in.Want("250 ")
	in.Send("MAIL FROM:<carol@elsewhere.test>")
	in.Want("452 4.3.1")
	out := d.submit("ann@example.org")
	out.Send("MAIL FROM:<ann@example.org>")
	out.Want("452 4.3.1")
}

// Times go through the socket too, and a message that is named twice is changed once.
func TestQueueTellsWhenAndCountsOnce(t *testing.T) {
	d := startDaemon(t, elsewhere)
	facteur(t, exitOK, "--data", d.dir, "account", "quota", "ben@example.org", "--messages", "1")
	c := d.submit("ann@example.org")
	letter := strings.Replace(hello, "carol@elsewhere.test", "ann@example.org", 1)
	c.mail("ann@example.org", []string{"ben@example.org"}, letter)
	d.waitFor("ben@example.org", "INBOX")
	reply := c.mail("ann@example.org", []string{"ben@example.org"}, letter)
	id := reply[strings.LastIndexByte(reply, ' ')+1:]
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(facteur(t, exitOK, "--data", d.dir, "queue", "show", id), " delayed 452"); {
		if time.Now().After(deadline) {
			t.Fatal("not tried")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if out := facteur(t, exitOK, "--data", d.dir, "queue", "hold", id, id); out != "hold: 1 message\n" {
		t.Errorf("hold: %s", out)
	}
	facteur(t, exitOK, "--data", d.dir, "queue", "drop", id)
	if out := facteur(t, exitNotFound, "--data", d.dir, "queue", "drop", id); !strings.Contains(out, "nothing of it waits in the queue") {
		t.Errorf("drop again: %s", out)
	}
	out := facteur(t, exitOK, "--data", d.dir, "queue", "show", id)
	for _, want := range []string{"delayed", "held", "dropped"} {
		at := slices.IndexFunc(strings.Split(out, "\n"), func(line string) bool { return strings.Contains(line, want) && strings.HasPrefix(line, "20") })
		if at < 0 {
			t.Errorf("no time of %q:\n%s", want, out)
		}
	}
}
