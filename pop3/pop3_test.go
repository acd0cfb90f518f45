package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"facteur/auth"
	"facteur/storage"
	"facteur/test/loopback"
)

const user = "alice@example.test"

// logins knows one user with the password "pass word".
type logins struct{ revoked chan struct{} }

func (l *logins) check(user, password string) (*auth.Login, error) {
	switch {
	case user == "throttled":
		return nil, auth.ErrThrottled
	case user == "no-maildrop" || user == "alice@example.test" && password == "pass word":
		return &auth.Login{Account: user, Revoked: l.revoked}, nil
	}
	return nil, auth.ErrCredentials
}

func (l *logins) Password(_ context.Context, _ auth.Client, user, password string) (*auth.Login, error) {
	return l.check(user, password)
}

func (l *logins) Mechanisms(auth.Client, bool) []string { return []string{"PLAIN"} }

func (l *logins) Exchange(mechanism string, _ auth.Client, _ bool) (auth.Exchange, error) {
	if mechanism != "PLAIN" {
		return nil, auth.ErrMechanism
	}
	return plain{l}, nil
}

type plain struct{ l *logins }

func (x plain) Next(_ context.Context, response []byte) ([]byte, *auth.Login, error) {
	if response == nil {
		return []byte{}, nil, nil
	}
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 {
		return nil, nil, auth.ErrMalformed
	}
	login, err := x.l.check(string(parts[1]), string(parts[2]))
	return nil, login, err
}

var _ Authenticator = (*auth.Directory)(nil)

// desk is a server over a real store, with one account.
type desk struct {
	t     testing.TB
	cfg   Config
	auth  *logins
	store *storage.Store
	addr  string
	stop  context.CancelFunc
	done  chan error
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := storage.Open(t.TempDir(), storage.Config{Log: log, LowWater: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.CreateAccount(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	a := &logins{revoked: make(chan struct{})}
	config, _ := loopback.Certificate(t, "mail.example.test")
	return &desk{t: t, auth: a, store: store, cfg: Config{Hostname: "mail.example.test", TLS: config, Store: store, Auth: a, Limits: DefaultLimits(), Log: log}}
}

// inbox runs do with alice's INBOX.
func (d *desk) inbox(do func(*storage.Mailbox)) {
	d.t.Helper()
	a, err := d.store.Account(d.t.Context(), user)
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.Release()
	m, err := a.Mailbox(d.t.Context(), "INBOX")
	if err != nil {
		d.t.Fatal(err)
	}
	defer m.Release()
	do(m)
}

func (d *desk) deliver(text string) {
	d.t.Helper()
	d.inbox(func(m *storage.Mailbox) {
		if _, err := m.Append(d.t.Context(), []storage.New{{Body: strings.NewReader(text), Size: int64(len(text))}}); err != nil {
			d.t.Fatal(err)
		}
	})
}

func (d *desk) count() (n int) {
	d.t.Helper()
	d.inbox(func(m *storage.Mailbox) { n = m.Snapshot().Len() })
	return n
}

func (d *desk) start() {
	d.t.Helper()
	s, err := New(d.cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop, d.addr, d.done = cancel, ln.Addr().String(), make(chan error, 1)
	go func() { d.done <- s.Serve(ctx, ln) }()
	d.t.Cleanup(func() {
		cancel()
		if err := <-d.done; err != nil {
			d.t.Errorf("Serve: %v", err)
		}
		d.done <- nil
	})
}

type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (d *desk) dial() *client {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(15 * time.Second))
	return &client{d.t, conn, bufio.NewReader(conn)}
}

func (c *client) line() (string, error) {
	l, err := c.r.ReadString('\n')
	return strings.TrimSuffix(l, "\r\n"), err
}

// ask sends a line and reads one that begins with want.
func (c *client) ask(line, want string) string {
	c.t.Helper()
	if line != "" {
		if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
			c.t.Fatal(err)
		}
	}
	got, err := c.line()
	if err != nil || !strings.HasPrefix(got, want) {
		c.t.Fatalf("%s: %q, %v; want %q", line, got, err, want)
	}
	return got
}

func (c *client) login() {
	c.t.Helper()
	c.ask("", "+OK")
	c.ask("USER "+user, "+OK")
	c.ask("PASS pass word", "+OK")
}

// TestDialogues plays testdata/*.pop3 against the real engine over a real store. The lines are those of
// mta/smtpd's dialogues:
//
//	server plain-auth|implicit|no-tls
//	message text           put into INBOX, with Go's escapes
//	C: S: S: ... TLS CLOSED
//	COUNT 2                so many messages are in INBOX now
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.pop3")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pop3"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, strings.Split(strings.TrimRight(string(text), "\n"), "\n"))
		})
	}
}

