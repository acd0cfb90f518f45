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
				message: pregenerate(corpus{w.size}, min(n, 500), endOfData)}, &sent); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		e.recordPeak()
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

// deliver runs one load to its visible end and records rate and CPU, beside what the disk could do.
func deliver(ctx context.Context, e *env, c *imapConn, m metric, l load, sent *int) error {
	l.addr, l.from, l.to = e.server.addresses().mx, "writer@sender.test", user
	disk, err := e.disk(l.conns, l.message(0))
	if err != nil {
		return err
	}
	before, own, begin := e.usage(), ownCPU(), time.Now()
	if err := l.run(ctx); err != nil {
		return err
	}
	*sent += l.total
	// Half a percent of the time so far is as exact as the rate needs to be.
	if err := c.waitCount(ctx, "INBOX", *sent, time.Since(begin)/200); err != nil {
		return err
	}
	took, own := time.Since(begin), ownCPU()-own // before usage, which costs something itself
	after := e.usage()
	m.value = float64(l.total) / took.Seconds()
	e.record(m)
	limit := 0.0
	if m.want > 0 {
		limit = 0.8
	}
	e.recordCost(m.name, l.total, m.value/disk, after.cpu-before.cpu, own, limit)
	return nil
}

// recordCost tells what stands beside a rate of n durable messages: the share of the disk's limit, CPU of the server
// (with its limit in ms, or 0) and of this tool, which has the same processors.
func (e *env) recordCost(name string, n int, ofDisk float64, server, own time.Duration, limit float64) {
	each := func(cpu time.Duration) float64 { return cpu.Seconds() * 1000 / float64(n) }
	e.record(metric{name: name + ": of the disk's limit", unit: "%", value: 100 * ofDisk})
	e.record(metric{name: name + ": CPU a message", unit: "ms", less: true, value: each(server), limit: limit})
	e.record(metric{name: name + ": the load client's own CPU", unit: "ms", less: true, value: each(own)})
}

// recordPeak tells the most memory that was seen in this group, which is looked at after each workload.
func (e *env) recordPeak() {
	e.record(metric{name: "memory (PSS), at its highest after a workload", unit: "MiB", less: true, value: float64(e.peak) / (1 << 20)})
}

// pregenerate makes n different messages in advance, each with what ends it in its protocol, so that the client's
// work stays small.
func pregenerate(c corpus, n int, end string) func(i int) []byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = append(c.message(i), end...)
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
		msgs := pregenerate(corpus{10 << 10}, 500, endOfData)
		small := pregenerate(corpus{1 << 10}, 500, "")
		for _, have := range []int{0, size / 10, size} {
			if have > sent {
				if err := fill(ctx, e, sent, have, small); err != nil {
					return err
				}
				if err := settle(ctx, e); err != nil { // what filling left behind is no part of it
					return err
				}
				sent = have
			}
			m := metric{name: fmt.Sprintf("into a mailbox of %d", have), unit: "msg/s"}
			if err := deliver(ctx, e, c, m, load{conns: 10, total: 4000, message: msgs}, &sent); err != nil {
				return err
			}
		}
		e.recordPeak()
		return nil
	}
}
