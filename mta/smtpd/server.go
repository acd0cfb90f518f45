package smtpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"facteur/mta"
)

// Server serves the connections of one listener.
type Server struct {
	Config
	crowd    *crowd
	stopping atomic.Bool

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New checks cfg and returns a Server. It owns the folder of its kind below SpoolDir, and removes
// what a crash has left there: one Server of a kind uses a SpoolDir.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.SpoolDir = filepath.Join(cfg.SpoolDir, cfg.Kind.String())
	if err := errors.Join(os.RemoveAll(cfg.SpoolDir), os.MkdirAll(cfg.SpoolDir, 0o700)); err != nil {
		return nil, fmt.Errorf("smtpd: spool folder: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Event) {}
	}
	return &Server{Config: cfg, crowd: newCrowd(cfg.Limits), conns: make(map[*conn]struct{})}, nil
}

// Serve accepts connections from ln until ctx ends, each on its own goroutine. Then it closes ln,
// tells waiting peers 421, gives transactions Limits.Shutdown to finish, and returns nil when
// the last connection has gone. It may be called for several listeners.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	// Transactions outlive ctx: they end by themselves, or with work.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	unhook := context.AfterFunc(ctx, func() { ln.Close() })
	defer unhook()
	var sessions sync.WaitGroup
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			sessions.Go(func() { s.handle(work, nc) })
		case ctx.Err() != nil:
			s.drain(&sessions, stop)
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("smtpd: accept: %w", err)
		default: // out of file descriptors, a connection reset before we took it: not our end
			s.Log.Error("accept failed", "listener", s.Kind.String(), "error", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// drain waits for the connections to end, and ends them when it takes too long.
func (s *Server) drain(sessions *sync.WaitGroup, stop context.CancelFunc) {
	s.stopping.Store(true)
	s.mu.Lock()
	for c := range s.conns {
		c.wake()
	}
	s.mu.Unlock()
	late := time.AfterFunc(s.Limits.Shutdown, func() {
		stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.raw.Close()
		}
	})
	sessions.Wait()
	late.Stop()
}

// handle is the life of a connection. Its recover is a seat belt: a bug in one session must not end
// the others.
func (s *Server) handle(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	defer func() {
		if v := recover(); v != nil {
			s.event(Panicked)
			s.Log.Error("session failed", "listener", s.Kind.String(), "peer", nc.RemoteAddr().String(), "panic", v, "stack", string(debug.Stack()))
		}
	}()
	addr := addrPort(nc.RemoteAddr())
	seat, reply := s.crowd.enter(addr.Addr())
	if reply != nil {
		s.turnAway(nc, reply)
		return
	}
	defer seat.leave()
	s.event(Connected)
	c := newConn(s, nc, addr, seat)
	s.track(c, true)
	defer s.track(c, false)
	defer c.release()
	c.serve(ctx)
}

// turnAway answers one connection too many. On the TLS port there is nobody to talk to yet. It does not linger: who waits
// for the greeting, as he must (RFC 5321 3.1), has sent nothing whose loss would reset the connection, and a flood would
// hold a socket for a second with each of its connections.
func (s *Server) turnAway(nc net.Conn, r *mta.Reply) {
	s.event(TurnedAway)
	s.Log.Debug("connection turned away", "listener", s.Kind.String(), "peer", nc.RemoteAddr().String(), "reply", r.Text)
	if s.Kind != Submissions {
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		nc.Write(appendReply(nil, r))
	}
}

func (s *Server) track(c *conn, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.conns[c] = struct{}{}
	} else {
		delete(s.conns, c)
	}
}

func (s *Server) event(w What) { s.Observe(Event{Listener: s.Kind.String(), What: w}) }

// addrPort reads an address; one that is not TCP (a pipe in a test) is the zero value.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