func play(t *testing.T, lines []string) {
	d := newDesk(t)
	var c *client
	waiting := ""
	for i := 0; i < len(lines); i++ {
		word, arg, _ := strings.Cut(lines[i], " ")
		if word == "C:" {
			waiting += arg + "\r\n"
		}
		switch word {
		case "", "#", "C:":
			continue
		case "server":
			d.cfg.PlainAuth = arg == "plain-auth"
			d.cfg.Implicit = arg == "implicit"
			if arg == "no-tls" {
				d.cfg.TLS = nil
			}
			continue
		case "message":
			text, err := strconv.Unquote(`"` + arg + `"`)
			if err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			d.deliver(text)
			continue
		}
		if c == nil {
			d.start()
			c = d.dial()
		}
		if waiting != "" {
			if _, err := io.WriteString(c.conn, waiting); err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			waiting = ""
		}
		switch word {
		case "S:":
			if arg == "..." {
				want := strings.TrimPrefix(lines[i+1], "S: ")
				for {
					l, err := c.line()
					if err != nil {
						t.Fatalf("line %d: %v", i+1, err)
					}
					if loopback.Fits(want, l) {
						i++
						break
					}
				}
				continue
			}
			if l, err := c.line(); err != nil || !loopback.Fits(arg, l) {
				t.Fatalf("line %d: got %q, %v; want %q", i+1, l, err, arg)
			}
		case "TLS":
			tc := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
			if err := tc.Handshake(); err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			c = &client{t, tc, bufio.NewReader(tc)}
		case "CLOSED":
			if l, err := c.line(); err == nil {
				t.Fatalf("line %d: not closed, but %q", i+1, l)
			}
		case "COUNT":
			if n := fmt.Sprint(d.count()); n != arg {
				t.Fatalf("line %d: %s messages", i+1, n)
			}
		default:
			t.Fatalf("line %d: no such line in scripts", i+1)
		}
	}
}

// A UIDL is the same in every session, and over a restart of the store.
func TestUIDLIsStable(t *testing.T) {
	d := newDesk(t)
	d.cfg.PlainAuth = true
	for i := range 3 {
		d.deliver(fmt.Sprintf("Subject: %d\r\n\r\n", i))
	}
	d.start()
	list := func() (all []string) {
		c := d.dial()
		c.login()
		c.ask("UIDL", "+OK")
		for {
			l, err := c.line()
			if err != nil {
				t.Fatal(err)
			}
			if l == "." {
				break
			}
			_, id, _ := strings.Cut(l, " ")
			all = append(all, id)
		}
		c.ask("QUIT", "+OK")
		return all
	}
	first := list()
	c := d.dial()
	c.login()
	c.ask("DELE 1", "+OK")
	c.ask("QUIT", "+OK")
	if second := list(); fmt.Sprint(second) != fmt.Sprint(first[1:]) {
		t.Errorf("%v, then %v", first, second)
	}
}

