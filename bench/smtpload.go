package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// smtpConn is the smallest pipelining SMTP client. It shares the processor with the server that it measures, so a
// message takes two writes, the reads of its replies, and no memory.
type smtpConn struct {
	c          net.Conn
	buf        [2048]byte // replies
	read, have int        // buf[read:have] has not been looked at
}

func dialSMTP(ctx context.Context, addr string) (*smtpConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(t)
	}
	s := &smtpConn{c: c}
	if err := s.expect("220"); err != nil {
		c.Close()
		return nil, err
	}
	if err := s.command("250", "EHLO client.sender.test"); err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// secure upgrades the session and logs in.
func (s *smtpConn) secure(name, pass string) error {
	if err := s.command("220", "STARTTLS"); err != nil {
		return err
	}
	s.c = tls.Client(s.c, &tls.Config{InsecureSkipVerify: true}) // a benchmark's throw-away certificate
	if err := s.command("250", "EHLO client.sender.test"); err != nil {
		return err
	}
	return s.command("235", "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+pass)))
}

func (s *smtpConn) command(want, line string) error {
	if _, err := s.c.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	return s.expect(want)
}

// endOfData ends a message; the corpus has no line that starts with a dot.
const endOfData = ".\r\n"

// envelope is MAIL, RCPT and DATA for one packet (RFC 2920).
func envelope(from, to string) []byte {
	return fmt.Appendf(nil, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", from, to)
}

// send sends one message, with its end of data, and waits until it is acknowledged.
func (s *smtpConn) send(envelope, msg []byte) error {
	if _, err := s.c.Write(envelope); err != nil {
		return err
	}
	if err := s.expect("250", "250", "354"); err != nil {
		return err
	}
	if _, err := s.c.Write(msg); err != nil {
		return err
	}
	return s.expect("250")
}

// expect reads one reply for each code, in that order.
func (s *smtpConn) expect(codes ...string) error {
	for _, want := range codes {
		for {
			line, err := s.line()
			if err != nil {
				return err
			}
			if len(line) < 4 || string(line[:3]) != want {
				return fmt.Errorf("SMTP: wanted %s, got %q", want, line)
			}
			if line[3] != '-' {
				break
			}
		}
	}
	return nil
}

// line returns one line of a reply; it is good until the next call.
func (s *smtpConn) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(s.buf[s.read:s.have], '\n'); i >= 0 {
			line := s.buf[s.read : s.read+i+1]
			s.read += i + 1
			return line, nil
		}
		s.have = copy(s.buf[:], s.buf[s.read:s.have])
		s.read = 0
		if s.have == len(s.buf) {
			return nil, errors.New("SMTP: the line of a reply is too long")
		}
		n, err := s.c.Read(s.buf[s.have:])
		if n == 0 && err != nil {
			return nil, err
		}
		s.have += n
	}
}

func (s *smtpConn) quit() {
	_ = s.command("221", "QUIT") // all that counts has been acknowledged
	s.c.Close()
}

// load sends messages over several connections.
type load struct {
	addr     string
	conns    int
	perConn  int // messages in one connection; 0: all of them
	from, to string
	login    bool // STARTTLS and AUTH first
	total    int
	message  func(i int) []byte // with its end of data
}

// run sends all messages and returns once the last is acknowledged.
func (l load) run(ctx context.Context) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, l.conns)
	for n := range l.conns {
		wg.Go(func() { errs[n] = l.worker(ctx, &next) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (l load) worker(ctx context.Context, next *atomic.Int64) error {
	env := envelope(l.from, l.to)
	for {
		var s *smtpConn
		for sent := 0; l.perConn == 0 || sent < l.perConn; sent++ {
			i := int(next.Add(1)) - 1
			if i >= l.total || ctx.Err() != nil {
				if s != nil {
					s.quit()
				}
				return ctx.Err()
			}
			if s == nil {
				var err error
				if s, err = l.connect(ctx); err != nil {
					return err
				}
			}
			if err := s.send(env, l.message(i)); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
		s.quit()
	}
}

func (l load) connect(ctx context.Context) (*smtpConn, error) {
	s, err := dialSMTP(ctx, l.addr)
	if err != nil || !l.login {
		return s, err
	}
	return s, s.secure(l.from, password)
}
