package main

import (
	"context"
	"fmt"
	"time"
)

// inbound measures durable delivery end to end: from the first connection until the last message is
// acknowledged and visible by IMAP.
func inbound(count, sizes int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		c, err := login(ctx, e.server.addresses().imap)
		if err != nil {
			return err
		}
		defer c.close()
		sent := 0
		for _, w := range []struct {
			size, conns, perConn, share int
			want                        float64
		}{
			{10 << 10, 1, 0, 2, 0}, {10 << 10, 10, 0, 1, 8}, {10 << 10, 50, 0, 1, 8}, {10 << 10, 10, 1, 2, 0},
			{1 << 10, 10, 0, 1, 0}, {100 << 10, 10, 0, 4, 0},
		} {
			if sizes < 3 && w.size != 10<<10 {
				continue
			}
			n := count / w.share
			name := fmt.Sprintf("%d KiB, %d connections", w.size>>10, w.conns)
			if w.perConn == 1 {
				name += ", a connection each"
			}
			m := metric{name: name, unit: "msg/s", want: w.want}
			if err := deliver(ctx, e, c, m, load{conns: w.conns, perConn: w.perConn, total: n,
				message: pregenerate(corpus{w.size}, min(n, 500))}, &sent); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return following(ctx, e, sent)
	}
}

// following measures what work is left behind the deliveries of this group: Facteur's text index
// follows when mail pauses, and its CPU has to be counted somewhere.
func following(ctx context.Context, e *env, sent int) error {
	before := e.usage()
	if err := settle(ctx, e); err != nil {
		return err
	}
	e.record(metric{name: "CPU a message of work that follows, until the server rests", unit: "ms", less: true,
		value: (e.usage().cpu - before.cpu).Seconds() * 1000 / float64(max(sent, 1))})
	return nil
}

// deliver runs one load to its visible end and records rate and CPU.
func deliver(ctx context.Context, e *env, c *imapConn, m metric, l load, sent *int) error {
	l.addr, l.from, l.to = e.server.addresses().mx, "writer@sender.test", user
	before, begin := e.usage(), time.Now()
	if err := l.run(ctx); err != nil {
		return err
	}
	*sent += l.total
	if err := c.waitCount(ctx, "INBOX", *sent); err != nil {
		return err
	}
	took := time.Since(begin)
	after := e.usage()
	m.value = float64(l.total) / took.Seconds()
	e.record(m)
	cpu := metric{name: m.name + ": CPU a message", unit: "ms", less: true,
		value: (after.cpu - before.cpu).Seconds() * 1000 / float64(l.total)}
	if m.want > 0 {
		cpu.limit = 0.8
	}
	e.record(cpu)
	return nil
}

// pregenerate makes n different messages in advance, so that the client's work stays small.
func pregenerate(c corpus, n int) func(i int) []byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = c.message(i)
	}
	return func(i int) []byte { return all[i%n] }
}

// growth measures deliveries into an empty mailbox and into one that holds many messages.
func growth(size int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		c, err := login(ctx, e.server.addresses().imap)
		if err != nil {
			return err
		}
		defer c.close()
		sent := 0
		msgs := pregenerate(corpus{10 << 10}, 500)
		small := pregenerate(corpus{1 << 10}, 500)
		for _, have := range []int{0, size / 10, size} {
			if have > sent {
				if err := c.fill("INBOX", sent, have, small); err != nil {
					return err
				}
				sent = have
			}
			m := metric{name: fmt.Sprintf("into a mailbox of %d", have), unit: "msg/s"}
			if err := deliver(ctx, e, c, m, load{conns: 10, total: 2000, message: msgs}, &sent); err != nil {
				return err
			}
		}
		return nil
	}
}