// A message that another program deletes during a session is gone, and nothing else changes.
func TestDeletedElsewhere(t *testing.T) {
	d := newDesk(t)
	d.cfg.PlainAuth = true
	d.deliver("Subject: 1\r\n\r\n")
	d.deliver("Subject: 2\r\n\r\n")
	d.start()
	c := d.dial()
	c.login()
	d.inbox(func(m *storage.Mailbox) {
		uid := []storage.UID{m.Snapshot().At(0).UID}
		if _, err := m.Store(t.Context(), uid, storage.FlagsAdd, storage.Flags{System: storage.Deleted}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Expunge(t.Context(), uid); err != nil {
			t.Fatal(err)
		}
	})
	d.deliver("Subject: 3\r\n\r\n")
	c.ask("STAT", "+OK 2 ")
	for range 2 * DefaultLimits().Errors { // it didn't go on for long
		c.ask("RETR 1", "-ERR Another program ")
	}
	c.ask("LIST 3", "-ERR ")
	c.ask("DELE 1", "+OK")
	c.ask("DELE 2", "+OK")
	c.ask("QUIT", "+OK")
	if n := d.count(); n != 1 {
		t.Errorf("%d messages left, want the one that came later", n)
	}
}

// A connection that breaks deletes nothing.
func TestNoQuitNoDelete(t *testing.T) {
	d := newDesk(t)
	d.cfg.PlainAuth = true
	d.deliver("Subject: 1\r\n\r\n")
	d.start()
	c := d.dial()
	c.login()
	c.ask("DELE 1", "+OK")
	c.conn.Close()
	d.stop()
	<-d.done
	d.done <- nil
	if n := d.count(); n != 1 {
		t.Errorf("%d messages left", n)
	}
}

func TestShutdown(t *testing.T) {
	d := newDesk(t)
	d.cfg.PlainAuth = true
	d.start()
	c := d.dial()
	c.login()
	d.stop()
	c.ask("", "-ERR [SYS/TEMP] Going down")
	if l, err := c.line(); err == nil {
		t.Errorf("not closed, but %q", l)
	}
}

func TestRevokedLogin(t *testing.T) {
	d := newDesk(t)
	d.cfg.PlainAuth = true
	d.start()
	c := d.dial()
	c.login()
	close(d.auth.revoked)
	c.ask("NOOP", "-ERR [AUTH]")
	if l, err := c.line(); err == nil {
		t.Errorf("not closed, but %q", l)
	}
}

// One address has its share of sessions before login, and any number after it.
func TestSessionsOfOneAddress(t *testing.T) {
	d := newDesk(t)
	d.cfg.PlainAuth, d.cfg.Limits.PerAddress = true, 2
	d.start()
	for range 4 {
		d.dial().login()
	}
	d.dial().ask("", "+OK")
	last := d.dial()
	last.ask("", "+OK")
	d.dial().ask("", "-ERR [SYS/TEMP] Too many connections")
	last.ask("QUIT", "+OK")
}

func TestStuff(t *testing.T) {
	for _, c := range []struct {
		in    string
		lines int
		want  string
	}{
		{"A: b\r\n\r\ntext\r\n", -1, "A: b\r\n\r\ntext\r\n.\r\n"},
		{"A: b\r\n\r\n.\r\n..x\r\n", -1, "A: b\r\n\r\n..\r\n...x\r\n.\r\n"},
		{"A: b\r\n\r\nno end", -1, "A: b\r\n\r\nno end\r\n.\r\n"},
		{"", -1, ".\r\n"},
		{"A: b\r\n\r\n1\r\n2\r\n3\r\n", 2, "A: b\r\n\r\n1\r\n2\r\n.\r\n"},
		{"A: b\r\n\r\n1\r\n", 0, "A: b\r\n\r\n.\r\n"},
		{"A: b\r\n\r\n1\r\n", 9, "A: b\r\n\r\n1\r\n.\r\n"},
		{"A: b\r\n c\r\n", 0, "A: b\r\n c\r\n.\r\n"},
	} {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := stuff(w, strings.NewReader(c.in), int64(len(c.in)), c.lines); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if out.String() != c.want {
			t.Errorf("%q, %d lines: %q", c.in, c.lines, out.String())
		}
	}
}

// FuzzStuff: however the message is cut into portions, the client gets it back.
func FuzzStuff(f *testing.F) {
	f.Add([]byte("A: b\r\n\r\n.\r\n..x\r\n"), 3)
	f.Add([]byte("A: b\r\n\r"), 1)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		cut = max(cut, 1)
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		s := stuffer{w: w, lines: -1, start: true, last: '\n'}
		for p := text; len(p) > 0; {
			n := min(cut, len(p))
			s.write(p[:n])
			p = p[n:]
		}
		w.Flush()
		var back []byte
		for line := range bytes.Lines(out.Bytes()) {
			if bytes.HasPrefix(line, []byte(".")) {
				if !bytes.HasPrefix(line, []byte("..")) {
					t.Fatalf("line %q", line)
				}
				line = line[1:]
			}
			back = append(back, line...)
		}
		if !bytes.Equal(back, text) {
			t.Fatalf("%q became %q", text, back)
		}
	})
}

// A client that goes on sending after QUIT hears the answer, and the end, but no reset.
func TestLastAnswerIsNotLostToAReset(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		t.Run(fmt.Sprintf("implicit TLS %t", implicit), func(t *testing.T) {
			d := newDesk(t)
			d.cfg.Implicit, d.cfg.PlainAuth = implicit, true
			d.start()
			c := d.dial()
			if implicit {
				tc := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
				c = &client{t, tc, bufio.NewReader(tc)}
			}
			c.login()
			if _, err := io.WriteString(c.conn, "QUIT\r\n"+strings.Repeat("NOOP\r\n", 20_000)); err != nil {
				t.Fatal(err)
			}
			c.ask("", "+OK Goodbye")
			if line, err := c.line(); err != io.EOF {
				t.Fatalf("after the last answer: %q, %v", line, err)
			}
		})
	}
}
