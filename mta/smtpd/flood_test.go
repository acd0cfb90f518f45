package smtpd

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// dialFrom connects from another loopback address.
func dialFrom(t testing.TB, from, addr string) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return &peer{t: t, conn: c}
}

// bystander is somebody who just wants to deliver, from the network next door.
func bystander(t *testing.T, addr string) {
	t.Helper()
	p := dialFrom(t, "127.0.3.1", addr)
	p.want("220")
	p.ask("EHLO x", "250")
	p.ask("MAIL FROM:<a@example.org>", "250")
	p.ask("RCPT TO:<bob@example.test>", "250")
	p.ask("DATA", "354")
	p.ask("Subject: x\r\n\r\n.", "250")
	p.ask("QUIT", "221")
}

// Whatever one address does, others are served.
func TestFloods(t *testing.T) {
	if testing.Short() {
		t.Skip("floods")
	}
	t.Run("500 connections", func(t *testing.T) {
		addr := start(t, testConfig(t, MX, &backend{}))
		turnedAway := 0
		for range 500 {
			p := dialFrom(t, "127.0.0.1", addr)
			if r := p.reply(); strings.HasPrefix(r, "421 4.7.0") {
				turnedAway++
				p.conn.Close()
			}
		}
		if turnedAway != 450 {
			t.Errorf("%d connections of 500 turned away, want 450", turnedAway)
		}
		bystander(t, addr)
	})
	t.Run("60 slow clients", func(t *testing.T) {
		addr := start(t, testConfig(t, MX, &backend{}))
		for range 60 {
			p := dialFrom(t, "127.0.0.1", addr)
			p.send("EHLO ")
		}
		bystander(t, addr)
	})
	t.Run("pipelined floods", func(t *testing.T) {
		addr := start(t, testConfig(t, MX, &backend{}))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { pour(addr, stop) })
		}
		for range 5 {
			bystander(t, addr)
		}
		close(stop)
		wg.Wait()
	})
}

// pour writes commands without ever reading a reply, and comes back when it is thrown out.
func pour(addr string, stop chan struct{}) {
	text := []byte(strings.Repeat("NOOP\r\nMAIL FROM:<a@b>\r\nRSET\r\nFOO\r\n", 500))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}}
	for {
		select {
		case <-stop:
			return
		default:
		}
		c, err := d.Dial("tcp", addr)
		if err != nil {
			continue
		}
		c.SetDeadline(time.Now().Add(time.Second))
		for err == nil {
			_, err = c.Write(text)
		}
		c.Close()
	}
}

// Hostile mail is answered in time and without much memory. The whole of each message is below
// the limit of size, so that nothing but the other limits protects us.
func TestHostileMail(t *testing.T) {
	const mib = 1 << 20
	var nested, parts, boundary strings.Builder
	nested.WriteString("Subject: nested\r\n")
	for i := range 10000 {
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n", i, i)
	}
	parts.WriteString("Content-Type: multipart/mixed; boundary=x\r\n\r\n")
	parts.WriteString(strings.Repeat("--x\r\n\r\npart\r\n", 100000))
	boundary.WriteString("Content-Type: multipart/mixed; boundary=" + strings.Repeat("-", 60000) + "\r\n\r\n")
	boundary.WriteString(strings.Repeat("--\r\n", 100000))
	for _, c := range []struct{ name, text, want string }{
		{"10k nested parts", nested.String(), "250"},
		{"100k parts", parts.String(), "250"},
		{"long boundary", boundary.String(), "250"},
		{"a million fields", strings.Repeat("X: y\r\n", 1000000), "552 5.3.4"},
		{"a header line of 10 MB", "X: " + strings.Repeat("y", 10*mib) + "\r\n", "552 5.3.4"},
		{"10,000 signatures", strings.Repeat("DKIM-Signature: v=1; d=x; b=y\r\n", 10000), "552 5.3.4"},
		{"folds", "X: y\r\n" + strings.Repeat(" \r\n", 3*mib), "552 5.3.4"},
		{"forged results", strings.Repeat("Authentication-Results: (((((((((((((((((mx.example.test\r\n", 900), "250"},
		{"body line of 20 MB", "X: y\r\n\r\n" + strings.Repeat("y", 20*mib) + "\r\n", "250"},
		{"only CR LF", strings.Repeat("\r\n", 5*mib), "250"},
		{"only CR", strings.Repeat("\r", 5*mib) + "x\r\n", "550 5.6.11"},
		{"only dots", strings.Repeat("..\r\n", 3*mib), "552 5.3.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(t, MX, &backend{})
			n := &null{}
			cfg.Deliverer = n
			p := dial(t, start(t, cfg))
			p.want("220")
			p.ask("EHLO x", "250")
			p.ask("MAIL FROM:<a@example.org>", "250")
			p.ask("RCPT TO:<bob@example.test>", "250")
			p.ask("DATA", "354")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p.conn.SetDeadline(time.Now().Add(10 * time.Second))
			p.send(c.text)
			p.ask(".", c.want)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64*mib {
				t.Errorf("took %d octets of memory", grown)
			}
			p.ask("NOOP", "250")
		})
	}
}

// The client of another author, through its paces.
func TestGoSMTPClient(t *testing.T) {
	b := &backend{}
	addr := start(t, testConfig(t, MX, b))
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SendMail("ann@example.org", []string{"bob@example.test", "alice@example.test"}, strings.NewReader("Subject: x\r\n\r\n.dot\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("jörg@example.org", &smtp.MailOptions{UTF8: true, Size: 100, Return: smtp.DSNReturnHeaders, EnvelopeID: "id+1"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("bob@example.test", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyDelayed, smtp.DSNNotifyFailure}, OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "jörg@example.org"}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "Subject: y\r\n\r\n"+strings.Repeat("0123456789\r\n", 200000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	got := b.messages()
	if len(got) != 2 || got[0].Text != "Subject: x\r\n\r\n.dot\r\n" || len(got[0].Env.To) != 2 {
		t.Fatalf("%d messages", len(got))
	}
	e := got[1].Env
	if e.ENVID != "id+1" || e.MailFrom.Local != "jörg" || !e.UTF8 || e.To[0].ORCPT != "UTF-8;jörg@example.org" || e.To[0].Notify.String() != "FAILURE,DELAY" || got[1].Path == "" || len(got[1].Text) != 2400014 {
		t.Errorf("%+v, %d octets in %q", e, len(got[1].Text), got[1].Path)
	}
}

func TestGoSMTPClientSubmits(t *testing.T) {
	b := &backend{}
	cfg := testConfig(t, Submissions, b)
	addr := start(t, cfg)
	tlsConfig := cfg.TLS.Clone()
	tlsConfig.InsecureSkipVerify = true
	c, err := smtp.DialTLS(addr, tlsConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", "alice@example.test", "wrong")); err == nil {
		t.Error("wrong password accepted")
	}
	if err := c.Auth(sasl.NewPlainClient("", "alice@example.test", "secret")); err != nil {
		t.Fatal(err)
	}
	if err := c.SendMail("alice@example.test", []string{"someone@elsewhere.test"}, strings.NewReader("From: alice@example.test\r\nSubject: x\r\n\r\ntext\r\n")); err != nil {
		t.Fatal(err)
	}
	if got := b.messages(); len(got) != 1 || got[0].Peer.Login != "alice@example.test" || got[0].Peer.TLS == nil {
		t.Errorf("%+v", got)
	}
}
