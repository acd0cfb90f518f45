package simulate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mail is a message that a Peer has taken.
type Mail struct {
	From, FromParams string // as between the angle brackets, and what followed
	To               []string
	Data             []byte // without dot-stuffing, CRLF line ends
	Chunks           int    // BDAT commands it came in; 0: by DATA
	TLS              *tls.ConnectionState
}

// TLSFault is what a Peer does wrong with STARTTLS. Expired and misnamed certificates
// are no fault of the protocol: give it such a certificate (see CA).
type TLSFault uint8

const (
	TLSFine   TLSFault = iota
	TLSBroken          // the handshake gets nonsense
	TLSAbort           // the connection closes when the handshake is over
	TLSLater           // STARTTLS is answered 454
)

// Peer is an SMTP server of the Internet. Set its fields before Serve.
type Peer struct {
	Name     string
	TLS      *tls.Config // nil: no STARTTLS
	TLSFault TLSFault
	Hide     []string      // extensions not offered: "PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE", "CHUNKING", "REQUIRETLS"
	Greylist time.Duration // a sender and recipient are refused until so long after their first try
	Tarpit   time.Duration // before every reply
	Delay    time.Duration // of slow@: 2 s
	Take     func(Mail) error

	mu    sync.Mutex
	first map[string]time.Time // greylisting: first try
	conns int
}

// Connections is how many connections the peer has had.
func (p *Peer) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}

// Serve takes connections until ctx ends, then closes them all.
func (p *Peer) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("simulated peer %s: %w", p.Name, err)
		}
		wg.Go(func() { p.ServeConn(ctx, conn) })
	}
}

// ServeConn holds one conversation and closes conn.
func (p *Peer) ServeConn(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	p.mu.Lock()
	p.conns++
	p.mu.Unlock()
	s := &peerSession{p: p, ctx: ctx}
	s.use(conn)
	s.reply("220 %s simulated ESMTP", p.Name)
	for {
		line, err := s.line()
		if err != nil || !s.command(line) {
			s.w.Flush()
			return
		}
		// Replies to pipelined commands go together (RFC 2920 3.2).
		if s.r.Buffered() == 0 && s.w.Flush() != nil {
			return
		}
	}
}

// peerSession is one conversation.
type peerSession struct {
	p    *Peer
	ctx  context.Context
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	tls  *tls.ConnectionState
	mail Mail
	open bool // MAIL has been said
	drop bool // after the final dot
}

func (s *peerSession) use(conn net.Conn) {
	s.conn, s.r, s.w = conn, bufio.NewReaderSize(conn, 32<<10), bufio.NewWriter(conn)
}

func (s *peerSession) reply(format string, args ...any) {
	if s.p.Tarpit > 0 {
		s.w.Flush()
		s.sleep(s.p.Tarpit)
	}
	fmt.Fprintf(s.w, format+"\r\n", args...)
}

func (s *peerSession) sleep(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}

func (s *peerSession) line() (string, error) {
	if s.r.Buffered() == 0 {
		s.w.Flush()
	}
	line, err := s.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// command answers one command line and reports whether the conversation goes on.
func (s *peerSession) command(line string) bool {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		s.hello()
	case "HELO":
		s.reply("250 %s", s.p.Name)
	case "STARTTLS":
		return s.startTLS()
	case "MAIL":
		s.mailFrom(rest)
	case "RCPT":
		return s.rcptTo(rest)
	case "DATA":
		return s.data()
	case "BDAT":
		return s.chunk(rest)
	case "RSET":
		s.reset()
		s.reply("250 2.0.0 Reset")
	case "NOOP":
		s.reply("250 2.0.0 Still here")
	case "QUIT":
		s.reply("221 2.0.0 Bye")
		return false
	default:
		s.reply("500 5.5.1 Unknown command")
	}
	return true
}

func (s *peerSession) reset() { s.mail, s.open, s.drop = Mail{}, false, false }

func (s *peerSession) hello() {
	lines := []string{s.p.Name}
	offered := []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 104857600", "CHUNKING", "ENHANCEDSTATUSCODES"}
	if s.p.TLS != nil && s.tls == nil {
		offered = append(offered, "STARTTLS")
	}
	if s.tls != nil {
		offered = append(offered, "REQUIRETLS") // RFC 8689 2: only under TLS
	}
	for _, ext := range offered {
		word, _, _ := strings.Cut(ext, " ")
		hidden := false
		for _, h := range s.p.Hide {
			hidden = hidden || strings.EqualFold(h, word)
		}
		if !hidden {
			lines = append(lines, ext)
		}
	}
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		s.reply("250%s%s", sep, l)
	}
}

func (s *peerSession) startTLS() bool {
	if s.p.TLS == nil || s.tls != nil {
		s.reply("502 5.5.1 No STARTTLS")
		return true
	}
	if s.p.TLSFault == TLSLater {
		s.reply("454 4.7.0 TLS not available")
		return true
	}
	s.reply("220 2.0.0 Go ahead")
	if s.w.Flush() != nil {
		return false
	}
	if s.p.TLSFault == TLSBroken {
		s.conn.Write([]byte("this is not TLS at all\r\n"))
		return false
	}
	conn := tls.Server(s.conn, s.p.TLS)
	if err := conn.HandshakeContext(s.ctx); err != nil || s.p.TLSFault == TLSAbort {
		return false
	}
	state := conn.ConnectionState()
	s.use(conn)
	s.tls = &state
	s.reset()
	return true
}

