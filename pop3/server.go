package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"facteur/auth"
	"facteur/storage"
)

// Authenticator checks logins: *auth.Directory.
type Authenticator interface {
	Mechanisms(c auth.Client, plainOK bool) []string
	Exchange(mechanism string, c auth.Client, plainOK bool) (auth.Exchange, error)
	Password(ctx context.Context, c auth.Client, user, password string) (*auth.Login, error)
}

// Config of a Server.
type Config struct {
	Hostname  string
	TLS       *tls.Config // nil: no STLS
	Implicit  bool        // TLS from the first octet (RFC 8314 3.3)
	PlainAuth bool        // logins without TLS are allowed (tests on loopback)
	Store     *storage.Store
	Auth      Authenticator
	Limits    Limits
	Log       *slog.Logger
}

// Limits of a Server. Zero means none, but for the times.
type Limits struct {
	Sessions   int           // at a time
	PerAddress int           // of these, from one address and not logged in
	Errors     int           // in a session, failed logins included
	Login      time.Duration // for logging in
	Idle       time.Duration // between commands (RFC 1939 3: at least ten minutes)
	Shutdown   time.Duration // for commands under way when we stop
}

// DefaultLimits are the limits for the open Internet.
func DefaultLimits() Limits {
	return Limits{Sessions: 1000, PerAddress: 50, Errors: 10, Login: 2 * time.Minute, Idle: 10 * time.Minute, Shutdown: 30 * time.Second}
}

// Server serves POP3.
type Server struct {
	Config
	stopping atomic.Bool

	mu       sync.Mutex
	sessions map[*session]struct{}
	guests   map[netip.Addr]int // sessions that are not logged in
}

// New checks cfg and returns a Server.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Store == nil || cfg.Auth == nil || cfg.Log == nil:
		return nil, errors.New("pop3: Store, Auth and Log must be set")
	case cfg.Implicit && cfg.TLS == nil:
		return nil, errors.New("pop3: implicit TLS without TLS")
	case cfg.Limits.Login <= 0 || cfg.Limits.Idle <= 0:
		return nil, errors.New("pop3: limits of time must be set")
	}
	return &Server{Config: cfg, sessions: make(map[*session]struct{}), guests: make(map[netip.Addr]int)}, nil
}

// Serve accepts connections from ln until ctx ends, each on its own goroutine. Then it closes ln, ends
// sessions that wait for a command, gives the others Limits.Shutdown, and returns nil when the
// last has gone. It may be called for several listeners.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	unhook := context.AfterFunc(ctx, func() { ln.Close() })
	defer unhook()
	var running sync.WaitGroup
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			running.Go(func() { s.handle(work, nc) })
		case ctx.Err() != nil:
			s.drain(&running, stop)
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("pop3: accept: %w", err)
		default: // out of file descriptors, a connection reset before we took it: not our end
			s.Log.Error("accept failed", "listener", "pop3", "error", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// drain waits for the sessions to end, and ends them when it takes too long.
func (s *Server) drain(running *sync.WaitGroup, stop context.CancelFunc) {
	s.stopping.Store(true)
	s.each((*session).wake)
	late := time.AfterFunc(s.Limits.Shutdown, func() {
		stop()
		s.each(func(c *session) { c.raw.Close() })
	})
	running.Wait()
	late.Stop()
}

func (s *Server) each(do func(*session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		do(c)
	}
}

// handle is the life of a connection. Its recover is a seat belt: a bug in one session must not end
// the others.
func (s *Server) handle(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	defer func() {
		if v := recover(); v != nil {
			s.Log.Error("session failed", "listener", "pop3", "peer", nc.RemoteAddr().String(), "panic", v, "stack", string(debug.Stack()))
		}
	}()
	c := newSession(s, nc)
	if !s.enter(c) {
		if !s.Implicit {
			c.fail("[SYS/TEMP] Too many connections, please try again later")
			c.flush()
		}
		return
	}
	defer s.leave(c)
	defer c.release()
	c.serve(ctx)
}

// enter counts a session in, unless there are too many.
func (s *Server) enter(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.Limits
	if l.Sessions > 0 && len(s.sessions) >= l.Sessions || l.PerAddress > 0 && s.guests[c.network] >= l.PerAddress {
		return false
	}
	s.sessions[c] = struct{}{}
	s.guests[c.network]++
	c.guest = true
	return true
}

func (s *Server) leave(c *session) {
	s.known(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
}

// known: who is logged in doesn't count against his address.
func (s *Server) known(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.guest {
		return
	}
	c.guest = false
	if s.guests[c.network]--; s.guests[c.network] == 0 {
		delete(s.guests, c.network)
	}
}

// networkOf is the address that counts: an IPv6 customer has a whole /64.
func networkOf(a net.Addr) (addr, network netip.Addr) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, netip.Addr{}
	}
	addr = t.AddrPort().Addr().Unmap()
	if addr.Is4() {
		return addr, addr
	}
	p, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr, addr
	}
	return addr, p.Addr()
}
