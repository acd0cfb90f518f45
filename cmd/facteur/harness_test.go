package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"facteur/admin"
	"facteur/auth/cert"
	"facteur/mta/dns"
)

// TestMain lets the test binary be the program: tests that kill a server start it so.
func TestMain(m *testing.M) {
	if os.Getenv("FACTEUR_TEST_MAIN") == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// testDaemon is a Daemon on loopback, with a zone for the rest of the world and a sink for
// mail to it. It hosts example.org with ann and ben, password "secret word".
type testDaemon struct {
	*Daemon
	t    *testing.T
	dir  string
	zone *dns.Zone
	ca   *cert.Authority
	log  *lockedBuffer
	stop func() error // ends it as SIGTERM does
}

const testPassword = "secret word"

// shortDir is a new folder. A socket's path has 108 octets at most, and t.TempDir's are longer.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "facteur")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startDaemon starts one in a new folder.
func startDaemon(t *testing.T, zone string, change ...func(*Config, *Deps)) *testDaemon {
	t.Helper()
	dir := shortDir(t)
	d := startDaemonIn(t, dir, zone, change...)
	ctx := context.Background()
	if _, err := d.service.AddDomain(ctx, admin.Domain{Name: "example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.service.AddKey(ctx, admin.NewKey{Domain: "example.org"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann@example.org", "ben@example.org"} {
		if _, err := d.service.AddAccount(ctx, admin.NewAccount{Name: name, Password: testPassword}); err != nil {
			t.Fatal(err)
		}
	}
	d.publish(zone)
	return d
}

// startDaemonIn starts one on a folder that may have been used before.
func startDaemonIn(t *testing.T, dir, zone string, change ...func(*Config, *Deps)) *testDaemon {
	t.Helper()
	d := &testDaemon{t: t, dir: dir, log: &lockedBuffer{}}
	cfg := DefaultConfig()
	cfg.Hostname, cfg.Data = "mail.example.org", dir
	any := []ListenAddr{{"tcp", "127.0.0.1:0"}}
	cfg.Listen = ListenConfig{MX: any, Submission: any, Submissions: any, IMAP: any, IMAPS: any, POP3: any, POP3S: any}
	cfg.TLS.Hosts = []string{"localhost", "127.0.0.1"}
	cfg.Limits.PerAddress, cfg.Limits.IMAPPerAddress = 0, 0
	deps := Deps{Log: slog.New(slog.NewTextHandler(d.log, nil)), Now: time.Now, Elsewhere: newSink("ann@example.org")}
	var err error
	if d.zone, err = dns.NewZone(zone); err != nil {
		t.Fatal(err)
	}
	if deps.Resolver, err = dns.New(dns.Config{Zone: d.zone}); err != nil {
		t.Fatal(err)
	}
	if d.ca, err = cert.OpenAuthority(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	deps.Authority = func() (*cert.Authority, error) { return d.ca, nil }
	for _, f := range change {
		f(&cfg, &deps)
	}
	if d.Daemon, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	d.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", d.log)
		}
	})
	return d
}

// publish puts the domain's own records into the zone, as its owner would.
func (d *testDaemon) publish(zone string) {
	d.t.Helper()
	records, err := d.service.DomainRecords(context.Background(), admin.Name{Name: "example.org"})
	if err != nil {
		d.t.Fatal(err)
	}
	var text strings.Builder
	writeZone(&text, records)
	text.WriteString("mail.example.org. IN A 127.0.0.1\n" + zone)
	if err := d.zone.Load(text.String()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *testDaemon) clientTLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(d.ca.Cert)
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// lineClient speaks a protocol of lines: Send writes one, Want reads one and compares its beginning.
type lineClient struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// SMTP connects to a service and reads the greeting.
func (d *testDaemon) SMTP(s service) *lineClient {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.Addr(s).String())
	if err != nil {
		d.t.Fatal(err)
	}
	if s == serviceSubmissions {
		conn = tls.Client(conn, d.clientTLS())
	}
	d.t.Cleanup(func() { conn.Close() })
	c := newLineClient(d.t, conn)
	c.Want("220 " + d.cfg.Hostname)
	return c
}

// submit logs in as an account.
func (d *testDaemon) submit(account string) *lineClient {
	d.t.Helper()
	c := d.SMTP(serviceSubmissions)
	c.Send("EHLO laptop")
	c.Want("250 ")
	c.Send("AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00"+account+"\x00"+testPassword)))
	c.Want("235")
	return c
}

func newLineClient(t *testing.T, conn net.Conn) *lineClient {
	return &lineClient{t, conn, bufio.NewReader(conn)}
}

func (c *lineClient) Send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format+"\r\n", args...); err != nil {
		c.t.Fatal(err)
	}
}

// Want reads lines up to the last of a reply, and returns that one.
func (c *lineClient) Want(prefix string) string {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("want %q: %v", prefix, err)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, prefix) {
			c.t.Fatalf("want %q, got %q", prefix, line)
		}
		return strings.TrimRight(line, "\r\n")
	}
}

// mail sends one message from the reverse-path to the recipients, and returns the reply that takes it.
func (c *lineClient) mail(from string, to []string, text string) string {
	c.t.Helper()
	c.offer(from, to, text)
	return c.Want("250")
}

// offer sends one message from the reverse-path to the recipients, up to its final dot.
func (c *lineClient) offer(from string, to []string, text string) {
	c.t.Helper()
	c.Send("MAIL FROM:<%s>", from)
	c.Want("250")
	for _, r := range to {
		c.Send("RCPT TO:<%s>", r)
		c.Want("250")
	}
	c.Send("DATA")
	c.Want("354")
	c.Send("%s\r\n.", text)
}

// IMAP logs in with a client that is not ours.
func (d *testDaemon) IMAP(user string) *imapclient.Client {
	d.t.Helper()
	c, err := imapclient.DialTLS(d.Addr(serviceIMAPS).String(), &imapclient.Options{TLSConfig: d.clientTLS()})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	if err := c.Login(user, testPassword).Wait(); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// waitFor returns the only message of a mailbox as soon as it is there.
func (d *testDaemon) waitFor(user, mailbox string) string {
	d.t.Helper()
	c := d.IMAP(user)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		box, err := c.Select(mailbox, nil).Wait()
		if err != nil || box.NumMessages == 0 {
			continue
		}
		whole := &imap.FetchItemBodySection{Peek: true}
		msgs, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		if err != nil || len(msgs) != 1 {
			d.t.Fatalf("FETCH: %v, %d messages", err, len(msgs))
		}
		return string(msgs[0].FindBodySection(whole))
	}
	d.t.Fatalf("nothing came into %s of %s", mailbox, user)
	return ""
}

// take is waitFor, and deletes the message.
func (d *testDaemon) take(user, mailbox string) string {
	d.t.Helper()
	text := d.waitFor(user, mailbox)
	c := d.IMAP(user)
	if _, err := c.Select(mailbox, nil).Wait(); err != nil {
		d.t.Fatal(err)
	}
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}, nil).Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		d.t.Fatal(err)
	}
	return text
}

// facteur runs a verb of the command line and returns what it printed.
func facteur(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if got := run(context.Background(), args, strings.NewReader(""), &out, &errOut); got != want {
		t.Fatalf("facteur %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, want, out.String(), errOut.String())
	}
	return out.String() + errOut.String()
}

// lockedBuffer is a buffer for several writers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
