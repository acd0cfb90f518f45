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

// idleSessions measures the memory of many TLS sessions in IDLE: of the first of sizes, then of more.
func idleSessions(sizes ...int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		before := e.usage() // nobody has logged in yet: what a password check takes is not in it
		var conns []*imapConn
		defer func() {
			for _, c := range conns {
				if c != nil {
					c.c.Close()
				}
			}
		}()
		for _, size := range sizes {
			have := len(conns)
			conns = append(conns, make([]*imapConn, size-have)...)
			if err := each(size-have, 20, func(i int) error {
				c, err := idleSession(ctx, e.server.addresses().imaps)
				conns[have+i] = c
				return err
			}); err != nil {
				return err
			}
			after, err := rested(ctx, e)
			if err != nil {
				return err
			}
			e.record(metric{name: fmt.Sprintf("%d idle TLS sessions: memory each", size), unit: "KiB", less: true, limit: 40,
				value: float64(after.pss-before.pss) / 1024 / float64(size)})
		}
		return nil
	}
}

// rested waits until the server's memory falls no more, two and a half minutes at most: Go's runtime gives back little
// by little what the log-ins took (argon2's memory above all).
func rested(ctx context.Context, e *env) (usage, error) {
	const look, enough = 10 * time.Second, 3
	now := e.usage()
	for still, waited := 0, time.Duration(0); still < enough && waited < 150*time.Second; waited += look {
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return now, ctx.Err()
		}
		before := now.pss
		if now = e.usage(); now.pss < before-before/100 {
			still = 0
		} else {
			still++
		}
	}
	return now, nil
}

// sessions measures the time from a message's 250 to EXISTS, and whole log-ins a second.
func sessions(logins int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		addr := e.server.addresses()
		if err := pushLatency(ctx, e, addr); err != nil {
			return err
		}
		own, begin := ownCPU(), time.Now()
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
		e.record(metric{name: "connect, TLS, login, SELECT: the load client's own CPU", unit: "ms", less: true,
			value: (ownCPU() - own).Seconds() * 1000 / float64(logins)})
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
	msgs, env := pregenerate(corpus{4 << 10}, 40, endOfData), envelope("writer@sender.test", user)
	for i := range 40 {
		if err := s.send(env, msgs(i)); err != nil {
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
