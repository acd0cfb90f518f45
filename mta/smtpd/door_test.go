package smtpd

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"facteur/auth"
)

// What a server on the open Internet promises when nobody has configured anything.
func TestDefaultLimits(t *testing.T) {
	mx, own := DefaultLimits(MX), DefaultLimits(Submission)
	for what, c := range map[string][2]any{
		"message":                      {mx.Message, int64(50 << 20)},
		"header":                       {mx.Header, int64(256 << 10)},
		"fields":                       {mx.Fields, 1000},
		"field":                        {mx.Field, 64 << 10},
		"lines of a field":             {mx.FieldLines, 500},
		"Received":                     {mx.Hops, 100},
		"recipients":                   {mx.Recipients, 100},
		"errors":                       {mx.Errors, 10},
		"unknown recipients":           {mx.Unknown, 20},
		"messages of a session":        {mx.Messages, 50},
		"a command":                    {mx.Command, 5 * time.Minute},
		"a message":                    {mx.Data, 30 * time.Minute},
		"a session":                    {mx.Session, 30 * time.Minute},
		"connections of an address":    {mx.PerAddress, 50},
		"a reserve for our own":        {own.Reserve > 0, true},
		"a command line":               {lineMax, 2048},
		"a line of AUTH":               {authLineMax, 12288},
		"unknown recipients undelayed": {mx.Unknown / 4, 5},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %v, want %v", what, c[0], c[1])
		}
	}
}

// A command line has 2048 octets at most, one of AUTH 12288, their CRLF counted; who sends more is
// told, and the session goes on.
func TestLineLimits(t *testing.T) {
	auth := func(octets int) string { return "AUTH PLAIN " + strings.Repeat("A", octets-len("AUTH PLAIN \r\n")) }
	noop := func(octets int) string { return "NOOP " + strings.Repeat("x", octets-len("NOOP \r\n")) }
	for _, c := range []struct {
		kind Kind
		line string
		want string
	}{
		{MX, noop(lineMax), "250 "},
		{MX, noop(lineMax + 1), "500 5.5.6 "},
		{MX, auth(lineMax + 1), "500 5.5.6 "}, // nobody logs in there
		{MX, noop(60000), "500 5.5.6 "},
		{Submission, noop(lineMax), "250 "},
		{Submission, noop(lineMax + 1), "500 5.5.6 "},
		{Submission, auth(authLineMax), "501 5.5.2 "}, // it is read, and makes no sense
		{Submission, auth(authLineMax + 1), "500 5.5.6 "},
	} {
		t.Run(fmt.Sprintf("%v %.4s %d", c.kind, c.line, len(c.line)), func(t *testing.T) {
			cfg := testConfig(t, c.kind, &backend{})
			cfg.PlainAuth = true
			p := dial(t, start(t, cfg))
			p.want("220")
			p.ask("EHLO x", "250")
			p.ask(c.line, c.want)
			p.ask("RSET", "250")
		})
	}
}

// Lines of a body may have any length.
func TestLongBodyLine(t *testing.T) {
	b := &backend{}
	p := dial(t, start(t, testConfig(t, MX, b)))
	p.want("220")
	p.ask("EHLO x", "250")
	p.ask("MAIL FROM:<a@example.org>", "250")
	p.ask("RCPT TO:<bob@example.test>", "250")
	p.ask("DATA", "354")
	long := strings.Repeat("x", 3<<20)
	p.send("Subject: x\r\n\r\n" + long + "\r\n.\r\n")
	p.want("250")
	if got := b.messages(); len(got) != 1 || !strings.Contains(got[0].Text, long) {
		t.Error("the line was changed on the way")
	}
}

// Guessing names: the sixth answer is slow, after the twentieth there is none.
func TestUnknownRecipientsAreSlowed(t *testing.T) {
	cfg := testConfig(t, MX, &backend{})
	l := DefaultLimits(MX)
	cfg.Limits.Unknown, cfg.Limits.Delay = l.Unknown, l.Delay
	synctest.Test(t, func(t *testing.T) {
		p, cancel, done := pipe(t, cfg)
		defer cancel()
		p.want("220")
		p.ask("EHLO x", "250")
		p.ask("MAIL FROM:<a@example.org>", "250")
		for i := 1; i <= 20; i++ {
			began := time.Now()
			p.ask(fmt.Sprintf("RCPT TO:<nobody%d@example.test>", i), "550 5.1.1")
			if slow := time.Since(began) > 0; slow != (i > 5 && i < 20) {
				t.Errorf("answer %d: slow is %t", i, slow)
			}
		}
		p.want("421")
		p.conn.Close()
		<-done
	})
}

// Who begins TLS and says nothing, or speaks in the clear after all, is gone within ten seconds, and
// nothing of what was said is run.
func TestBrokenHandshake(t *testing.T) {
	for _, kind := range []Kind{MX, Submissions} {
		for _, says := range []string{"", "EHLO x\r\nMAIL FROM:<a@example.org>\r\n"} {
			b := &backend{}
			cfg := testConfig(t, kind, b)
			synctest.Test(t, func(t *testing.T) {
				p, cancel, done := pipe(t, cfg)
				defer cancel()
				if kind == MX {
					p.want("220")
					p.ask("EHLO x", "250")
					p.ask("STARTTLS", "220")
				}
				began := time.Now()
				go io.WriteString(p.conn, says)
				answer, _ := io.ReadAll(p.conn)
				if took := time.Since(began); says == "" && took != handshakeWait {
					t.Errorf("silence ended after %v", took)
				}
				if text := string(answer); strings.Contains(text, "250") || strings.Contains(text, "500") {
					t.Errorf("answered with %q", text)
				}
				<-done
			})
		}
	}
}

// revocable logs everybody in until the login is revoked.
type revocable struct{ login *auth.Login }

func (r revocable) Mechanisms(auth.Client, bool) []string { return []string{"PLAIN"} }

func (r revocable) Exchange(string, auth.Client, bool) (auth.Exchange, error) { return r, nil }

func (r revocable) Next(context.Context, []byte) ([]byte, *auth.Login, error) {
	return nil, r.login, nil
}

// A login that is revoked ends its session at the next command.
func TestRevokedLoginEndsTheSession(t *testing.T) {
	revoked := make(chan struct{})
	b := &backend{}
	cfg := testConfig(t, Submissions, b)
	cfg.Auth = revocable{&auth.Login{Account: "alice@example.test", Revoked: revoked}}
	p := dial(t, start(t, cfg))
	p.tls()
	p.want("220")
	p.ask("EHLO x", "250")
	p.ask("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00alice@example.test\x00secret")), "235")
	p.ask("MAIL FROM:<alice@example.test>", "250")
	close(revoked)
	p.ask("RCPT TO:<bob@example.test>", "421 4.7.0")
	if r := p.reply(); r != "EOF" {
		t.Errorf("it goes on with %q", r)
	}
}