// path takes "FROM:<a@b> PARAMS" apart.
func path(rest, keyword string) (address, params string, ok bool) {
	if len(rest) < len(keyword) || !strings.EqualFold(rest[:len(keyword)], keyword) {
		return "", "", false
	}
	address, params, ok = strings.Cut(strings.TrimSpace(rest[len(keyword):]), ">")
	if !ok || !strings.HasPrefix(address, "<") {
		return "", "", false
	}
	return address[1:], strings.TrimSpace(params), true
}

func (s *peerSession) mailFrom(rest string) {
	from, params, ok := path(rest, "FROM:")
	switch {
	case !ok:
		s.reply("501 5.5.4 Syntax: MAIL FROM:<address>")
	case s.open:
		s.reply("503 5.5.1 One transaction at a time")
	default:
		s.reset()
		s.mail = Mail{From: from, FromParams: params, TLS: s.tls}
		s.open = true
		s.reply("250 2.1.0 Sender noted")
	}
}

func (s *peerSession) rcptTo(rest string) bool {
	to, _, ok := path(rest, "TO:")
	if !ok || !s.open {
		s.reply("503 5.5.1 Not now")
		return true
	}
	local, _, _ := strings.Cut(to, "@")
	fault, reply := FaultOf(local)
	switch fault {
	case Refuse:
		s.reply("%d %s %s", reply.Code, reply.Status(), reply.Text)
		return reply.Code != 421
	case Slow:
		delay := s.p.Delay
		if delay == 0 {
			delay = 2 * time.Second
		}
		s.w.Flush()
		s.sleep(delay)
	case Timeout:
		s.w.Flush()
		io.Copy(io.Discard, s.r) // until the other side has had enough
		return false
	case Drop:
		return false
	case DropAfterData:
		s.drop = true
	}
	if s.greylisted(to) {
		s.reply("451 4.7.1 Greylisted, come again later")
		return true
	}
	s.mail.To = append(s.mail.To, to)
	s.reply("250 2.1.5 Recipient noted")
	return true
}

func (s *peerSession) greylisted(to string) bool {
	if s.p.Greylist == 0 {
		return false
	}
	key := s.mail.From + " " + to
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.first == nil {
		s.p.first = map[string]time.Time{}
	}
	first, ok := s.p.first[key]
	if !ok {
		s.p.first[key] = time.Now()
	}
	return !ok || time.Since(first) < s.p.Greylist
}

func (s *peerSession) data() bool {
	if len(s.mail.To) == 0 {
		s.reply("554 5.5.1 No valid recipients")
		return true
	}
	s.reply("354 Go on")
	if s.w.Flush() != nil {
		return false
	}
	data, err := readData(s.r)
	if err != nil || s.drop {
		return false
	}
	s.mail.Data = data
	s.take()
	return true
}

// chunk reads one of BDAT (RFC 3030 2). Like DATA it wants CRLF as every line's end.
func (s *peerSession) chunk(rest string) bool {
	digits, last, _ := strings.Cut(rest, " ")
	size, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return false // where the next command begins is anybody's guess
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(s.r, data); err != nil {
		return false
	}
	s.mail.Data = append(s.mail.Data, data...)
	s.mail.Chunks++
	switch {
	case len(s.mail.To) == 0:
		s.reply("554 5.5.1 No valid recipients")
	case !strings.EqualFold(last, "LAST"):
		s.reply("250 2.0.0 %d octets received", size)
	case s.drop || bareLineEnd(s.mail.Data):
		return false
	default:
		s.take()
	}
	return true
}

// take hands a whole message over and answers for it.
func (s *peerSession) take() {
	mail := s.mail
	s.reset()
	if s.p.Take != nil {
		if err := s.p.Take(mail); err != nil {
			s.reply("451 4.3.0 %s", strings.ReplaceAll(err.Error(), "\n", " "))
			return
		}
	}
	s.reply("250 2.0.0 Taken")
}

func bareLineEnd(data []byte) bool {
	return bytes.ContainsAny(bytes.ReplaceAll(data, []byte("\r\n"), nil), "\r\n")
}

// errBareLineEnd: what the peer sent breaks RFC 5321 2.3.8.
var errBareLineEnd = errors.New("a bare CR or LF in DATA")

// readData reads up to the final dot. It takes CRLF alone as a line end and fails on
// anything else, so that a test whose sender lets a bare CR or LF out fails.
func readData(r *bufio.Reader) ([]byte, error) {
	var data []byte
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n := len(line); n < 2 || line[n-2] != '\r' || strings.Contains(string(line[:n-2]), "\r") {
			return nil, errBareLineEnd
		}
		if len(line) == 3 && line[0] == '.' {
			return data, nil
		}
		if line[0] == '.' {
			line = line[1:]
		}
		data = append(data, line...)
		line = line[:0]
	}
}
