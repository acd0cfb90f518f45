package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/auth"
	"facteur/auth/sender"
	"facteur/mta"
	"facteur/mta/dns"
	"facteur/storage/message"
	"facteur/test/loopback"
)

// taken is a message as the backend got it.
type taken struct {
	Env    mta.Envelope
	Peer   mta.Peer
	Prefix string
	Text   string
	Junk   bool
	Queued bool
	Path   string
}

// backend stands for the other rooms. The local-part of an address says what becomes of it.
type backend struct {
	mu    sync.Mutex
	got   []taken
	facts Facts
	wait  chan struct{} // not nil: Deliver waits for it
}

func (b *backend) Check(_ context.Context, _ mta.Peer, _, to message.AddrSpec) *mta.Reply {
	switch {
	case to.Domain != "example.test" && to.String() != "postmaster@mx.example.test":
		return mta.NewReply(550, [3]int{5, 7, 1}, "We don't relay")
	case strings.HasPrefix(to.Local, "nobody"):
		return mta.NewReply(550, [3]int{5, 1, 1}, "No such user here")
	case to.Local == "full":
		return mta.NewReply(452, [3]int{4, 2, 2}, "Mailbox full")
	}
	return nil
}

func (b *backend) Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result {
	if b.wait != nil {
		select {
		case <-b.wait:
		case <-ctx.Done():
		}
	}
	var results []mta.Result
	ok := false
	for _, r := range to {
		res := mta.Result{To: r}
		switch r.Address.Local {
		case "late":
			res.Err = mta.TempFail(errors.New("disk on fire"))
		case "sieve-reject":
			res.Err = mta.NewReply(550, [3]int{5, 7, 1}, "Not wanted")
		default:
			ok = true
		}
		results = append(results, res)
	}
	if ok {
		b.take(m, false)
	}
	return results
}

func (b *backend) Add(_ context.Context, m *mta.Message) error {
	if m.Env.MailFrom.Local == "queue-full" {
		return errors.New("disk full")
	}
	b.take(m, true)
	return nil
}

func (b *backend) take(m *mta.Message, queued bool) {
	text, err := io.ReadAll(m.Body.Reader())
	if err != nil {
		panic(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, taken{Env: m.Env, Peer: m.Peer, Prefix: string(m.Prefix), Text: string(text), Junk: m.Junk, Queued: queued, Path: m.Body.Path()})
}

func (b *backend) messages() []taken {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]taken(nil), b.got...)
}

func (b *backend) Verify(context.Context, *mta.Message) (Facts, error) { return b.facts, nil }

func (b *backend) MaySendAs(_ context.Context, account string, from message.AddrSpec) (bool, error) {
	return from.String() == account || from.String() == "sales@example.test" || from.Local == "queue-full", nil
}

func (b *backend) Sign(_ context.Context, from message.AddrSpec, m *mta.Message) ([]byte, error) {
	return []byte("DKIM-Signature: d=" + from.Domain + "; bh=" + "x\r\n"), nil
}

func (b *backend) Submit(ctx context.Context, _ string, m *mta.Message) (*mta.Reply, error) {
	if m.Env.To[0].Address.Local == "one-too-many" {
		return mta.NewReply(452, [3]int{4, 7, 1}, "You have sent 1000 messages today, try again tomorrow"), nil
	}
	return nil, b.Add(ctx, m)
}

func (b *backend) Mechanisms(auth.Client, bool) []string { return []string{"PLAIN", "LOGIN"} }

func (b *backend) Exchange(mechanism string, _ auth.Client, _ bool) (auth.Exchange, error) {
	if mechanism != "PLAIN" && mechanism != "LOGIN" {
		return nil, auth.ErrMechanism
	}
	return &exchange{login: mechanism == "LOGIN"}, nil
}

// exchange knows one user, alice@example.test with the password secret.
type exchange struct {
	login bool
	said  []string
}

