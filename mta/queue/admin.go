package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"facteur/mta"
	"facteur/storage/sqlite"
)

// ErrNotFound: the queue knows no such message.
var ErrNotFound = errors.New("no such message in the queue or its history")

// Filter chooses jobs; zero fields choose all.
type Filter struct {
	ID        mta.ID
	Sender    string // equal
	Recipient string // part of an address
	Dest      string // equal
	HeldOnly  bool
	Limit     int   // List: at most so many; 0: all
	After     int64 // List: Items with a higher Job
}

// Item is one job: a message, and the recipients of it that one destination still has
// to take.
type Item struct {
	Job        int64
	ID         mta.ID
	Sender     string
	Arrived    time.Time
	Size       int64
	Dest       string
	Recipients []string
	Attempts   int
	Next       time.Time
	Held       bool
	Last       string // the reply to the last try; empty: none was made
}

// Event is one entry of a message's history: a try, or what an operator did.
type Event struct {
	At     time.Time `json:",omitzero"` // in the database a column
	Dest   string
	Try    int       `json:",omitempty"`
	Did    string    `json:",omitempty"` // "held", "released", "dropped", "retry"; empty: a try
	Fates  []Fate    `json:",omitempty"`
	Next   time.Time `json:",omitzero"`  // of the next try
	Notice mta.ID    `json:",omitempty"` // DSN sent
}

// Record is all the queue knows of one message.
type Record struct {
	Message *mta.Message // its Body is nil
	Size    int64
	Done    time.Time // zero: something is left to do
	Open    []Item
	Events  []Event
}

// Where a job of the filter is. Each parameter that is empty chooses all.
const chosen = ` FROM job j JOIN message m ON m.num = j.message WHERE (?1 = '' OR m.id = ?1) AND (?2 = '' OR m.sender = ?2)
	AND (?3 = '' OR EXISTS (SELECT 1 FROM json_each(j.recipients)
		WHERE instr(lower(json_extract(value, '$.a[0]') || '@' || json_extract(value, '$.a[1]')), lower(?3))))
	AND (?4 = '' OR j.dest = ?4) AND (?5 = 0 OR j.held = 1) AND j.num > ?6 `

func (f Filter) args() []any {
	return []any{string(f.ID), f.Sender, f.Recipient, f.Dest, f.HeldOnly, f.After}
}

// List returns jobs in the order of arrival.
func (q *Queue) List(ctx context.Context, f Filter) ([]Item, error) {
	limit := f.Limit
	if limit == 0 {
		limit = -1
	}
	rows, err := q.db.Query(ctx, "SELECT j.num, m.id, m.sender, m.arrived, m.size, j.dest, j.recipients, j.attempts, j.next, j.held, j.last"+
		chosen+"ORDER BY j.num LIMIT ?7", append(f.args(), limit)...)
	if err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	defer rows.Close()
	var items []Item
	for rows.Next() {
		var it Item
		var arrived, next int64
		var recipients string
		if err := rows.Scan(&it.Job, &it.ID, &it.Sender, &arrived, &it.Size, &it.Dest, &recipients, &it.Attempts, &next, &it.Held, &it.Last); err != nil {
			return nil, fmt.Errorf("list queue: %w", err)
		}
		it.Arrived, it.Next = fromMicros(arrived), fromMicros(next)
		var to []recipient
		if err := decode(recipients, &to); err != nil {
			return nil, fmt.Errorf("list queue: message %s: %w", it.ID, err)
		}
		for _, r := range to {
			it.Recipients = append(it.Recipients, r.Address.unpack().String())
		}
		items = append(items, it)
	}
	return items, rows.Err()
}

