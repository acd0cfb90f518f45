package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// step is one timed IMAP command; less time is better.
type step struct {
	name    string
	command string
	want    float64
}

// reading measures a mailbox of size messages: opening, flags, metadata, resynchronisation, bodies,
// searches, and changes in bulk.
func reading(size int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		addr := e.server.addresses().imap
		if err := fill(ctx, e, 0, size, corpus{6 << 10}.message); err != nil {
			return err
		}
		if err := settle(ctx, e); err != nil {
			return err
		}
		// A new process: what the server knows, it knows from disk.
		if err := e.restart(ctx); err != nil {
			return err
		}
		if err := opening(ctx, e, addr); err != nil {
			return err
		}
		c, err := login(ctx, addr)
		if err != nil {
			return err
		}
		defer c.close()
		a, err := c.keep(func(l string) bool { return strings.Contains(l, "HIGHESTMODSEQ") || strings.Contains(l, "UIDVALIDITY") }, "SELECT INBOX")
		if err != nil {
			return err
		}
		modseq, uidvalidity := number(a.kept, "HIGHESTMODSEQ"), number(a.kept, "UIDVALIDITY")
		metadata := "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
		if err := timed(e, c, []step{
			{"FLAGS of all", "FETCH 1:* (UID FLAGS)", 1},
			{"metadata, first time", metadata, 5},
			{"metadata, warm", metadata, 2},
			{"SEARCH flags", "SEARCH FLAGGED UNSEEN", 1},
			{"SEARCH subject", "SEARCH SUBJECT railway", 5},
			{"SEARCH address", "SEARCH FROM library", 5},
			{"SEARCH text", "SEARCH TEXT " + rareWord, 50},
			{"SEARCH body", "SEARCH BODY " + rareWord, 50},
		}); err != nil {
			return err
		}
		if err := resync(ctx, e, addr, uidvalidity, modseq); err != nil {
			return err
		}
		if err := settle(ctx, e); err != nil { // the first SELECT has left files to be moved from new to cur
			return err
		}
		if err := bodies(ctx, e, addr, size); err != nil {
			return err
		}
		if err := changes(e, c, size); err != nil {
			return err
		}
		e.usage() // for its look at memory
		e.recordPeak()
		return nil
	}
}

// settle waits until the server rests: work that follows deliveries in the background (a text index) is not to
// be measured as part of the next command. Its CPU is told by the inbound group.
func settle(ctx context.Context, e *env) error {
	before, rested := e.usage().cpu, 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		now := e.usage().cpu
		if now-before > 20*time.Millisecond {
			rested = 0
		} else if rested++; rested == 2 { // one may be the pause before the work begins
			return nil
		}
		before = now
	}
}

// opening measures login and SELECT in a new connection: first after the start, then again.
func opening(ctx context.Context, e *env, addr string) error {
	for i, name := range []string{"login and SELECT, first", "login and SELECT, warm"} {
		begin := time.Now()
		c, err := login(ctx, addr)
		if err != nil {
			return err
		}
		if _, err := c.do("SELECT INBOX"); err != nil {
			return err
		}
		e.record(metric{name: name, unit: "ms", value: ms(begin), less: true, want: float64(i)})
		c.close()
	}
	return nil
}

func timed(e *env, c *imapConn, steps []step) error {
	for _, s := range steps {
		begin := time.Now()
		if _, err := c.do("%s", s.command); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		e.record(metric{name: s.name, unit: "ms", value: ms(begin), less: true, want: s.want})
	}
	return nil
}