func (x *exchange) Next(_ context.Context, response []byte) ([]byte, *auth.Login, error) {
	if response != nil {
		x.said = append(x.said, strings.Split(strings.TrimPrefix(string(response), "\x00"), "\x00")...)
	}
	prompts := []string{"", ""}
	if x.login {
		prompts = []string{"Username:", "Password:"}
	}
	switch len(x.said) {
	case 0, 1:
		return []byte(prompts[len(x.said)]), nil, nil
	case 2:
		if x.said[0] == "alice@example.test" && x.said[1] == "secret" {
			return nil, &auth.Login{Account: x.said[0]}, nil
		}
		if x.said[0] == "throttled" {
			return nil, nil, auth.ErrThrottled
		}
		return nil, nil, auth.ErrCredentials
	}
	return nil, nil, auth.ErrMalformed
}

var (
	_ Authenticator = (*auth.Directory)(nil)
	_ Senders       = (*auth.Directory)(nil)
	_ Addresses     = (*dns.Resolver)(nil)
)

// certificate is a self-signed one for mx.example.test.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	cfg, _ := loopback.Certificate(t, "mx.example.test")
	cfg.SessionTicketsDisabled = true
	return cfg
}

// testConfig is a whole configuration over b, without delays.
func testConfig(t testing.TB, kind Kind, b *backend) Config {
	l := DefaultLimits(kind)
	l.Delay, l.Greet, l.Command = 0, 0, 20*time.Second
	return Config{
		Kind: kind, Hostname: "mx.example.test", ForgedResult: sender.ForgedResult, TLS: certificate(t), SpoolDir: t.TempDir(), Limits: l,
		Log:        slog.New(slog.DiscardHandler),
		Recipients: b, Verifier: b, Deliverer: b, Queue: b, Auth: b, Senders: b, Signer: b,
	}
}

// start serves cfg on loopback until the test ends, and returns its address.
func start(t testing.TB, cfg Config) string {
	t.Helper()
	addr, stop, ended := serve(t, cfg)
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return addr
}

// serve serves cfg on loopback until it is told to stop, and tells when it has.
func serve(t testing.TB, cfg Config) (addr string, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	return ln.Addr().String(), cancel, done
}

// peer is the other side of a session.
type peer struct {
	t    testing.TB
	conn net.Conn
	buf  []byte
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(15 * time.Second))
	return &peer{t: t, conn: c}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, s); err != nil {
		p.t.Fatalf("send %.60q: %v", s, err)
	}
}

// line reads one line without its CRLF; "" and false at the end of the connection.
func (p *peer) line() (string, bool) {
	p.t.Helper()
	line, err := p.read()
	return line, err == nil
}

// read is line with the error that ended the connection: io.EOF when its end was an orderly one.
func (p *peer) read() (string, error) {
	p.t.Helper()
	for {
		if i := bytes.IndexByte(p.buf, '\n'); i >= 0 {
			line := string(p.buf[:i+1])
			p.buf = p.buf[i+1:]
			if !strings.HasSuffix(line, "\r\n") {
				p.t.Fatalf("line %q ends without CRLF", line)
			}
			return strings.TrimSuffix(line, "\r\n"), nil
		}
		b := make([]byte, 4096)
		n, err := p.conn.Read(b)
		p.buf = append(p.buf, b[:n]...)
		if n == 0 && err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				p.t.Fatal("no answer in time")
			}
			return "", err
		}
	}
}

// reply reads a whole reply and returns its lines.
func (p *peer) reply() string {
	p.t.Helper()
	var all []string
	for {
		l, ok := p.line()
		if !ok {
			return strings.Join(append(all, "EOF"), "\n")
		}
		all = append(all, l)
		if len(l) < 4 || l[3] != '-' {
			return strings.Join(all, "\n")
		}
	}
}

// want reads a reply that begins with prefix.
func (p *peer) want(prefix string) string {
	p.t.Helper()
	r := p.reply()
	if !strings.HasPrefix(r, prefix) {
		p.t.Fatalf("got %q, want %q", r, prefix)
	}
	return r
}

// ask sends a line and reads the reply to it.
func (p *peer) ask(line, prefix string) string {
	p.t.Helper()
	p.send(line + "\r\n")
	return p.want(prefix)
}

func (p *peer) tls() {
	p.t.Helper()
	c := tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		p.t.Fatalf("handshake: %v", err)
	}
	p.conn = c
}
