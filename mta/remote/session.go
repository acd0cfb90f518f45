package remote

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"facteur/mta"
)

// Timeouts are those of RFC 5321 4.5.3.2, one for each phase, and our own for
// what that section does not know. The zero value of a field means the default.
type Timeouts struct {
	Connect  time.Duration // 30 s for all addresses of one host
	TLS      time.Duration // 30 s for the handshake
	Greeting time.Duration // 5 min
	Command  time.Duration // EHLO, STARTTLS, AUTH, MAIL, RCPT: 5 min
	DataInit time.Duration // DATA to 354: 2 min
	Block    time.Duration // each write of message octets: 3 min
	DataEnd  time.Duration // final dot to reply: 10 min
	Quit     time.Duration // RSET and QUIT: 5 s
}

func (t Timeouts) withDefaults() Timeouts {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.Connect, 30*time.Second)
	def(&t.TLS, 30*time.Second)
	def(&t.Greeting, 5*time.Minute)
	def(&t.Command, 5*time.Minute)
	def(&t.DataInit, 2*time.Minute)
	def(&t.Block, 3*time.Minute)
	def(&t.DataEnd, 10*time.Minute)
	def(&t.Quit, 5*time.Second)
	return t
}

// session is one SMTP connection that we opened. One goroutine uses it at a time.
type session struct {
	conn     net.Conn
	r        *bufio.Reader
	w        *bufio.Writer
	timeouts Timeouts

	host    string // the peer's name as we know it: the MX or the smarthost
	peer    string // its address and port
	ext     map[string]string
	tls     string // "TLSv1.3 TLS_AES_128_GCM_SHA256 verified"; empty: in the clear
	remark  string // what a policy in mode testing would have refused (RFC 8461 5)
	strict  bool   // the certificate is one for host, by a CA that we know
	used    int    // transactions
	started time.Time
	broken  bool // never use it again
}

func newSession(conn net.Conn, host string, t Timeouts, now time.Time) *session {
	s := &session{host: host, peer: conn.RemoteAddr().String(), timeouts: t, started: now}
	s.setConn(conn)
	return s
}

// failed says at which address a session came to nothing.
func (s *session) failed(err error) error {
	at, _ := netip.ParseAddrPort(s.peer)
	return &sessionError{addr: at.Addr(), err: err}
}

// answered reports whether TLS stands and the server has said no over it, so that err is none of TLS. A connection that
// is lost after the handshake is one: in TLS 1.3 the server may still find fault with it then.
func (s *session) answered(err error) bool {
	var said *mta.Reply
	return s.tls != "" && errors.As(err, &said)
}

func (s *session) setConn(conn net.Conn) {
	s.conn = conn
	s.r = bufio.NewReaderSize(conn, 4096)
	s.w = bufio.NewWriterSize(deadlineWriter{conn, s.timeouts.Block}, 32<<10)
}

// blockSize is what a deadlineWriter writes under one deadline.
const blockSize = 64 << 10

// deadlineWriter gives every write its own deadline, so that a large message to a
// slow peer may take as long as it moves.
type deadlineWriter struct {
	conn    net.Conn
	timeout time.Duration
}

func (w deadlineWriter) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil { // a chunk may come as one large write
		var m int
		w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
		m, err = w.conn.Write(p[n:min(len(p), n+blockSize)])
		n += m
	}
	return n, err
}

// interruptible makes ctx's end break the session's reads and writes. The
// returned function undoes it, and reports whether it came to that.
func (s *session) interruptible(ctx context.Context) (undo func() bool) {
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return func() bool { return !stop() }
}

// read reads one reply within timeout. A peer that closes the session with 421
// says so in place of any reply (RFC 5321 3.8).
func (s *session) read(timeout time.Duration) (*mta.Reply, error) {
	s.conn.SetReadDeadline(time.Now().Add(timeout))
	r, err := readReply(s.r)
	if err != nil {
		s.broken = true
		return nil, err
	}
	if r.Code == 421 {
		s.broken = true
	}
	return r, nil
}

// command sends one line and reads its reply.
func (s *session) command(timeout time.Duration, line string) (*mta.Reply, error) {
	s.write(line)
	if err := s.flush(); err != nil {
		return nil, err
	}
	return s.read(timeout)
}

// write puts one line on its way. A bufio.Writer keeps its error for flush.
func (s *session) write(line string) {
	s.w.WriteString(line)
	s.w.WriteString("\r\n")
}

func (s *session) flush() error {
	err := s.w.Flush()
	s.broken = s.broken || err != nil
	return err
}

// greet reads the greeting and says EHLO, or HELO to a peer that knows no better
// (RFC 5321 3.2). It fails with a *mta.Reply when the peer does not want us.
func (s *session) greet(hello string) error {
	r, err := s.read(s.timeouts.Greeting)
	if err != nil {
		return fmt.Errorf("greeting of %s: %w", s.host, err)
	}
	if !done(r) {
		return r
	}
	return s.hello(hello)
}

