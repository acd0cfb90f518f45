package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
)

// accounts measures deliveries spread over 10, 100 and n accounts, which the command line adds.
func accounts(n int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		f := e.server.(*facteur)
		data := filepath.Join(e.dir, "data")
		msgs := pregenerate(corpus{10 << 10}, 300, endOfData)
		made := 0
		for _, size := range []int{10, 100, n} {
			for ; made < size; made++ {
				cmd := exec.CommandContext(ctx, f.bin, "account", "add", fmt.Sprintf("user%d@demo.test", made), "--data", data)
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("account add: %w: %s", err, out)
				}
			}
			const total = 3000
			var next atomic.Int64
			disk, err := e.disk(10, msgs(0))
			if err != nil {
				return err
			}
			before, own, begin := e.usage(), ownCPU(), time.Now()
			if err := each(10, 10, func(int) error {
				s, err := dialSMTP(ctx, f.addresses().mx)
				if err != nil {
					return err
				}
				defer s.quit()
				for i := int(next.Add(1)); i <= total; i = int(next.Add(1)) {
					if err := s.send(envelope("writer@sender.test", fmt.Sprintf("user%d@demo.test", i%size)), msgs(i)); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
			rate, own := total/time.Since(begin).Seconds(), ownCPU()-own
			after := e.usage()
			name := fmt.Sprintf("over %d accounts, 10 connections", size)
			e.record(metric{name: name, unit: "msg/s", value: rate})
			e.recordCost(name, total, rate/disk, after.cpu-before.cpu, own, 0)
			e.record(metric{name: fmt.Sprintf("over %d accounts: memory", size), unit: "MiB", less: true, value: float64(after.pss) / (1 << 20)})
		}
		return nil
	}
}

// million fills one mailbox with a million small messages, and works with it.
func million(ctx context.Context, e *env) error {
	const n = 1_000_000
	msgs := pregenerate(corpus{1 << 10}, 2000, "")
	begin := time.Now()
	if err := each(10, 10, func(i int) error {
		c, err := login(ctx, e.server.addresses().imap)
		if err != nil {
			return err
		}
		defer c.close()
		return c.fill("INBOX", i*n/10, (i+1)*n/10, msgs)
	}); err != nil {
		return err
	}
	e.record(metric{name: "filled by MULTIAPPEND on 10 connections", unit: "msg/s", value: n / time.Since(begin).Seconds()})
	if err := settle(ctx, e); err != nil {
		return err
	}
	e.record(metric{name: "until the text index is complete", unit: "s", less: true, value: time.Since(begin).Seconds()})
	if err := e.restart(ctx); err != nil {
		return err
	}
	if err := opening(ctx, e, e.server.addresses().imap); err != nil {
		return err
	}
	c, err := login(ctx, e.server.addresses().imap)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.do("SELECT INBOX"); err != nil {
		return err
	}
	if err := timed(e, c, []step{
		{"FLAGS of all", "FETCH 1:* (UID FLAGS)", 0},
		{"SEARCH flags", "SEARCH FLAGGED UNSEEN", 0},
		{"SEARCH subject", "SEARCH SUBJECT railway", 0},
	}); err != nil {
		return err
	}
	e.record(metric{name: "memory", unit: "MiB", less: true, value: float64(e.usage().pss) / (1 << 20)})
	sent := n
	m := metric{name: "deliveries, 10 connections", unit: "msg/s"}
	return deliver(ctx, e, c, m, load{conns: 10, total: 2000, message: pregenerate(corpus{10 << 10}, 300, endOfData)}, &sent)
}
