package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
)

// accounts measures deliveries spread over 10, 100 and n accounts, which the command line adds. Each has had a message
// before, so that making its folders and its index is no part of the rate.
func accounts(n int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		msgs := pregenerate(corpus{10 << 10}, 300, endOfData)
		made := 0
		for _, size := range []int{10, 100, n} {
			if err := each(size-made, 4, func(i int) error { return addAccount(ctx, e, accountName(made+i)) }); err != nil {
				return err
			}
			if err := spread(ctx, e, made, size, size-made, msgs); err != nil {
				return err
			}
			made = size
			const total = 3000
			disk, err := e.disk(10, msgs(0))
			if err != nil {
				return err
			}
			before, own, begin := e.usage(), ownCPU(), time.Now()
			if err := spread(ctx, e, 0, size, total, msgs); err != nil {
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

func accountName(i int) string { return fmt.Sprintf("user%d@demo.test", i) }

func addAccount(ctx context.Context, e *env, name string) error {
	cmd := exec.CommandContext(ctx, e.opt.facteur, "account", "add", name, "--data", filepath.Join(e.dir, "data"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("account add: %w: %s", err, out)
	}
	return nil
}

// spread sends messages on ten connections, in turn to the accounts from first up to end.
func spread(ctx context.Context, e *env, first, end, total int, msgs func(int) []byte) error {
	var next atomic.Int64
	return each(10, 10, func(int) error {
		s, err := dialSMTP(ctx, e.server.addresses().mx)
		if err != nil {
			return err
		}
		defer s.quit()
		for i := int(next.Add(1)) - 1; i < total; i = int(next.Add(1)) - 1 {
			if err := s.send(envelope("writer@sender.test", accountName(first+i%(end-first))), msgs(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// million fills one mailbox with a million small messages, and works with it.
func million(ctx context.Context, e *env) error {
	const n = 1_000_000
	msgs := pregenerate(corpus{1 << 10}, 2000, "")
	begin := time.Now()
	if err := fill(ctx, e, 0, n, msgs); err != nil {
		return err
	}
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
