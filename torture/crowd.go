package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
)

// crowd runs "facteur serve" with the limits that are the default, and lets come what comes to an open port: 5,000
// connections from many addresses that say nothing, clients that speak one octet at a time, one that
// delivers as fast as it can, one that guesses passwords. Somebody who brings mail, and bob who
// reads it, must be served within two seconds all the while.
func crowd(ctx context.Context, t *trial) error {
	imap, mx, length := 220, 12, 20*time.Second // addresses with as many connections as each may have
	if t.opt.quick {
		imap, mx, length = 22, 2, 3*time.Second
	}
	if err := t.serve(ctx); err != nil {
		return err
	}
	l := newLoad(t.site)
	slowest, err := l.served() // bob has logged in from here before: nobody locks him out
	if err != nil {
		return fmt.Errorf("before the crowd: %w", err)
	}
	silent, err := t.throng(imap, mx)
	defer closeAll(silent)
	if err != nil {
		return err
	}
	flood, stop := context.WithCancel(ctx)
	defer stop()
	var pests sync.WaitGroup
	for i := range 60 {
		pests.Go(func() { t.pester(flood, fmt.Sprintf("127.251.%d.1", i/20), t.drip) })
	}
	for range 4 {
		pests.Go(func() { t.pester(flood, "127.252.0.1", t.deliverAll) })
		pests.Go(func() { t.pester(flood, "127.253.0.1", t.guess) })
	}
	for deadline := time.Now().Add(length); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		took, err := l.served()
		if err != nil {
			return err
		}
		slowest = max(slowest, took)
	}
	if n := stillOpen(silent); n < len(silent) {
		return fmt.Errorf("%d of %d connections were cut off: it was no crowd", len(silent)-n, len(silent))
	}
	closeAll(silent)
	stop()
	pests.Wait()
	fmt.Printf("      %d connections and %d pests; a message and a look at it took %v at most\n", len(silent), 68, slowest.Round(time.Millisecond))
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	return t.verify(ctx)
}

// throng opens connections that say nothing, as many as each of so many addresses may have to IMAP and to the MX. The
// caller closes them, after an error too.
func (s site) throng(imap, mx int) (conns []net.Conn, err error) {
	for _, many := range []struct{ port, addresses, each int }{{demoPorts.imap, imap, 20}, {demoPorts.mx, mx, 50}} {
		for i := range many.addresses * many.each {
			c, err := s.dialFrom(fmt.Sprintf("127.%d.%d.1", 2+i%many.addresses, many.port%100), many.port)
			if err != nil {
				return conns, fmt.Errorf("connection %d to port %d: %w", i, many.port, err)
			}
			conns = append(conns, c)
		}
	}
	return conns, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// stillOpen counts the connections that the server has not closed.
func stillOpen(conns []net.Conn) (n int) {
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			n++
		}
	}
	return n
}

// served brings bob a message and lets him look whether it is there.
func (l *load) served() (time.Duration, error) {
	begin := time.Now()
	c, err := l.dial(demoPorts.mx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	subject := l.ledger.offer(bob, "crowd")
	if err := c.SendMail("friend@elsewhere.test", []string{bob}, strings.NewReader("From: <friend@elsewhere.test>\r\nSubject: "+subject+"\r\n\r\nx\r\n")); err != nil {
		return 0, err
	}
	l.ledger.stored(subject)
	_ = c.Quit()
	reader, err := l.login(bob)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	if _, err := reader.Select("INBOX", nil).Wait(); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if took > 2*time.Second {
		return took, fmt.Errorf("a message and a look at it took %v in the crowd", took)
	}
	return took, nil
}

func (s site) dialFrom(address string, port int) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return d.Dial("tcp", s.addr(port))
}

// pester does the same from one address until ctx ends, whatever it is told.
func (s site) pester(ctx context.Context, address string, do func(ctx context.Context, address string) error) {
	for ctx.Err() == nil {
		if err := do(ctx, address); err != nil {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// drip sends a message one octet at a time.
func (s site) drip(ctx context.Context, address string) error {
	c, err := s.dialFrom(address, demoPorts.mx)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, b := range []byte("EHLO slow.test\r\nMAIL FROM:<s@slow.test>\r\nRCPT TO:<" + bob + ">\r\nDATA\r\nSubject: slow\r\n\r\n" + strings.Repeat("slow ", 1000)) {
		if _, err := c.Write([]byte{b}); err != nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// deliverAll sends message after message until it is refused.
func (s site) deliverAll(ctx context.Context, address string) error {
	conn, err := s.dialFrom(address, demoPorts.mx)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := smtp.NewClient(conn)
	for ctx.Err() == nil {
		if err := c.SendMail("flood@elsewhere.test", []string{bob}, strings.NewReader("From: <flood@elsewhere.test>\r\nSubject: flood\r\n\r\nx\r\n")); err != nil {
			return err
		}
	}
	return nil
}

// guess tries one password for bob.
func (s site) guess(_ context.Context, address string) error {
	conn, err := s.dialFrom(address, demoPorts.imaps)
	if err != nil {
		return err
	}
	c := imapclient.New(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), nil)
	defer c.Close()
	if c.Login(bob, "guess"+time.Now().String()).Wait() == nil {
		return errors.New("guessed")
	}
	return io.EOF
}
