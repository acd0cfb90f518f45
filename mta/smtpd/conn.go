package smtpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"facteur/auth"
	"facteur/linger"
	"facteur/mta"
)

// conn is one session. All of it belongs to its goroutine but raw and idle, which drain uses.
type conn struct {
	wire
	s    *Server
	raw  net.Conn
	seat *seat
	idle atomic.Bool // waiting for a command outside of a message

	peer    mta.Peer
	names   bool // the reverse name has been looked for
	listed  *mta.Reply
	looked  bool // the lists have been asked
	state   state
	env     mta.Envelope
	chunks  *collector  // between BDAT and BDAT LAST
	found   []slog.Attr // about the message in our hands, for the log
	login   *auth.Login
	ends    time.Time // of the session
	closing bool      // after the reply under way

	messages, errors, unknown, useless int
}

func newConn(s *Server, nc net.Conn, addr netip.AddrPort, seat *seat) *conn {
	return &conn{
		wire: wire{conn: nc, in: windows.Get().(*[windowSize]byte), out: make([]byte, 0, 512)},
		s:    s, raw: nc, seat: seat,
		peer:  mta.Peer{Addr: addr, Listener: s.Kind.String()},
		state: stateNew,
		ends:  time.Now().Add(s.Limits.Session),
	}
}

// release gives back what the session held.
func (c *conn) release() {
	if c.chunks != nil {
		c.chunks.discard()
	}
	if c.login != nil {
		c.login.Release()
	}
	windows.Put(c.in)
	c.in = nil
}

// wake ends the wait for the next command. It may be called from another goroutine.
func (c *conn) wake() {
	if c.idle.Load() {
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// serve runs the session to its end.
func (c *conn) serve(ctx context.Context) {
	if c.s.Kind == Submissions && !c.handshake(ctx) {
		return
	}
	if c.greet() {
		c.converse(ctx)
	}
	if c.flush() == nil && c.closing {
		linger.Close(c.conn) // the peer may have sent more than we have read
	}
}

// converse answers commands until one side has had enough.
func (c *conn) converse(ctx context.Context) {
	for !c.closing {
		line, err := c.command()
		if err != nil {
			if !c.survive(err) {
				return
			}
			continue
		}
		if r := c.dispatch(ctx, line); r != nil {
			c.answer(ctx, r)
		}
	}
}

// greet says 220, but not to those who didn't wait for it: no mail server talks first (RFC 5321
// 3.1), programs that throw a script at a port do.
func (c *conn) greet() bool {
	if wait := c.s.Limits.Greet; wait > 0 {
		c.conn.SetReadDeadline(time.Now().Add(wait))
		err := c.fill()
		if err == nil {
			c.s.Log.Info("talked before the greeting", "listener", c.peer.Listener, "peer", c.peer.Addr.String())
			c.say(replyEarly)
			return false
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
	}
	c.out = append(c.out, "220 "...)
	c.out = append(c.out, c.s.Hostname...)
	c.out = append(c.out, " ESMTP Facteur\r\n"...)
	return true
}

// command waits for the next line.
func (c *conn) command() ([]byte, error) {
	limit := lineMax
	if c.s.Kind != MX {
		limit = authLineMax // a long one that is not AUTH is found out by dispatch
	}
	c.idle.Store(c.state < stateMail)
	defer c.idle.Store(false)
	c.setDeadline(c.s.Limits.Command)
	if c.s.stopping.Load() && c.state < stateMail {
		return nil, errStopping
	}
	return c.readLine(limit)
}

var errStopping = errors.New("server is stopping")

// setDeadline gives the peer some time, but never more than the session has.
func (c *conn) setDeadline(d time.Duration) {
	t := time.Now().Add(d)
	if c.ends.Before(t) {
		t = c.ends
	}
	c.conn.SetReadDeadline(t)
}

// survive answers a failed read and reports whether the session goes on.
func (c *conn) survive(err error) bool {
	switch {
	case errors.Is(err, errLong):
		c.answer(context.Background(), replyLong)
		return true
	case errors.Is(err, errBareLF):
		c.answer(context.Background(), replyBareLF)
		return true
	case c.s.stopping.Load():
		c.say(replyShutdown)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.say(replyTimeout)
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		c.s.Log.Debug("connection lost", "listener", c.peer.Listener, "peer", c.peer.Addr.String(), "error", err)
	}
	return false
}

// say puts a reply on its way; it leaves when we next wait for the peer.
func (c *conn) say(r *mta.Reply) {
	c.out = appendReply(c.out, r)
	if r.Code == 421 { // RFC 5321 3.8: we say 421 and close
		c.closing = true
	}
}

// answer replies to a command, and makes those pay who make mistakes: later answers, then
// none. The cause of a fault of ours is logged here and nowhere else.
func (c *conn) answer(ctx context.Context, r *mta.Reply) {
	c.say(r)
	if r.Err != nil {
		c.s.Log.Error("command failed", "listener", c.peer.Listener, "peer", c.peer.Addr.String(), "login", c.peer.Login, "error", r)
	}
	if r.Code < 500 || c.closing {
		return
	}
	c.errors++
	l := &c.s.Limits
	switch {
	case l.Errors > 0 && c.errors >= l.Errors:
		c.say(replyEnough)
	case c.errors > 2:
		c.pause(ctx)
	}
}

// pause makes the peer wait for its answers.
func (c *conn) pause(ctx context.Context) {
	if c.s.Limits.Delay <= 0 {
		return
	}
	select {
	case <-time.After(c.s.Limits.Delay):
	case <-ctx.Done():
	}
}
