package imap

import (
	"bufio"
	"compress/flate"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"facteur/auth"
	"facteur/storage"
)

// Authenticator is what the engine needs of the user directory; *auth.Directory is one.
type Authenticator interface {
	Mechanisms(c auth.Client, plainOK bool) []string
	Exchange(mechanism string, c auth.Client, plainOK bool) (auth.Exchange, error)
	Password(ctx context.Context, c auth.Client, user, password string) (*auth.Login, error)
}

// Config of a Server. The zero value of a field means what its comment says.
type Config struct {
	Log    *slog.Logger
	Now    func() time.Time // time.Now
	Store  *storage.Store
	Auth   Authenticator
	TLS    *tls.Config                   // for STARTTLS; nil: not offered
	NoCaps func(account string) []string // capabilities switched off for an account; nil: none

	// Busy says that background work should come back later: Apple's indexer is told so
	// (TN3189). nil: never.
	Busy func() bool

	PlainAuth    bool   // allow logins without TLS
	Version      string // for ID
	SpoolDir     string // for what one APPEND brings over 1 MiB; empty: os.TempDir
	MaxMessage   int64  // octets of one message; 0: 50 MiB
	MaxPerAddr   int    // connections of one address before login; 0: 20, negative: no limit
	MaxPerUser   int    // connections of one user from one address; 0: 40, negative: no limit
	MessageLimit int    // messages one command may touch (RFC 9738); 0: 1,000,000, see BUGS

	LoginTimeout time.Duration // from connect to login; 0: 2 minutes
	KeepAlive    time.Duration // between two signs of life in IDLE; 0: 2 minutes
	Grace        time.Duration // for commands under way at shutdown; 0: 30 seconds

	progressEvery time.Duration // the tests are less patient
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxMessage, 50<<20)
	setDefault(&c.MaxPerAddr, 20)
	setDefault(&c.MaxPerUser, 40)
	setDefault(&c.MessageLimit, 1000000)
	setDefault(&c.LoginTimeout, 2*time.Minute)
	setDefault(&c.KeepAlive, 2*time.Minute)
	setDefault(&c.Grace, 30*time.Second)
	setDefault(&c.progressEvery, progressEvery)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NoCaps == nil {
		c.NoCaps = func(string) []string { return nil }
	}
	if c.Busy == nil {
		c.Busy = func() bool { return false }
	}
	return c
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Server is the IMAP engine. It is safe for concurrent use.
type Server struct {
	cfg      Config
	commands map[string]*command

	readers   sync.Pool // of *bufio.Reader
	buffers   sync.Pool // of *[]byte
	deflaters sync.Pool // of *flate.Writer

	mu      sync.Mutex
	closing bool
	conns   map[*conn]struct{}
	strange map[netip.Addr]int // connections before login
	users   map[userAddr]int   // connections after login
	inside  int                // their sum
	done    sync.WaitGroup
}

type userAddr struct {
	account string
	addr    netip.Addr
}

// New returns a Server. It does nothing until Serve.
func New(cfg Config) *Server {
	s := &Server{
		cfg:      cfg.withDefaults(),
		commands: make(map[string]*command),
		conns:    make(map[*conn]struct{}),
		strange:  make(map[netip.Addr]int),
		users:    make(map[userAddr]int),
	}
	s.readers.New = func() any { return bufio.NewReaderSize(nil, readerSize) }
	s.buffers.New = func() any { b := make([]byte, 0, 4<<10); return &b }
	s.deflaters.New = func() any {
		w, err := flate.NewWriter(nil, flate.BestSpeed)
		if err != nil {
			panic(err) // only of a level that doesn't exist
		}
		return w
	}
	for _, c := range commandTable() {
		s.commands[c.name] = &c
	}
	return s
}

// readerSize is what one session that is reading a command holds as input.
const readerSize = 4 << 10

// Serve takes connections from the listeners until ctx ends; a listener that hands
// out *tls.Conn serves implicit TLS. At the end every session finishes its command and is
// told BYE; what takes longer than Grace is cut off.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- s.accept(work, l) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, l := range listeners {
		l.Close()
	}
	s.shutdown(cut)
	return err
}

func (s *Server) accept(ctx context.Context, l net.Listener) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() { // out of file descriptors
				s.cfg.Log.Warn("imap: accept", "error", err)
				time.Sleep(50 * time.Millisecond)
				continue
			}
			return err
		}
		s.start(ctx, c)
	}
}

// start serves one connection on its own goroutine, or turns it away.
func (s *Server) start(ctx context.Context, nc net.Conn) {
	c := newConn(s, nc)
	if !s.admit(c) {
		// In the clear the client is told why; a TLS handshake would cost what we lack.
		if _, isTLS := nc.(*tls.Conn); !isTLS {
			nc.SetWriteDeadline(time.Now().Add(time.Second))
			nc.Write([]byte("* BYE [UNAVAILABLE] Too many connections\r\n"))
		}
		nc.Close()
		return
	}
	go func() {
		defer s.done.Done()
		defer s.leave(c)
		c.serve(ctx)
	}()
}

// maxConns is how many connections there may be in all.
const maxConns = 10_000

// admit counts a new connection in, unless there are too many. Strangers get half of
// all places at most, so that a flood of them doesn't end the users' sessions.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.conns) >= maxConns || len(s.conns)-s.inside >= maxConns/2 {
		return false
	}
	if s.cfg.MaxPerAddr > 0 && s.strange[c.addr] >= s.cfg.MaxPerAddr {
		return false
	}
	s.conns[c] = struct{}{}
	s.strange[c.addr]++
	s.done.Add(1)
	return true
}

// loggedIn moves a connection from the strangers to its user's, unless there are too
// many of those.
func (s *Server) loggedIn(c *conn, account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := userAddr{account, c.addr}
	if s.cfg.MaxPerUser > 0 && s.users[key] >= s.cfg.MaxPerUser {
		return false
	}
	s.users[key]++
	s.inside++
	countDown(s.strange, c.addr)
	c.account = account
	return true
}

// loggedOut is the way back, for UNAUTHENTICATE.
func (s *Server) loggedOut(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	countDown(s.users, userAddr{c.account, c.addr})
	s.inside--
	s.strange[c.addr]++
	c.account = ""
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.account != "" {
		countDown(s.users, userAddr{c.account, c.addr})
		s.inside--
	} else {
		countDown(s.strange, c.addr)
	}
}

func countDown[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// shutdown tells every session to end, and cuts off those that don't in time.
func (s *Server) shutdown(cut context.CancelFunc) {
	s.mu.Lock()
	s.closing = true
	for c := range s.conns {
		c.interrupt()
	}
	s.mu.Unlock()

	timer := time.AfterFunc(s.cfg.Grace, func() {
		cut()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.raw.Close()
		}
	})
	defer timer.Stop()
	s.done.Wait()
}
