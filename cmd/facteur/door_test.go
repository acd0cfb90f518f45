package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"facteur/admin"
)

// listed is what 192.0.2.66 and 192.0.2.1 are on, of lists in various states.
const listed = `66.2.0.192.bl.test. IN A 127.0.0.2
1.2.0.192.bl.test. IN A 127.0.0.2
1.2.0.192.good.test. IN A 127.0.0.5
66.2.0.192.asked-too-much.test. IN A 127.255.255.254
*.dead.test. IN A 127.0.0.2
`

func TestDNSLists(t *testing.T) {
	for _, c := range []struct{ name, block, allow, from, want, logged string }{
		{"listed", "bl.test", "", "192.0.2.66", "550 5.7.1 192.0.2.66 is listed by bl.test", ""},
		{"not listed", "bl.test", "", "192.0.2.67", "250", ""},
		{"also on a list of good ones", "bl.test", "good.test", "192.0.2.1", "250", ""},
		{"on the other list only", "bl.test", "good.test", "192.0.2.66", "550 5.7.1", ""},
		{"may not ask", "asked-too-much.test", "", "192.0.2.66", "250", "zone=asked-too-much.test"},
		{"lists everybody", "dead.test", "", "192.0.2.66", "250", `why="lists everybody"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := &strangers{}
			d := startDaemon(t, listed, func(cfg *Config, deps *Deps) {
				cfg.MX.BlockLists = []string{c.block}
				if c.allow != "" {
					cfg.MX.AllowLists = []string{c.allow}
				}
				from.replace(t, cfg, deps)
			})
			for range 2 { // the second time a list that is out of order is not asked
				client := d.dialFrom(t, from, c.from)
				client.Send("EHLO x.test")
				client.Want("250 ")
				client.Send("MAIL FROM:<x@x.test>")
				client.Want("250")
				client.Send("RCPT TO:<ann@example.org>")
				client.Want(c.want)
			}
			if n := strings.Count(d.log.String(), "DNS list is out of order"); (n == 1) != (c.logged != "") || !strings.Contains(d.log.String(), c.logged) {
				t.Errorf("told %d times, want %q", n, c.logged)
			}
		})
	}
}

// TestTLSOfEveryPort: TLS 1.2 and its ciphers with forward secrecy and AEAD only where our own users come in, the
// protocol's name for who asks by ALPN, and the MX as easy-going as opportunistic TLS has to be.
func TestTLSOfEveryPort(t *testing.T) {
	d := startDaemon(t, elsewhere)
	for _, tt := range []struct {
		service service
		upgrade string // empty: TLS from the first octet
		proto   string // by ALPN
		cbc     bool   // an old cipher is taken
	}{
		{serviceMX, "EHLO x\r\nSTARTTLS\r\n", "", true},
		{serviceSubmission, "EHLO x\r\nSTARTTLS\r\n", "smtp", false},
		{serviceIMAP, "a STARTTLS\r\n", "imap", false},
		{servicePOP3, "STLS\r\n", "pop3", false},
		{serviceSubmissions, "", "smtp", false},
		{serviceIMAPS, "", "imap", false},
		{servicePOP3S, "", "pop3", false},
	} {
		handshake := func(change func(*tls.Config)) (tls.ConnectionState, error) {
			conn, err := net.Dial("tcp", d.Addr(tt.service).String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			r := bufio.NewReader(conn)
			answered := func() {
				for {
					answer, err := r.ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					if !strings.HasPrefix(answer, "250-") {
						return
					}
				}
			}
			if tt.upgrade != "" {
				answered() // the greeting
			}
			for line := range strings.Lines(tt.upgrade) {
				io.WriteString(conn, line)
				answered()
			}
			cfg := d.clientTLS()
			change(cfg)
			client := tls.Client(conn, cfg)
			err = client.Handshake()
			return client.ConnectionState(), err
		}
		plain, err := handshake(func(*tls.Config) {})
		if err != nil || plain.NegotiatedProtocol != "" {
			t.Errorf("%s: %v, ALPN %q", tt.service, err, plain.NegotiatedProtocol)
		}
		if tt.proto != "" {
			if state, err := handshake(func(c *tls.Config) { c.NextProtos = []string{tt.proto} }); err != nil || state.NegotiatedProtocol != tt.proto {
				t.Errorf("%s: ALPN %q, %v", tt.service, state.NegotiatedProtocol, err)
			}
		}
		if _, err := handshake(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }); err == nil {
			t.Errorf("%s takes TLS 1.1", tt.service)
		}
		_, err = handshake(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		})
		if (err == nil) != tt.cbc {
			t.Errorf("%s: an old cipher: %v", tt.service, err)
		}
	}
}

func TestFirstContactIsRememberedOverARestart(t *testing.T) {
	var now time.Time
	from := &strangers{}
	greylist := func(cfg *Config, deps *Deps) {
		cfg.MX.Greylist = true
		at := now
		deps.Now = func() time.Time { return at }
		from.replace(t, cfg, deps)
	}
	now = time.Now()
	d := startDaemon(t, elsewhere, greylist)
	envelope := map[string]string{"ip": "192.0.2.66", "helo": "x.test", "from": "x@x.test"}
	if r := d.forge(t, from, envelope, "From: x@x.test\r\n\r\nx"); !strings.HasPrefix(r, "451 4.7.1") {
		t.Errorf("the first time: %s", r)
	}
	aligned := map[string]string{"ip": "127.0.0.1", "helo": "x.test", "from": "carol@elsewhere.test"}
	if r := d.forge(t, from, aligned, hello); !strings.HasPrefix(r, "250") {
		t.Errorf("from somebody whose domain vouches for it: %s", r)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(6 * time.Minute)
	d = startDaemonIn(t, d.dir, elsewhere, greylist)
	if r := d.forge(t, from, envelope, "From: x@x.test\r\n\r\nx"); !strings.HasPrefix(r, "250") {
		t.Errorf("the second time: %s", r)
	}
}

// A domain asks to quarantine what fails: for one recipient at once, for the other when there is room again.
func TestQuarantineEndsInJunkAlsoThroughTheQueue(t *testing.T) {
	d := startDaemon(t, `soft.test. IN TXT "v=spf1 -all"
_dmarc.soft.test. IN TXT "v=DMARC1; p=quarantine"
`)
	ctx := context.Background()
	if _, err := d.service.AddAlias(ctx, admin.Alias{Address: "team@example.org", Targets: []string{"ann@example.org", "ben@example.org"}}); err != nil {
		t.Fatal(err)
	}
	c := d.SMTP(serviceMX)
	c.Send("EHLO soft.test")
	c.Want("250 ")
	c.mail("carol@elsewhere.test", []string{"ben@example.org"}, hello)
	facteur(t, exitOK, "--data", d.dir, "account", "quota", "ben@example.org", "--messages", "1")
	reply := c.mail("x@soft.test", []string{"team@example.org"}, "From: x@soft.test\r\nSubject: win\r\n\r\nx")
	if got := d.waitFor("ann@example.org", "Junk"); !strings.Contains(got, "dmarc=fail") {
		t.Errorf("ann's:\n%s", got)
	}
	facteur(t, exitOK, "--data", d.dir, "account", "quota", "ben@example.org", "--messages", "2")
	facteur(t, exitOK, "--data", d.dir, "queue", "retry", "--all")
	d.waitFor("ben@example.org", "Junk")
	for account, inbox := range map[string]int{"ann@example.org": 0, "ben@example.org": 1} {
		if n := d.mailboxes(account); n["INBOX"] != inbox || n["Junk"] != 1 {
			t.Errorf("%s has %v", account, n)
		}
	}
	story := facteur(t, exitOK, "--data", d.dir, "explain", reply[strings.LastIndexByte(reply, ' ')+1:])
	for _, want := range []string{`why="dmarc quarantine"`, "mailbox=Junk"} {
		if !strings.Contains(story, want) {
			t.Errorf("%q is missing:\n%s", want, story)
		}
	}
}