func (s *session) hello(name string) error {
	r, err := s.command(s.timeouts.Command, "EHLO "+name)
	if err != nil {
		return fmt.Errorf("EHLO to %s: %w", s.host, err)
	}
	if done(r) {
		s.ext = parseExtensions(r.Text)
		return nil
	}
	if !r.Permanent() {
		return r
	}
	s.ext = nil
	if r, err = s.command(s.timeouts.Command, "HELO "+name); err != nil {
		return fmt.Errorf("HELO to %s: %w", s.host, err)
	}
	if !done(r) {
		return r
	}
	return nil
}

// parseExtensions reads the lines of an EHLO reply after the first.
func parseExtensions(text string) map[string]string {
	ext := make(map[string]string)
	_, lines, _ := strings.Cut(text, "\n")
	for line := range strings.SplitSeq(lines, "\n") {
		// "AUTH=PLAIN LOGIN" is what servers wrote before RFC 2554.
		if rest, ok := strings.CutPrefix(strings.ToUpper(line), "AUTH="); ok {
			line = "AUTH " + rest
		}
		word, rest, _ := strings.Cut(line, " ")
		word = strings.ToUpper(word)
		if old := ext[word]; old != "" {
			rest = old + " " + rest
		}
		if word != "" {
			ext[word] = strings.TrimSpace(rest)
		}
	}
	return ext
}

func (s *session) has(extension string) bool {
	_, ok := s.ext[extension]
	return ok
}

// sizeLimit is the largest message the peer takes, 0 when it names none (RFC 1870).
func (s *session) sizeLimit() int64 {
	n, err := strconv.ParseInt(s.ext["SIZE"], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// recipientLimit is how many recipients one transaction may have: what LIMITS
// says, and never over the 100 every server takes (RFC 5321 4.5.3.1.8).
func (s *session) recipientLimit() int { return s.limit("RCPTMAX", 100) }

// usedUp reports whether the session has had as many transactions as it may.
func (s *session) usedUp() bool { return s.used >= s.limit("MAILMAX", maxUses) }

// limit is a limit of the peer's (RFC 9422 4), or ours where that is lower.
func (s *session) limit(name string, ours int) int {
	for word := range strings.FieldsSeq(strings.ToUpper(s.ext["LIMITS"])) {
		if v, ok := strings.CutPrefix(word, name+"="); ok {
			if n, err := strconv.Atoi(v); err == nil && n > 0 {
				return min(n, ours)
			}
		}
	}
	return ours
}

// errNoSTARTTLS: the peer offers none, or took it back.
var errNoSTARTTLS = errors.New("the server offers no STARTTLS")

// startTLS upgrades the session and says EHLO again (RFC 3207 4.2). After an
// error the session is of no further use.
func (s *session) startTLS(ctx context.Context, cfg *tls.Config, hello string) error {
	if !s.has("STARTTLS") {
		return errNoSTARTTLS
	}
	r, err := s.command(s.timeouts.Command, "STARTTLS")
	if err != nil {
		return fmt.Errorf("STARTTLS with %s: %w", s.host, err)
	}
	if r.Code != 220 {
		return fmt.Errorf("%w: it said %w", errNoSTARTTLS, r)
	}
	// What came in the clear after the 220 is not from the peer (injection).
	if s.r.Buffered() > 0 {
		s.broken = true
		return fmt.Errorf("STARTTLS with %s: octets in the clear after 220", s.host)
	}
	if err := s.handshake(ctx, cfg); err != nil {
		return err
	}
	return s.hello(hello)
}

// handshake makes the connection a TLS one, and notes what it gave.
func (s *session) handshake(ctx context.Context, cfg *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeouts.TLS)
	defer cancel()
	conn := tls.Client(s.conn, cfg)
	s.conn.SetDeadline(time.Time{})
	if err := conn.HandshakeContext(ctx); err != nil {
		s.broken = true
		return fmt.Errorf("TLS handshake with %s: %w", s.host, err)
	}
	s.setConn(conn)
	s.tls = tlsWords(conn.ConnectionState(), s.strict)
	return nil
}

// close says QUIT when there is somebody to say it to, and closes. RFC 5321
// 4.1.1.10 wants the reply awaited; a short time must do.
func (s *session) close() {
	if !s.broken {
		s.command(s.timeouts.Quit, "QUIT")
	}
	s.conn.Close()
}

// tlsWords describes a connection for Result.TLS and the log.
func tlsWords(cs tls.ConnectionState, verified bool) string {
	version := strings.ReplaceAll(tls.VersionName(cs.Version), "TLS ", "TLSv")
	how := "unverified"
	if verified {
		how = "verified"
	}
	return version + " " + tls.CipherSuiteName(cs.CipherSuite) + " " + how
}

// tlsResult is Result.TLS: what the session has, and what somebody would rather have had.
func (s *session) tlsResult() string {
	if s.remark == "" {
		return s.tls
	}
	return cmp.Or(s.tls, "in the clear") + " (" + s.remark + ")"
}
