package imap

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"facteur/auth"
	"facteur/storage"
)

const alice = "alice@example.org"

// house is an engine over a real store, on loopback, with the account alice.
type house struct {
	t     testing.TB
	store *storage.Store
	srv   *Server
	addr  string
	fault func(message string) // the engine has logged a fault of its own
}

func newHouse(t testing.TB, change func(*Config)) *house {
	t.Helper()
	store, err := storage.Open(t.TempDir(), storage.Config{Hostname: "mail.example.org", FullText: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateAccount(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, store: store}
	h.fault = func(message string) { t.Error("logged: " + message) }
	cfg := Config{
		Log:        slog.New(noFaults{slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}), func(m string) { h.fault(m) }}),
		Store:      store,
		Auth:       testUsers{alice: "secret"},
		PlainAuth:  true,
		MaxPerAddr: -1,
		MaxPerUser: -1,
		SpoolDir:   t.TempDir(),
	}
	if change != nil {
		change(&cfg)
	}
	h.srv = New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	h.run(l)
	return h
}

// noFaults fails the test when the engine logs a fault of its own: a panic, or an error that
// the client hears of as SERVERBUG.
type noFaults struct {
	slog.Handler
	fault func(message string)
}

func (h noFaults) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
		h.fault(text)
	}
	return h.Handler.Handle(ctx, r)
}

func (h noFaults) WithAttrs(attrs []slog.Attr) slog.Handler {
	return noFaults{h.Handler.WithAttrs(attrs), h.fault}
}

// run serves l until the end of the test; the store is closed after that.
func (h *house) run(l net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.srv.Serve(ctx, l) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
		if err := h.store.Close(); err != nil {
			h.t.Error(err)
		}
	})
}

// account opens alice's mail behind the engine's back.
func (h *house) account() *storage.Account {
	h.t.Helper()
	a, err := h.store.Account(context.Background(), alice)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(a.Release)
	return a
}

// deliver puts a message into a mailbox as the MTA does.
func (h *house) deliver(mailbox, text string) {
	h.t.Helper()
	_, err := h.account().Deliver(context.Background(), storage.Delivery{
		Body: strings.NewReader(text), BodySize: int64(len(text)), Mailboxes: []string{mailbox},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// testUsers is a user directory: names and passwords.
type testUsers map[string]string

func (u testUsers) Mechanisms(c auth.Client, plainOK bool) []string {
	if c.TLS == nil && !plainOK {
		return nil
	}
	return []string{"PLAIN"}
}

func (u testUsers) Password(_ context.Context, _ auth.Client, user, password string) (*auth.Login, error) {
	if want, ok := u[user]; !ok || want != password {
		return nil, auth.ErrCredentials
	}
	return &auth.Login{Account: user}, nil
}

func (u testUsers) Exchange(mechanism string, c auth.Client, plainOK bool) (auth.Exchange, error) {
	if mechanism != "PLAIN" || len(u.Mechanisms(c, plainOK)) == 0 {
		return nil, auth.ErrMechanism
	}
	return plainExchange{u, c}, nil
}

type plainExchange struct {
	users  testUsers
	client auth.Client
}

func (e plainExchange) Next(ctx context.Context, response []byte) ([]byte, *auth.Login, error) {
	if response == nil {
		return []byte{}, nil, nil
	}
	fields := strings.Split(string(response), "\x00")
	if len(fields) != 3 {
		return nil, nil, auth.ErrMalformed
	}
	login, err := e.users.Password(ctx, e.client, fields[1], fields[2])
	return nil, login, err
}

// client is one connection, read response by response.
type client struct {
	t  testing.TB
	nc net.Conn
	br *bufio.Reader
	n  int
}

// dial connects and reads the greeting.
func (h *house) dial() *client {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { nc.Close() })
	c := &client{t: h.t, nc: nc, br: newReader(nc)}
	if g := c.read(); !strings.HasPrefix(g, "* OK ") {
		h.t.Fatalf("greeting: %s", g)
	}
	return c
}

// login connects as alice.
func (h *house) login() *client {
	h.t.Helper()
	c := h.dial()
	c.ok("LOGIN " + alice + " secret")
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	c.nc.SetWriteDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c.nc, text); err != nil {
		c.t.Fatal(err)
	}
}

// read reads one response. Literals stay in it, with their line ends.
func (c *client) read() string {
	c.t.Helper()
	text, err := c.tryRead()
	if err != nil {
		c.t.Fatalf("read: %v (after %q)", err, text)
	}
	return text
}

func (c *client) tryRead() (string, error) {
	c.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	var text strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		text.WriteString(strings.TrimSuffix(line, "\r\n"))
		if err != nil {
			return text.String(), err
		}
		open := strings.LastIndexByte(line, '{')
		var n int
		if open < 0 || !strings.HasSuffix(line, "}\r\n") {
			return text.String(), nil
		}
		if _, err := fmt.Sscanf(line[open:], "{%d}", &n); err != nil {
			return text.String(), nil
		}
		literal := make([]byte, n)
		if _, err := io.ReadFull(c.br, literal); err != nil {
			return text.String(), err
		}
		text.WriteString("\r\n" + string(literal))
	}
}

// do sends a command and returns its untagged responses and its tagged one, without the tag.
func (c *client) do(command string) (untagged []string, tagged string) {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("t%d ", c.n)
	c.send(tag + command + "\r\n")
	for {
		line := c.read()
		if rest, ok := strings.CutPrefix(line, tag); ok {
			return untagged, rest
		}
		untagged = append(untagged, line)
	}
}

// ok is do for a command that has to succeed.
func (c *client) ok(command string) []string {
	c.t.Helper()
	untagged, tagged := c.do(command)
	if !strings.HasPrefix(tagged, "OK") {
		c.t.Fatalf("%.100s: %s", command, tagged)
	}
	return untagged
}

// ended reads until the server has closed the connection.
func (c *client) ended() {
	c.t.Helper()
	for {
		if _, err := c.tryRead(); err != nil {
			if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
				c.t.Fatalf("connection was not closed: %v", err)
			}
			return
		}
	}
}

// startTLS continues over TLS, checking nothing.
func (c *client) startTLS() {
	c.t.Helper()
	t := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	if err := t.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.nc, c.br = t, newReader(t)
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 64<<10) }
