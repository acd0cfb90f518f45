package main

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"facteur/admin"
	"facteur/mta/dns"
)

// strangers is a listener whose connections come from wherever the test says.
type strangers struct {
	net.Listener
	from atomic.Pointer[netip.Addr]
}

// replace opens the configured listeners and takes the place of the MX's.
func (s *strangers) replace(t *testing.T, cfg *Config, deps *Deps) {
	t.Helper()
	var err error
	if deps.Listeners, err = listen(cfg); err != nil {
		t.Fatal(err)
	}
	s.Listener = deps.Listeners[serviceMX][0]
	deps.Listeners[serviceMX][0] = s
}

func (s *strangers) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return stranger{conn, &net.TCPAddr{IP: s.from.Load().AsSlice(), Port: 25000}}, nil
}

type stranger struct {
	net.Conn
	addr net.Addr
}

func (s stranger) RemoteAddr() net.Addr { return s.addr }

// TestEspooferAtTheDoor plays every forgery of auth/sender's folder over SMTP, from its address and with
// its zone: the reply, and whether the message is in INBOX, in Junk or nowhere, are what want says.
func TestEspooferAtTheDoor(t *testing.T) {
	const folder = "../../auth/sender/testdata/espoofer"
	cases, err := filepath.Glob(folder + "/[0-9]*")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	zone, err := dns.NewZone("")
	if err != nil {
		t.Fatal(err)
	}
	var days atomic.Int32 // one a case: the next knows nothing of the last one's DNS
	resolver, err := dns.New(dns.Config{Zone: zone, Now: func() time.Time { return time.Now().AddDate(0, 0, int(days.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	from := &strangers{}
	began, then := time.Now(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) // the time of the signatures
	d := startDaemon(t, "", func(cfg *Config, deps *Deps) {
		cfg.Hostname, deps.Resolver = "mx.example.net", resolver
		deps.Now = func() time.Time { return then.Add(time.Since(began)) }
		from.replace(t, cfg, deps)
	})
	common := readFile(t, folder+"/zone")
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			days.Add(1)
			if err := zone.Load(common + readFile(t, filepath.Join(dir, "zone"))); err != nil {
				t.Fatal(err)
			}
			before := d.mailboxes("ann@example.org")
			envelope := readWords(t, filepath.Join(dir, "envelope"))
			reply := d.forge(t, from, envelope, readFile(t, filepath.Join(dir, "in.eml")))

			want := readWords(t, filepath.Join(dir, "want"))
			if !strings.HasPrefix(reply, want["reply"]) {
				t.Errorf("reply %q, want %q", reply, want["reply"])
			}
			after := d.mailboxes("ann@example.org")
			got := map[[2]int]string{{0, 0}: "reject", {1, 0}: "accept", {0, 1}: "quarantine"}[[2]int{after["INBOX"] - before["INBOX"], after["Junk"] - before["Junk"]}]
			if got != want["disposition"] || strings.HasPrefix(reply, "250") == (got == "reject") {
				t.Errorf("%s after %q, want %s", got, reply, want["disposition"])
			}
		})
	}
}

// forge sends a message in one piece, as its sender would like it to be read, and returns the last reply.
func (d *testDaemon) forge(t *testing.T, from *strangers, envelope map[string]string, text string) string {
	t.Helper()
	c := d.dialFrom(t, from, envelope["ip"])
	defer c.conn.Close()
	c.Send("EHLO %s", envelope["helo"])
	c.Want("250 ")
	c.Send("MAIL FROM:<%s>", envelope["from"])
	c.Want("250")
	c.Send("RCPT TO:<ann@example.org>")
	c.Want("250")
	c.Send("DATA")
	c.Want("354")
	stuffed := bytes.ReplaceAll([]byte("\r\n"+text), []byte("\r\n."), []byte("\r\n.."))[2:]
	if !bytes.HasSuffix(stuffed, []byte("\r\n")) {
		stuffed = append(stuffed, "\r\n"...)
	}
	if _, err := c.conn.Write(append(stuffed, ".\r\n"...)); err != nil {
		t.Fatal(err)
	}
	return c.Want("")
}

// dialFrom connects to the MX from an address of one's own choice.
func (d *testDaemon) dialFrom(t *testing.T, from *strangers, ip string) *lineClient {
	t.Helper()
	addr := netip.MustParseAddr(ip)
	from.from.Store(&addr)
	conn, err := net.Dial("tcp", d.Addr(serviceMX).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := newLineClient(t, conn)
	c.Want("220")
	return c
}

// mailboxes counts an account's messages.
func (d *testDaemon) mailboxes(account string) map[string]int {
	d.t.Helper()
	list, err := d.service.Mailboxes(context.Background(), admin.Name{Name: account})
	if err != nil {
		d.t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, m := range list {
		counts[m.Name] = int(m.Messages)
	}
	return counts
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readWords reads a file of lines that are a word and what it says.
func readWords(t *testing.T, file string) map[string]string {
	t.Helper()
	words := make(map[string]string)
	for line := range strings.Lines(readFile(t, file)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		words[key] = value
	}
	return words
}
