package pop3

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"facteur/auth"
	"facteur/linger"
	"facteur/storage"
)

const (
	lineMax       = 12288 // RFC 5034 4 for AUTH; others need less
	handshakeWait = 10 * time.Second
	writeWait     = 60 * time.Second
)

// session is one connection. All of it belongs to its goroutine but raw and idle, which drain uses.
type session struct {
	s    *Server
	raw  net.Conn
	idle atomic.Bool
	conn net.Conn // raw, or TLS over it
	r    *bufio.Reader
	w    *bufio.Writer

	addr, network netip.Addr
	guest         bool // counted in Server.guests
	tls           *tls.ConnectionState
	user          string // of USER
	login         *auth.Login
	loginBy       time.Time
	errors        int
	closing       bool

	account *storage.Account
	box     *storage.Mailbox
	drop    *storage.Snapshot // the maildrop, as it was at login
	deleted map[int]bool      // positions in drop, marked by DELE
}

// writer gives every write its deadline: a client that stops reading ends its session.
type writer struct{ conn net.Conn }

func (w writer) Write(p []byte) (int, error) {
	w.conn.SetWriteDeadline(time.Now().Add(writeWait))
	return w.conn.Write(p)
}

func newSession(s *Server, nc net.Conn) *session {
	c := &session{s: s, raw: nc, loginBy: time.Now().Add(s.Limits.Login), deleted: make(map[int]bool)}
	c.addr, c.network = networkOf(nc.RemoteAddr())
	c.use(nc)
	return c
}

// use reads and writes over conn from now on.
func (c *session) use(conn net.Conn) {
	c.conn = conn
	c.r = bufio.NewReaderSize(conn, 4096)
	c.w = bufio.NewWriterSize(writer{conn}, 16<<10)
}

// release gives back what the session held. Marks that QUIT did not confirm are forgotten.
func (c *session) release() {
	if c.box != nil {
		c.box.Release()
	}
	if c.account != nil {
		c.account.Release()
	}
	if c.login != nil {
		c.login.Release()
	}
}

// wake ends the wait for the next command. It may be called from another goroutine.
func (c *session) wake() {
	if c.idle.Load() {
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *session) serve(ctx context.Context) {
	if c.s.Implicit && !c.handshake(ctx) {
		return
	}
	c.ok("%s POP3 Facteur", c.s.Hostname)
	for !c.closing {
		line, err := c.line()
		if err != nil {
			c.lost(err)
			break
		}
		c.run(ctx, line)
	}
	if c.flush() == nil {
		linger.Close(c.conn)
	}
}

var (
	errLong     = errors.New("line too long")
	errStopping = errors.New("server is stopping")
)

// line waits for the next line. What was answered leaves first, in one piece for pipelined commands (RFC
// 2449 6.8).
func (c *session) line() (string, error) {
	var long []byte
	for {
		if c.r.Buffered() == 0 {
			if err := c.wait(); err != nil {
				return "", err
			}
		}
		part, err := c.r.ReadSlice('\n')
		c.idle.Store(false)
		long = append(long, part...)
		switch {
		case len(long) > lineMax:
			return "", errLong
		case err == nil:
			return strings.TrimRight(string(long), "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// wait makes ready for reading from the network.
func (c *session) wait() error {
	if err := c.flush(); err != nil {
		return err
	}
	until := time.Now().Add(c.s.Limits.Idle)
	if c.login == nil && c.loginBy.Before(until) {
		until = c.loginBy
	}
	c.idle.Store(true)
	c.raw.SetReadDeadline(until)
	if c.s.stopping.Load() {
		return errStopping
	}
	return nil
}

func (c *session) lost(err error) {
	switch {
	case c.s.stopping.Load():
		c.fail("[SYS/TEMP] Going down, please try again later")
	case errors.Is(err, errLong):
		c.fail("Line too long")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.fail("You took too long")
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		c.s.Log.Debug("connection lost", "listener", "pop3", "peer", c.addr.String(), "error", err)
	}
}

func (c *session) flush() error { return c.w.Flush() }

func (c *session) ok(format string, args ...any) {
	c.w.WriteString("+OK ")
	fmt.Fprintf(c.w, format, args...)
	c.w.WriteString("\r\n")
}

// fail answers -ERR, and ends the session after too many.
func (c *session) fail(text string) {
	c.w.WriteString("-ERR " + text + "\r\n")
	c.errors++
	if l := c.s.Limits.Errors; l > 0 && c.errors >= l {
		c.closing = true
	}
}

// fault answers for something that went wrong on our side: the client hears that, the log why.
func (c *session) fault(what string, err error) {
	name := ""
	if c.login != nil {
		name = c.login.Account
	}
	c.s.Log.Error(what+" failed", "listener", "pop3", "peer", c.addr.String(), "login", name, "error", err)
	c.fail("[SYS/TEMP] A fault on our side, please try again later")
}

func (c *session) handshake(ctx context.Context) bool {
	t := tls.Server(c.raw, c.s.TLS)
	c.raw.SetDeadline(time.Now().Add(handshakeWait))
	if err := t.HandshakeContext(ctx); err != nil {
		c.s.Log.Info("TLS handshake failed", "listener", "pop3", "peer", c.addr.String(), "error", err)
		return false
	}
	c.raw.SetDeadline(time.Time{})
	cs := t.ConnectionState()
	c.tls = &cs
	c.use(t)
	return true
}
