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
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"facteur/imap/deflate"
	"facteur/imap/wire"
	"facteur/linger"
)

// conn is the network side of a session: bytes, deadlines, TLS, compression. All of it
// belongs to the session's goroutine, but for what mu guards.
type conn struct {
	srv     *Server
	raw     net.Conn // as accepted
	net     net.Conn // raw, or TLS over it
	tls     *tls.ConnectionState
	addr    netip.Addr
	log     *slog.Logger
	account string // guarded by Server.mu

	src      io.Reader       // net, or the inflater over it
	inflater *deflate.Reader // nil: no compression
	deflater *compressor
	first    [1]byte // octet read ahead while the session was idle
	ahead    bool
	br       *bufio.Reader // nil while idle
	dec      *wire.Decoder
	out      output

	// deadline is when a client that hasn't logged in has to be gone, however slowly it
	// goes on sending.
	deadline time.Time

	mu      sync.Mutex
	waiting bool // for the client's next line: then wake and interrupt end the read
	woken   bool // something changed since takeWake
	closing bool
}

var (
	errShutdown = errors.New("server is shutting down")
	errBye      = errors.New("session is over")  // the client has been told BYE
	errWoken    = errors.New("woken")            // out of waiting, by wake
	errAnswered = errors.New("answered already") // the tagged response has been sent
)

// Deadlines of a single read within a command, and of a single write. Deadlines of
// sockets are of the machine's clock, whatever Config.Now says.
const (
	commandTimeout = 2 * time.Minute
	writeTimeout   = 30 * time.Second
)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, raw: nc, net: nc, deadline: time.Now().Add(s.cfg.LoginTimeout)}
	if a, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		c.addr = a.Addr().Unmap()
	}
	c.log = s.cfg.Log.With("peer", c.addr.String())
	c.src = nc
	c.dec = wire.NewDecoder(nil, c.askLiteral)
	c.out = output{w: deadlineWriter{c}, pool: &s.buffers}
	return c
}

// serve runs the session to its end.
func (c *conn) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		c.net.Close()
		c.out.release()
	}()
	defer func() {
		// The one seat belt: a bug ends this session and no other.
		if p := recover(); p != nil {
			c.log.Error("imap: panic", "panic", p, "stack", string(debug.Stack()))
			c.out.printf("* BYE [SERVERBUG] Internal error\r\n")
			c.out.flush()
		}
	}()
	if t, ok := c.net.(*tls.Conn); ok {
		if err := c.handshake(ctx, t); err != nil {
			c.log.Info("imap: TLS handshake failed", "error", err)
			return
		}
	}
	s := newSession(c)
	defer s.close()
	switch err := s.run(ctx); {
	case errors.Is(err, errBye), err == nil:
	case errors.Is(err, errShutdown):
		c.out.printf("* BYE [UNAVAILABLE] Server is shutting down\r\n")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.out.printf("* BYE [UNAVAILABLE] Disconnected for inactivity\r\n")
	case errors.Is(err, wire.ErrTooLong):
		c.out.printf("* BYE [LIMIT] Command line too long\r\n")
	default:
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
			c.log.Info("imap: session ended", "error", err)
		}
		c.out.flush()
		return
	}
	if c.out.flush() == nil {
		linger.Close(c.net)
	}
}

// handshake does a TLS handshake of at most 10 seconds.
func (c *conn) handshake(ctx context.Context, t *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	state := t.ConnectionState()
	c.net, c.src, c.tls = t, t, &state
	return nil
}

// Read gives the buffered reader the octet read ahead, and then what the client sends.
func (c *conn) Read(p []byte) (int, error) {
	if c.ahead && len(p) > 0 {
		c.ahead = false
		p[0] = c.first[0]
		return 1, nil
	}
	if err := c.net.SetReadDeadline(c.cap(time.Now().Add(commandTimeout))); err != nil {
		return 0, err
	}
	return c.src.Read(p)
}

// cap returns t, or the deadline where that comes first.
func (c *conn) cap(t time.Time) time.Time {
	if !c.deadline.IsZero() && c.deadline.Before(t) {
		return c.deadline
	}
	return t
}

// settle prepares for waiting: responses are flushed and buffers given back. ready says
// that there is input already.
func (c *conn) settle() (ready bool, err error) {
	if c.br != nil && c.br.Buffered() > 0 {
		return true, c.shuttingDown()
	}
	if err := c.out.flush(); err != nil {
		return false, err
	}
	c.park()
	return false, nil
}

// waitUntil waits for the first octet of a line, after settle: until a time, until wake
// (errWoken) or until interrupt (errShutdown). A TLS record or compressed block that had
// come in part is kept.
func (c *conn) waitUntil(t time.Time) error {
	c.mu.Lock()
	var err error
	switch {
	case c.closing:
		err = errShutdown
	case c.woken:
		err = errWoken
	default:
		c.waiting = true
		err = c.net.SetReadDeadline(t)
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	n := 0
	for n == 0 && err == nil {
		n, err = c.src.Read(c.first[:])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	switch {
	case n > 0:
		c.ahead = true
		c.unpark()
		return nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case c.closing:
		return errShutdown
	case c.woken:
		return errWoken
	}
	return err
}

// wake ends the waiting, now or when it begins. It is called by whoever changed a mailbox or
// revoked the login.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	if c.waiting {
		c.net.SetReadDeadline(time.Unix(1, 0))
	}
}

// takeWake is called in front of looking at what has changed.
func (c *conn) takeWake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = false
}

func (c *conn) shuttingDown() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return errShutdown
	}
	return nil
}

// interrupt ends the session: at once when it waits for a command, or else after the one
// it is at.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	if c.waiting {
		c.net.SetReadDeadline(time.Unix(1, 0))
	}
}

// park gives the buffers back while the session has nothing to do.
func (c *conn) park() {
	c.out.release()
	if c.br != nil {
		c.br.Reset(nil)
		c.srv.readers.Put(c.br)
		c.br = nil
		c.dec.Reset(nil)
	}
}

func (c *conn) unpark() {
	c.br = c.srv.readers.Get().(*bufio.Reader)
	c.br.Reset(c)
	c.dec.Reset(c.br)
}

// askLiteral sends a continuation request (RFC 9051 7.6).
func (c *conn) askLiteral() error {
	c.out.printf("+ OK\r\n")
	return c.out.flush()
}

// deadlineWriter writes to the connection, 30 seconds for each piece: one response about a
// million messages has megabytes, and a slow line takes longer for them.
type deadlineWriter struct{ c *conn }

func (w deadlineWriter) Write(p []byte) (int, error) {
	done := 0
	for piece := range slices.Chunk(p, 2*flushAt) {
		if err := w.c.net.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return done, err
		}
		n, err := w.c.net.Write(piece)
		done += n
		if err != nil {
			return done, fmt.Errorf("write to client: %w", err)
		}
	}
	return done, nil
}
