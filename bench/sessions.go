package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sessions measures many TLS sessions in IDLE: memory for each, and the time from a message's 250 to
// EXISTS; then whole log-ins a second.
func sessions(idle, logins int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		addr := e.server.addresses()
		before := e.usage() // nobody has logged in yet: what a password check takes is not in it
		conns := make([]*imapConn, idle)
		defer func() {
			for _, c := range conns {
				if c != nil {
					c.c.Close()
				}
			}
		}()
		if err := each(idle, 20, func(i int) error {
			c, err := idleSession(ctx, addr.imaps)
			conns[i] = c
			return err
		}); err != nil {
			return err
		}
		// Go's runtime gives back what the log-ins took (argon2's memory above all) within some two minutes.
		rest := 150 * time.Second
		if e.opt.quick {
			rest = 5 * time.Second
		}
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return ctx.Err()
		}
		after := e.usage()
		e.record(metric{name: fmt.Sprintf("%d idle TLS sessions: memory each", idle), unit: "KiB", less: true, limit: 40,
			value: float64(after.pss-before.pss) / 1024 / float64(idle)})
		for i, c := range conns {
			c.c.Close()
			conns[i] = nil
		}
		if err := pushLatency(ctx, e, addr); err != nil || logins == 0 {
			return err
		}
		begin := time.Now()
		if err := each(logins, 10, func(int) error {
			c, err := dialIMAP(ctx, addr.imaps, true)
			if err != nil {
				return err
			}
			defer c.c.Close()
			if _, err := c.do("LOGIN %s %s", user, password); err != nil {
				return err
			}
			_, err = c.do("SELECT INBOX")
			return err
		}); err != nil {
			return err
		}
		e.record(metric{name: "connect, TLS, login, SELECT", unit: "per s", limit: 1000, value: float64(logins) / time.Since(begin).Seconds()})
		return nil
	}
}

func idleSession(ctx context.Context, addr string) (*imapConn, error) {
	c, err := dialIMAP(ctx, addr, true)
	if err != nil {
		return nil, err
	}
	for _, cmd := range []string{"LOGIN " + user + " " + password, "SELECT INBOX"} {
		if _, err := c.do("%s", cmd); err != nil {
			return c, err
		}
	}
	return c, c.idle()
}

func (c *imapConn) idle() error {
	c.w.WriteString("i1 IDLE\r\n")
	if err := c.w.Flush(); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		if line[0] == '+' {
			return nil
		}
	}
}

// pushLatency sends messages one by one to a mailbox that one session watches.
func pushLatency(ctx context.Context, e *env, addr addresses) error {
	c, err := idleSession(ctx, addr.imaps)
	if err != nil {
		return err
	}
	defer c.c.Close()
	s, err := dialSMTP(ctx, addr.mx)
	if err != nil {
		return err
	}
	defer s.quit()
	exists := make(chan time.Time, 16)
	go func() {
		for {
			line, err := c.r.ReadString('\n')
			if err != nil {
				close(exists)
				return
			}
			if strings.HasSuffix(line, " EXISTS\r\n") {
				exists <- time.Now()
			}
		}
	}()
	var times []float64
	msgs := corpus{4 << 10}
	for i := range 40 {
		if err := s.send("writer@sender.test", user, msgs.message(i)); err != nil {
			return err
		}
		acked := time.Now()
		select {
		case at, ok := <-exists:
			if !ok {
				return errors.New("the watching session ended")
			}
			times = append(times, max(0, at.Sub(acked).Seconds()*1000))
		case <-time.After(35 * time.Second):
			return errors.New("no EXISTS in 35 s")
		}
	}
	slices.Sort(times)
	e.record(metric{name: "push from 250 to EXISTS, median", unit: "ms", less: true, limit: 1, value: times[len(times)/2]})
	return nil
}

// each calls f(0) to f(n-1) from a few goroutines, and returns the first error.
func each(n, workers int, f func(i int) error) error {
	var next atomic.Int64
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}
