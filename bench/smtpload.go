package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"crypto/tls"
)

// smtpConn is the smallest pipelining SMTP client: it is here to cost little beside the server.
type smtpConn struct {
	c net.Conn
	r *bufio.Reader
	w *bufio.Writer
}

func dialSMTP(ctx context.Context, addr string) (*smtpConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	s := &smtpConn{c: c, r: bufio.NewReaderSize(c, 4096), w: bufio.NewWriterSize(c, 64<<10)}
	if _, err := s.reply(220); err != nil {
		c.Close()
		return nil, err
	}
	if err := s.command(250, "EHLO client.sender.test"); err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// secure upgrades the session and logs in.
func (s *smtpConn) secure(name, pass string) error {
	if err := s.command(220, "STARTTLS"); err != nil {
		return err
	}
	t := tls.Client(s.c, &tls.Config{InsecureSkipVerify: true}) // a benchmark's throw-away certificate
	s.c, s.r, s.w = t, bufio.NewReaderSize(t, 4096), bufio.NewWriterSize(t, 64<<10)
	if err := s.command(250, "EHLO client.sender.test"); err != nil {
		return err
	}
	return s.command(235, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+pass)))
}

func (s *smtpConn) command(want int, line string) error {
	s.w.WriteString(line + "\r\n")
	if err := s.w.Flush(); err != nil {
		return err
	}
	_, err := s.reply(want)
	return err
}

// send sends one message with MAIL, RCPT and DATA in one packet (RFC 2920).
func (s *smtpConn) send(from, to string, msg []byte) error {
	fmt.Fprintf(s.w, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", from, to)
	if err := s.w.Flush(); err != nil {
		return err
	}
	for _, want := range []int{250, 250, 354} {
		if _, err := s.reply(want); err != nil {
			return err
		}
	}
	s.w.Write(msg) // the corpus has no line that starts with a dot
	s.w.WriteString(".\r\n")
	if err := s.w.Flush(); err != nil {
		return err
	}
	_, err := s.reply(250)
	return err
}

func (s *smtpConn) reply(want int) (string, error) {
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if len(line) < 4 {
			return "", fmt.Errorf("SMTP reply %q", line)
		}
		if line[3] == '-' {
			continue
		}
		if line[:3] != fmt.Sprint(want) {
			return line, fmt.Errorf("SMTP: wanted %d, got %q", want, line)
		}
		return line, nil
	}
}

func (s *smtpConn) quit() {
	s.w.WriteString("QUIT\r\n")
	_ = s.w.Flush()
	_, _ = s.reply(221)
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
	message  func(i int) []byte
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
	for {
		var s *smtpConn
		for sent := 0; l.perConn == 0 || sent < l.perConn; sent++ {
			i := int(next.Add(1)) - 1
			if i >= l.total {
				if s != nil {
					s.quit()
				}
				return nil
			}
			if s == nil {
				var err error
				if s, err = l.connect(ctx); err != nil {
					return err
				}
			}
			if err := s.send(l.from, l.to, l.message(i)); err != nil {
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