// resync changes ten messages and asks for what has changed, with CONDSTORE and with QRESYNC.
func resync(ctx context.Context, e *env, addr, uidvalidity, modseq string) error {
	c, err := login(ctx, addr)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.do("ENABLE QRESYNC"); err != nil {
		return err
	}
	if _, err := c.do("SELECT INBOX"); err != nil {
		return err
	}
	if _, err := c.do("UID STORE 11:20 +FLAGS (\\Flagged)"); err != nil {
		return err
	}
	if err := timed(e, c, []step{{"CONDSTORE, 10 changes", "UID FETCH 1:* (FLAGS) (CHANGEDSINCE " + modseq + ")", 1}}); err != nil {
		return err
	}
	if _, err := c.do("UNSELECT"); err != nil {
		return err
	}
	return timed(e, c, []step{{"QRESYNC, 10 changes", fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s))", uidvalidity, modseq), 1}})
}

// bodies fetches whole messages: first from wherever they are, and then, several times, from the page cache, on one
// and on four connections. (A search that has read all messages before would else be half of the second figure.)
func bodies(ctx context.Context, e *env, addr string, size int) error {
	for _, w := range []struct {
		name          string
		conns, passes int
		want          float64
	}{{"bodies, first", 1, 1, 0}, {"bodies, 1 connections", 1, 5, 1.2}, {"bodies, 4 connections", 4, 2, 1.2}} {
		limit, err := stream(w.conns)
		if err != nil {
			return err
		}
		own, begin := ownCPU(), time.Now()
		var octets atomic.Int64
		err = each(w.conns, w.conns, func(int) error { return fetchBodies(ctx, addr, min(size, 10_000), w.passes, &octets) })
		if err != nil {
			return err
		}
		took := time.Since(begin)
		rate := float64(octets.Load()) / 1e6 / took.Seconds()
		e.record(metric{name: w.name, unit: "MB/s", want: w.want, value: rate})
		e.record(metric{name: w.name + ": of loopback's limit", unit: "%", value: 100 * rate / limit})
		e.record(metric{name: w.name + ": the client's share of the processors", unit: "%", less: true,
			value: 100 * (ownCPU() - own).Seconds() / took.Seconds() / float64(runtime.NumCPU())})
	}
	return nil
}

// fetchBodies reads the first n messages of INBOX, passes times over.
func fetchBodies(ctx context.Context, addr string, n, passes int, octets *atomic.Int64) error {
	c, err := login(ctx, addr)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.do("EXAMINE INBOX"); err != nil {
		return err
	}
	for range passes {
		a, err := c.do("FETCH 1:%d BODY.PEEK[]", n)
		octets.Add(a.bytes)
		if err != nil {
			return err
		}
	}
	return nil
}

// changes stores, copies, moves and expunges in bulk.
func changes(e *env, c *imapConn, size int) error {
	if _, err := c.do("CREATE Bulk"); err != nil {
		return err
	}
	n := min(size, 10_000)
	return timed(e, c, []step{
		{fmt.Sprintf("STORE %d", n), fmt.Sprintf("STORE 1:%d +FLAGS (\\Seen)", n), 1},
		{fmt.Sprintf("COPY %d", n), fmt.Sprintf("COPY 1:%d Bulk", n), 1},
		{fmt.Sprintf("MOVE %d", n/10), fmt.Sprintf("MOVE 1:%d Bulk", n/10), 1},
		{fmt.Sprintf("STORE \\Deleted %d", n/2), fmt.Sprintf("STORE 1:%d +FLAGS.SILENT (\\Deleted)", n/2), 1},
		{fmt.Sprintf("EXPUNGE %d", n/2), "EXPUNGE", 1},
	})
}

// number finds the digits behind a word in response lines.
func number(lines []string, word string) string {
	for _, l := range lines {
		if _, rest, ok := strings.Cut(l, word+" "); ok {
			return strings.TrimRight(strings.Fields(rest)[0], "]")
		}
	}
	return "1"
}

func ms(begin time.Time) float64 { return time.Since(begin).Seconds() * 1000 }

// appends measures APPEND on one connection, pipelined, and on ten.
func appends(count int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		msgs := pregenerate(corpus{10 << 10}, min(count, 500), "")
		addr := e.server.addresses().imap
		for _, w := range []struct {
			name         string
			conns, depth int
			want         float64
		}{{"APPEND, 1 connection", 1, 1, 2}, {"APPEND, 1 connection, pipelined", 1, 20, 2}, {"APPEND, 10 connections", 10, 1, 8}} {
			var wg sync.WaitGroup
			errs := make([]error, w.conns)
			disk, err := e.disk(w.conns, msgs(0))
			if err != nil {
				return err
			}
			before, own, begin := e.usage(), ownCPU(), time.Now()
			for i := range w.conns {
				wg.Go(func() { errs[i] = appendWorker(ctx, addr, count/w.conns, w.depth, msgs) })
			}
			wg.Wait()
			for _, err := range errs {
				if err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
			}
			n := count / w.conns * w.conns
			rate, own := float64(n)/time.Since(begin).Seconds(), ownCPU()-own
			e.record(metric{name: w.name, unit: "msg/s", want: w.want, value: rate})
			e.recordCost(w.name, n, rate/disk, e.usage().cpu-before.cpu, own, 0)
		}
		e.recordPeak()
		return nil
	}
}

func appendWorker(ctx context.Context, addr string, count, depth int, msgs func(int) []byte) error {
	c, err := login(ctx, addr)
	if err != nil {
		return err
	}
	defer c.close()
	for i := 0; i < count; i += depth {
		first := c.tag + 1
		for j := range min(depth, count-i) {
			c.tag++
			msg := msgs(i + j)
			fmt.Fprintf(c.w, "t%d APPEND INBOX {%d+}\r\n", c.tag, len(msg))
			c.w.Write(msg)
			c.w.WriteString("\r\n")
		}
		if err := c.w.Flush(); err != nil {
			return err
		}
		last := c.tag
		for c.tag = first; c.tag <= last; c.tag++ {
			if _, err := c.finish(nil); err != nil {
				return err
			}
		}
		c.tag = last
	}
	return nil
}
