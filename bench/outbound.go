package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// submission measures mail to another server: from the first submission until the sink has the last
// message, and how long each was in the queue. Facteur's clients use STARTTLS and AUTH and it signs with
// two keys; Postfix takes the mail in the clear from its own network and signs nothing.
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
		c := corpus{10 << 10}
		sentAt := make([]time.Time, count)
		l := load{addr: e.server.addresses().submission, conns: 10, login: e.server.name() == "facteur",
			from: user, to: "someone@sink.test", total: count,
			message: func(i int) []byte { m := asBob(c.message(i)); sentAt[i] = time.Now(); return m }}
		before, begin := e.usage(), time.Now()
		if err := l.run(ctx); err != nil {
			return err
		}
		for s.count.Load() < int64(count) {
			if ctx.Err() != nil || time.Since(begin) > 5*time.Minute {
				return fmt.Errorf("the sink has %d of %d", s.count.Load(), count)
			}
			time.Sleep(time.Millisecond)
		}
		took := time.Since(begin)
		after := e.usage()
		e.record(metric{name: "to the sink, 10 connections", unit: "msg/s", want: 3, value: float64(count) / took.Seconds()})
		e.record(metric{name: "CPU a message", unit: "ms", less: true, value: (after.cpu - before.cpu).Seconds() * 1000 / float64(count)})
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
		return lightly(ctx, e, s, count)
	}
}

// lightly sends one message at a time, to see the time in the queue without waiting in line.
func lightly(ctx context.Context, e *env, s *sink, from int) error {
	c := corpus{10 << 10}
	l := load{addr: e.server.addresses().submission, conns: 1, login: e.server.name() == "facteur", from: user, to: "someone@sink.test"}
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.quit()
	var wait []float64
	for i := range 50 {
		if err := conn.send(l.from, l.to, asBob(c.message(from+i))); err != nil {
			return err
		}
		acked := time.Now()
		for {
			if at, ok := s.arrived(from + i); ok {
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

// asBob makes bob the author, as a submission server wants it.
func asBob(msg []byte) []byte {
	end := slices.Index(msg, '\n')
	return append([]byte("From: Bob <"+user+">\r\n"), msg[end+1:]...)
}
