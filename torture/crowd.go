package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// crowd opens thousands of connections that say nothing, and dozens that speak one octet at a time. Somebody
// who comes with mail must be served within two seconds all the while.
func crowd(ctx context.Context, t *trial) error {
	many, slow := 5000, 60
	if t.opt.quick {
		many = 500
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range many {
		port := demoPorts.imap
		if i%10 == 0 { // SMTP takes 1,000 in all; the limits by address, which spare others, are off in the demo
			port = demoPorts.mx
		}
		c, err := net.DialTimeout("tcp", t.addr(port), 5*time.Second)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		conns = append(conns, c)
	}
	dripping, stop := context.WithCancel(ctx)
	defer stop()
	for range slow {
		go t.drip(dripping)
	}
	l := newLoad(t.site)
	deadline := time.Now().Add(20 * time.Second)
	if t.opt.quick {
		deadline = time.Now().Add(3 * time.Second)
	}
	for time.Now().Before(deadline) {
		begin := time.Now()
		c, err := t.dial(demoPorts.mx)
		if err != nil {
			return err
		}
		subject := l.ledger.offer(bob, "crowd")
		if err := c.SendMail("friend@elsewhere.test", []string{bob}, strings.NewReader(letter("friend@elsewhere.test", bob, subject, t.rnd))); err != nil {
			return err
		}
		l.ledger.stored(subject)
		_ = c.Quit()
		if took := time.Since(begin); took > 2*time.Second {
			return fmt.Errorf("a message took %v in the crowd", took)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, c := range conns {
		c.Close()
	}
	conns = nil
	stop()
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	return t.verify(ctx)
}

// drip is a client that sends a message one octet at a time.
func (s site) drip(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := net.Dial("tcp", s.addr(demoPorts.mx))
		if err != nil {
			return
		}
		for _, b := range []byte("EHLO slow.test\r\nMAIL FROM:<s@slow.test>\r\nRCPT TO:<" + bob + ">\r\nDATA\r\nSubject: slow\r\n\r\n" + strings.Repeat("slow ", 1000)) {
			if _, err := c.Write([]byte{b}); err != nil || ctx.Err() != nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		c.Close()
	}
}
