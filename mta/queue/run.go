package queue

import (
	"context"
	"fmt"
	"time"

	"facteur/storage/sqlite"
)

// Run delivers until ctx ends. Then it starts nothing new, gives what is under way
// StopPatience to end, and returns.
func (q *Queue) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	q.mu.Lock()
	q.sched.ctx = work
	q.mu.Unlock()
	housekeeping := time.NewTicker(time.Minute)
	defer housekeeping.Stop()
	for ctx.Err() == nil {
		timer := time.NewTimer(q.look(ctx))
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		case <-housekeeping.C:
			q.tidy(ctx)
		}
		timer.Stop()
	}
	q.mu.Lock()
	q.sched.ctx = nil
	q.mu.Unlock()
	stop := time.AfterFunc(q.cfg.StopPatience, cancel)
	defer stop.Stop()
	q.sched.workers.Wait()
	return nil
}

// How long Run waits when nothing tells it to wake earlier.
const (
	longest  = time.Hour
	dbFailed = 5 * time.Second
)

// look fills the lanes from the database, starts what may start, and returns how
// long there is nothing to do.
func (q *Queue) look(ctx context.Context) time.Duration {
	now := q.cfg.Now()
	q.mu.Lock()
	q.sched.wakeAt = time.Time{}
	q.mu.Unlock()
	var next int64
	err := q.watchClock(ctx, now)
	if err == nil {
		err = q.feed(ctx, now)
	}
	if err == nil {
		err = q.scan(ctx, now)
	}
	if err == nil {
		err = q.db.QueryRow(ctx, "SELECT coalesce(min(next), 0) FROM job WHERE held = 0 AND next > ?", micros(now)).Scan(&next)
	}
	if err != nil {
		if ctx.Err() != nil {
			return 0
		}
		q.cfg.Log.Error("queue not readable", "error", err)
		return dbFailed
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := q.sched.resume(now)
	q.dispatch(now)
	if next > 0 {
		wait = min(wait, fromMicros(next).Sub(now)+time.Millisecond)
	}
	wait = max(wait, 0)
	q.sched.wakeAt = now.Add(wait)
	return wait
}

// clockSlack is how far a clock may go back unnoticed.
const clockSlack = time.Minute

// watchClock takes care of a clock that was set back, also while nothing ran: what was to be tried soon would else wait
// until the wrong time comes, what came in would be as young as that for its time to be over, and what is behind the
// cursor would not be read. Times that a sender asked for (RFC 4865) stay.
func (q *Queue) watchClock(ctx context.Context, now time.Time) error {
	if q.sched.looked == 0 {
		if err := q.db.QueryRow(ctx, `SELECT max(coalesce((SELECT at FROM event ORDER BY num DESC LIMIT 1), 0),
			coalesce((SELECT arrived FROM message ORDER BY num DESC LIMIT 1), 0))`).Scan(&q.sched.looked); err != nil {
			return err
		}
	}
	back := q.sched.looked - micros(now)
	if back > clockSlack.Microseconds() {
		q.cfg.Log.Warn("the clock has been set back", "by", time.Duration(back)*time.Microsecond)
		err := q.commit.do(func(tx *sqlite.Tx) error {
			if _, err := tx.Exec("UPDATE message SET arrived = min(?1, arrived - ?2) WHERE done IS NULL AND arrived > ?1", micros(now), back); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE job SET next = max(?1, next - ?2) WHERE next > ?1 AND (attempts > 0 OR
				NOT EXISTS (SELECT 1 FROM message WHERE num = job.message AND json_extract(meta, '$.hold') > ?1))`, micros(now), back)
			return err
		})
		if err != nil {
			return err
		}
		q.mu.Lock()
		for _, l := range q.sched.lanes {
			l.down, l.notBefore, l.pause = nil, time.Time{}, 0
		}
		q.sched.cursor = cursor{}
		q.mu.Unlock()
	}
	q.sched.looked = micros(now)
	return nil
}

// resume offers the lanes whose pause is over, and returns how long the next one has
// to wait.
func (s *scheduler) resume(now time.Time) time.Duration {
	wait := longest
	for l := range s.paused {
		if len(l.waiting) == 0 || l.startable(now) || !now.Before(l.notBefore) {
			delete(s.paused, l)
			s.offer(l)
		} else {
			wait = min(wait, l.notBefore.Sub(now))
		}
	}
	return wait
}

// feed refills the lanes whose jobs are all in the database.
func (q *Queue) feed(ctx context.Context, now time.Time) error {
	for {
		l := q.takeHungry()
		if l == nil {
			return nil
		}
		if err := q.refill(ctx, l, now); err != nil {
			q.mu.Lock()
			l.more = true
			q.settle(l, now)
			q.mu.Unlock()
			return err
		}
	}
}

func (q *Queue) takeHungry() *lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sched.loaded >= maxLoaded {
		q.sched.starved = len(q.sched.hungry) > 0 || q.sched.starved
		return nil
	}
	for l := range q.sched.hungry {
		delete(q.sched.hungry, l)
		l.more = false // before the reading: who adds meanwhile sets it again
		return l
	}
	return nil
}

func (q *Queue) refill(ctx context.Context, l *lane, now time.Time) error {
	q.mu.Lock()
	limit := laneWindow + l.active
	q.mu.Unlock()
	jobs, err := q.heads(ctx, "SELECT num, next, dest FROM job WHERE held = 0 AND dest = ? AND next <= ? ORDER BY next LIMIT ?",
		l.key, micros(now), limit)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		if q.sched.jobs[j.num] == nil {
			q.sched.push(l, j)
		}
	}
	if len(jobs) == limit {
		l.more = true
		q.settle(l, now)
	}
	q.dispatch(now)
	return nil
}

// page is how many due jobs one reading takes.
const page = 1000

// scan reads the jobs that have become due, in order, and moves the cursor.
func (q *Queue) scan(ctx context.Context, now time.Time) error {
	for {
		q.mu.Lock()
		from, full := q.sched.cursor, q.sched.loaded >= maxLoaded
		q.sched.starved = q.sched.starved || full
		q.mu.Unlock()
		if full {
			return nil // finished wakes us
		}
		jobs, err := q.heads(ctx, "SELECT num, next, dest FROM job WHERE held = 0 AND (next, num) > (?, ?) AND next <= ? ORDER BY next, num LIMIT ?",
			from.next, from.num, micros(now), page)
		if err != nil {
			return err
		}
		q.take(jobs, from, now)
		if len(jobs) < page {
			return nil
		}
	}
}

// take puts jobs that were read behind the cursor from into their lanes, and moves the cursor.
func (q *Queue) take(jobs []*job, from cursor, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		if q.sched.jobs[j.num] != nil {
			continue
		}
		l := q.sched.lane(j.dest, now)
		if len(l.waiting) >= laneWindow {
			l.more = true // settled when it has emptied
			continue
		}
		q.sched.push(l, j)
	}
	// Unless an operator has moved it back meanwhile.
	if len(jobs) > 0 && q.sched.cursor == from {
		last := jobs[len(jobs)-1]
		q.sched.cursor = cursor{last.next, last.num, from.moved}
	}
	q.dispatch(now)
}

// heads reads what the scheduler has to know of jobs.
func (q *Queue) heads(ctx context.Context, query string, args ...any) ([]*job, error) {
	rows, err := q.db.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []*job
	for rows.Next() {
		j := &job{}
		if err := rows.Scan(&j.num, &j.next, &j.dest); err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

// tidy forgets idle lanes, removes dead spool files and prunes the history.
func (q *Queue) tidy(ctx context.Context) {
	now := q.cfg.Now()
	q.mu.Lock()
	for key, l := range q.sched.lanes {
		if l.dull(now) && !l.ready {
			delete(q.sched.lanes, key)
			delete(q.sched.paused, l)
			delete(q.sched.hungry, l)
		}
	}
	q.mu.Unlock()
	if err := q.spool.clean(); err != nil {
		q.cfg.Log.Warn("spool files not removed", "error", err)
	}
	if err := q.prune(now); err != nil && ctx.Err() == nil {
		q.cfg.Log.Error("queue history not pruned", "error", err)
	}
}

// keepHistory is how long what was delivered or bounced stays to be explained.
const keepHistory = 30 * 24 * time.Hour

// prune deletes history past its time, a little at a time.
func (q *Queue) prune(now time.Time) error {
	before := micros(now.Add(-keepHistory))
	return q.commit.do(func(tx *sqlite.Tx) error {
		const old = "(SELECT num FROM message WHERE done < ? ORDER BY done LIMIT 500)"
		if _, err := tx.Exec("DELETE FROM event WHERE message IN "+old, before); err != nil {
			return fmt.Errorf("events: %w", err)
		}
		if _, err := tx.Exec("DELETE FROM message WHERE num IN "+old, before); err != nil {
			return fmt.Errorf("messages: %w", err)
		}
		hour := now.Unix() / 3600 // those to come are of a clock that was ahead
		_, err := tx.Exec("DELETE FROM sent WHERE hour NOT BETWEEN ? AND ?", hour-48, hour+1)
		return err
	})
}
