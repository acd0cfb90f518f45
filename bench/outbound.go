package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

// submission measures mail to another server: from the first submission until the sink has the last
// message, and how long each was in the queue. Both sides take the mail by STARTTLS and AUTH on ten connections
// and pass it on in the clear. Facteur signs each message with two keys; Postfix signs nothing.
func submission(count int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		s, err := newSink()
		if err != nil {
			return err
		}
		defer s.close()
		e.flags.sink = s.addr()
		if err := e.restart(ctx); err != nil {
			return err
		}
		msgs := fromBob(count)
		sentAt := make([]time.Time, count)
		l := load{addr: e.server.addresses().submission, conns: 10, login: true,
			from: user, to: "someone@sink.test", total: count,
			message: func(i int) []byte { sentAt[i] = time.Now(); return msgs[i] }}
		before, own, begin := e.usage(), ownCPU(), time.Now()
		if err := l.run(ctx); err != nil {
			return err
		}
		for s.count.Load() < int64(count) {
			if ctx.Err() != nil || time.Since(begin) > 5*time.Minute {
				return fmt.Errorf("the sink has %d of %d", s.count.Load(), count)
			}
			time.Sleep(time.Millisecond)
		}
		took, own := time.Since(begin), ownCPU()-own
		after := e.usage()
		e.record(metric{name: "to the sink, 10 connections", unit: "msg/s", want: 3, value: float64(count) / took.Seconds()})
		e.record(metric{name: "CPU a message", unit: "ms", less: true, value: (after.cpu - before.cpu).Seconds() * 1000 / float64(count)})
		e.record(metric{name: "the client's and the sink's own CPU", unit: "ms", less: true, value: own.Seconds() * 1000 / float64(count)})
		e.record(metric{name: "connections to the sink", unit: "", less: true, value: float64(s.conns.Load())})
		var wait []float64
		for i, t := range sentAt {
			if at, ok := s.arrived(i); ok {
				wait = append(wait, at.Sub(t).Seconds()*1000)
			}
		}
		if len(wait) > 0 {
			slices.Sort(wait)
			e.record(metric{name: "DATA to sink under load, median", unit: "ms", less: true, value: wait[len(wait)/2]})
		}
		e.recordPeak()
		return lightly(ctx, e, s, msgs)
	}
}

// lightly sends one message at a time, to see the time in the queue without waiting in line.
func lightly(ctx context.Context, e *env, s *sink, msgs [][]byte) error {
	s.forget()
	l := load{addr: e.server.addresses().submission, login: true, from: user, to: "someone@sink.test"}
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.quit()
	var wait []float64
	for i := range 50 {
		if err := conn.send(envelope(l.from, l.to), msgs[i]); err != nil {
			return err
		}
		acked := time.Now()
		for {
			if at, ok := s.arrived(i); ok {
				wait = append(wait, max(0, at.Sub(acked).Seconds()*1000))
				break
			}
			if time.Since(acked) > 30*time.Second {
				return fmt.Errorf("a message was not sent on")
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	slices.Sort(wait)
	e.record(metric{name: "time in the queue, one at a time, median", unit: "ms", less: true, limit: 20, value: wait[len(wait)/2]})
	return nil
}

// fromBob makes messages whose author is bob, as a submission server wants it.
func fromBob(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		_, rest, _ := bytes.Cut(corpus{10 << 10}.message(i), []byte("\n"))
		all[i] = slices.Concat([]byte("From: Bob <"+user+">\r\n"), rest, []byte(endOfData))
	}
	return all
}
