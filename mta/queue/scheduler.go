package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// maxLoaded bounds the jobs waiting in memory, all lanes together.
const maxLoaded = 10000

// scheduler is the queue's memory, guarded by Queue.mu. What must stay true:
//
//  1. Every job of the database that is due and not held is in jobs; or its lane is
//     there with more set; or it is after the cursor, up to which Run has read.
//  2. A job is tried by one goroutine at a time: only who takes it from waiting
//     tries it, and it stays in jobs until its result is durable.
//
// A goroutine lives as long as a delivery, and so does a timer; nothing sleeps for a message.
type scheduler struct {
	lastMessage, lastJob atomic.Int64

	lanes  map[string]*lane
	jobs   map[int64]*job // waiting or active, by number
	ready  []*lane        // may be able to start something; served in turn
	paused map[*lane]bool // wait for their notBefore
	hungry map[*lane]bool // more is set and nothing waits
	active int            // deliveries under way, those in slow not counted
	slow   int            // deliveries under way for longer than slowAfter
	loaded int            // waiting, all lanes
	kept   int64
	cursor cursor

	starved bool      // Run had to stop reading for lack of room
	wakeAt  time.Time // when Run looks again by itself; zero while it looks
	looked  int64     // Run's alone: the clock when it last looked, to see it go back

	ctx     context.Context // of deliveries; nil until Run, and after its end
	workers sync.WaitGroup
	closed  bool
	stats   Stats
}

// cursor is a place in the order of (next, num). Who moves it back counts it.
type cursor struct {
	next, num int64
	moved     int
}

func (s *scheduler) init() {
	s.lanes, s.jobs = map[string]*lane{}, map[int64]*job{}
	s.paused, s.hungry = map[*lane]bool{}, map[*lane]bool{}
}

func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sched.closed
}

// poke makes Run look again.
func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (s *scheduler) lane(key string, now time.Time) *lane {
	l := s.lanes[key]
	if l == nil {
		l = &lane{key: key, limit: firstLimit}
		s.lanes[key] = l
	}
	l.used = now
	return l
}

// schedule puts the jobs of a message just added where they belong: into their
// lanes, with the message, so that the first try reads nothing.
func (q *Queue) schedule(e *entry) {
	now := q.cfg.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	s := &q.sched
	s.stats.Added++
	for _, j := range e.jobs {
		if j.next > micros(now) {
			q.wakeBy(j.next) // Run finds it when its time comes
			continue
		}
		if s.jobs[j.num] != nil {
			continue // Run has read it already
		}
		l := s.lane(j.dest, now)
		if s.ctx == nil || len(l.waiting) >= laneWindow || s.loaded >= maxLoaded {
			l.more = true
			q.settle(l, now)
			continue
		}
		if size := e.m.Size(); !e.spooled && s.kept+size <= q.cfg.Memory {
			s.kept += size
			j.msg, j.attempts = e.m, 0
		} else {
			j.to = nil
		}
		s.push(l, j)
	}
	q.dispatch(now)
}

func (s *scheduler) push(l *lane, j *job) {
	s.jobs[j.num] = j
	l.waiting = append(l.waiting, j)
	s.loaded++
	s.offer(l)
}

// offer gives the lane a turn.
func (s *scheduler) offer(l *lane) {
	if !l.ready {
		l.ready = true
		s.ready = append(s.ready, l)
	}
}

// settle files a lane that starts nothing now under what it waits for.
func (q *Queue) settle(l *lane, now time.Time) {
	set := q.sched.hungry
	switch {
	case len(l.waiting) > 0 && now.Before(l.notBefore):
		set = q.sched.paused
	case len(l.waiting) > 0 || !l.more:
		return // its next result offers it again, or there is nothing
	}
	if !set[l] {
		set[l] = true
		q.poke()
	}
}

// wakeBy makes sure that Run looks again when next has come, and reads what is due then also when the clock has gone back
// behind what was read. Callers hold q.mu.
func (q *Queue) wakeBy(next int64) {
	if next <= q.sched.cursor.next {
		q.rewind(fromMicros(next))
	}
	if at := q.sched.wakeAt; at.IsZero() || next < micros(at) {
		q.poke()
	}
}

// dispatch starts what may start, one job of each lane in turn. Callers hold q.mu.
func (q *Queue) dispatch(now time.Time) {
	s := &q.sched
	ctx := s.ctx // Run takes it away when it stops
	if ctx == nil {
		return
	}
	for len(s.ready) > 0 && s.active < q.cfg.MaxActive {
		l := s.ready[0]
		s.ready = s.ready[1:]
		l.ready = false
		if !l.startable(now) {
			q.settle(l, now)
			continue
		}
		j := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		l.active++
		s.active++
		s.loaded--
		j.patience = time.AfterFunc(slowAfter, func() { q.overdue(j) })
		s.workers.Go(func() { q.try(ctx, j, l) })
		s.offer(l)
	}
}

// slowAfter is how long a delivery takes a place of MaxActive. Most take less than a second. One that takes longer
// has met a peer that is slow or hangs, for half an hour at the worst (RFC 5321 4.5.3.2), and goes on
// in one of slowFactor times as many places, so that hundreds of such peers don't keep the others waiting.
const (
	slowAfter  = 5 * time.Second
	slowFactor = 4
)

// overdue moves a delivery that takes long to the slow ones, when there is a place, and starts what that makes
// room for.
func (q *Queue) overdue(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := &q.sched
	if s.jobs[j.num] != j {
		return // it has just ended
	}
	if s.slow >= slowFactor*q.cfg.MaxActive {
		j.patience.Reset(slowAfter)
		return
	}
	j.slow = true
	s.active--
	s.slow++
	q.dispatch(q.cfg.Now())
}

// finished takes a tried job off its lane and starts what its end makes room for. What Run has read while the job was in
// memory it has passed over, so that a job which is due already is for its lane to read again: an operator has changed
// it meanwhile, or its result could not be written down for so long. One that is not due any more, since the clock has gone
// back since it was read, is for Run to read again.
func (q *Queue) finished(j *job, l *lane, kept int64) {
	now := q.cfg.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	s := &q.sched
	delete(s.jobs, j.num)
	s.kept -= kept
	j.patience.Stop()
	if j.slow {
		s.slow--
	} else {
		s.active--
	}
	l.active--
	l.used = now
	switch {
	case j.again || j.due != 0 && j.due <= micros(now):
		l.more = true
	case j.due != 0 && j.due <= s.cursor.next:
		q.rewind(fromMicros(j.due))
	}
	s.offer(l)
	q.dispatch(now)
	if s.starved && s.loaded < maxLoaded/2 {
		s.starved = false
		q.poke()
	}
}