// Show returns a message's record, also after its end until keepHistory is over.
// ErrNotFound.
func (q *Queue) Show(ctx context.Context, id mta.ID) (*Record, error) {
	var num, arrived int64
	var done sql.NullInt64
	var metaText string
	r := &Record{}
	err := q.db.QueryRow(ctx, "SELECT num, arrived, size, meta, done FROM message WHERE id = ?", string(id)).Scan(&num, &arrived, &r.Size, &metaText, &done)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	var w meta
	if err == nil {
		err = decode(metaText, &w)
	}
	if err != nil {
		return nil, fmt.Errorf("show message %s: %w", id, err)
	}
	r.Message = w.unpack(id, arrived)
	r.Done = fromMicros(done.Int64)
	if r.Open, err = q.List(ctx, Filter{ID: id}); err != nil {
		return nil, err
	}
	rows, err := q.db.Query(ctx, "SELECT at, data FROM event WHERE message = ? ORDER BY num", num)
	if err != nil {
		return nil, fmt.Errorf("show message %s: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		var at int64
		var data string
		var ev Event
		if err := rows.Scan(&at, &data); err != nil {
			return nil, fmt.Errorf("show message %s: %w", id, err)
		}
		if err := decode(data, &ev); err != nil {
			return nil, fmt.Errorf("show message %s: %w", id, err)
		}
		ev.At = fromMicros(at)
		r.Events = append(r.Events, ev)
	}
	return r, rows.Err()
}

// Retry makes the chosen jobs due now, forgetting that their destination may be
// down. It returns how many there are; held ones stay held.
func (q *Queue) Retry(ctx context.Context, f Filter) (int, error) {
	now := q.cfg.Now()
	targets, err := q.change(f, "retry", func(tx *sqlite.Tx, t *target) error { return setNext(t.job, micros(now))(tx) })
	q.mu.Lock()
	for _, l := range q.sched.lanes {
		if f.Dest == "" || l.key == f.Dest {
			l.down, l.notBefore, l.pause = nil, time.Time{}, 0
		}
	}
	q.rewind(now)
	q.mu.Unlock()
	return len(targets), err
}

// Hold keeps the chosen jobs from being tried until Release. A try that is under way
// runs to its end.
func (q *Queue) Hold(ctx context.Context, f Filter) (int, error) {
	targets, err := q.change(f, "held", func(tx *sqlite.Tx, t *target) error {
		_, err := tx.Exec("UPDATE job SET held = 1 WHERE num = ?", t.job)
		return err
	})
	return len(targets), err
}

// Release undoes Hold; what is released is due now.
func (q *Queue) Release(ctx context.Context, f Filter) (int, error) {
	now := q.cfg.Now()
	targets, err := q.change(f, "released", func(tx *sqlite.Tx, t *target) error {
		_, err := tx.Exec("UPDATE job SET held = 0, next = ? WHERE num = ? AND held = 1", micros(now), t.job)
		return err
	})
	q.mu.Lock()
	q.rewind(now)
	q.mu.Unlock()
	return len(targets), err
}

// Drop removes the chosen jobs without telling anybody. A try that is under way may
// still deliver.
func (q *Queue) Drop(ctx context.Context, f Filter) (int, error) {
	now := micros(q.cfg.Now())
	targets, err := q.change(f, "dropped", func(tx *sqlite.Tx, t *target) (err error) {
		if _, err := tx.Exec("DELETE FROM job WHERE num = ?", t.job); err != nil {
			return err
		}
		t.last, err = endMessage(tx, t.message, now)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, t := range targets {
		if t.last {
			q.spool.discard(t.id)
		}
	}
	if err := q.spool.clean(); err != nil {
		q.cfg.Log.Warn("spool files of dropped messages not removed", "error", err)
	}
	return len(targets), nil
}

// rewind makes Run read again what is due from now on. Callers hold q.mu.
func (q *Queue) rewind(now time.Time) {
	c := &q.sched.cursor
	c.moved++ // also for a reading under way, which began before the change and may end behind it
	if at := micros(now); c.next >= at {
		c.next, c.num = at, 0
	}
	q.poke()
}

// target is a job that an operator has chosen.
type target struct {
	job, message int64
	id           mta.ID
	dest         string
	last         bool // its message has no other job any more
}

// change applies one change to each chosen job and records it. It returns the jobs as the run of the transaction that
// was committed found them: an earlier run may have been rolled back.
func (q *Queue) change(f Filter, did string, apply func(tx *sqlite.Tx, t *target) error) (targets []target, err error) {
	err = q.commit.do(func(tx *sqlite.Tx) error {
		targets = targets[:0]
		rows, err := tx.Query("SELECT j.num, j.message, m.id, j.dest"+chosen, f.args()...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var t target
			if err := rows.Scan(&t.job, &t.message, &t.id, &t.dest); err != nil {
				rows.Close()
				return err
			}
			targets = append(targets, t)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		at := micros(q.cfg.Now())
		for i := range targets {
			t := &targets[i]
			if err := apply(tx, t); err != nil {
				return err
			}
			if _, err := tx.Exec("INSERT INTO event (message, at, data) VALUES (?, ?, ?)", t.message, at, encode(Event{Dest: t.dest, Did: did})); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	// What waits in memory must be read again: try then sees what has become of it. What is under way is read again
	// when it has ended.
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range targets {
		if j := q.sched.jobs[t.job]; j != nil {
			j.again = true
		}
		if l := q.sched.lanes[t.dest]; l != nil {
			q.forget(l, t.job)
		}
	}
	return targets, nil
}

// forget drops the message that a waiting job holds in memory.
func (q *Queue) forget(l *lane, num int64) {
	for _, j := range l.waiting {
		if j.num == num && j.msg != nil {
			q.sched.kept -= j.msg.Size()
			j.msg, j.to = nil, nil
		}
	}
}
