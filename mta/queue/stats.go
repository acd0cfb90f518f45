package queue

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Stats are counters since Open, and the state now.
type Stats struct {
	Added     int64 // messages
	Delivered int64 // recipients
	Deferred  int64
	Failed    int64
	Notices   int64

	Active  int // deliveries under way
	Waiting int // due, in memory
	Jobs    int // in the database
	Oldest  time.Time
}

func (s *Stats) count(v *verdict) {
	for _, f := range v.fates {
		switch f.Action {
		case ActionDelayed:
			s.Deferred++
		case ActionFailed:
			s.Failed++
		default:
			s.Delivered++
		}
	}
	if v.notice != nil {
		s.Notices++
	}
}

// Stats returns the counters. It reads an index, not the messages.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	q.mu.Lock()
	s := q.sched.stats
	s.Active, s.Waiting = q.sched.active+q.sched.slow, q.sched.loaded
	q.mu.Unlock()
	var oldest int64
	if err := q.db.QueryRow(ctx, "SELECT count(*) FROM job").Scan(&s.Jobs); err != nil {
		return s, err
	}
	err := q.db.QueryRow(ctx, "SELECT coalesce((SELECT m.arrived FROM job j JOIN message m ON m.num = j.message ORDER BY j.num LIMIT 1), 0)").Scan(&oldest)
	s.Oldest = fromMicros(oldest)
	return s, err
}

// Lane is a destination that has learnt something.
type Lane struct {
	Dest   string
	Active int
	Limit  int       // deliveries at a time
	Until  time.Time // it is left alone until then; zero: it is not
	Down   string    // why nobody there can be reached
}

// Lanes returns the destinations that the scheduler knows at the moment, by name.
func (q *Queue) Lanes() []Lane {
	now := q.cfg.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []Lane
	for _, l := range q.sched.lanes {
		lane := Lane{Dest: l.key, Active: l.active, Limit: int(l.limit)}
		if now.Before(l.notBefore) {
			lane.Until = l.notBefore
		}
		if l.isDown(now) {
			lane.Until, lane.Down = l.downUntil, replyText(l.down)
		}
		out = append(out, lane)
	}
	slices.SortFunc(out, func(a, b Lane) int { return cmp.Compare(a.Dest, b.Dest) })
	return out
}
