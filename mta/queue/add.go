package queue

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"facteur/mta"
	"facteur/storage/sqlite"
)

// entry is a message on its way into the database, split into jobs.
type entry struct {
	num     int64
	m       *mta.Message
	spooled bool
	jobs    []*job
}

// Add takes a message over: when it returns nil, row and body are synced, and the
// message will be delivered or bounced. Concurrent calls share the sync. The first
// try starts at once, unless HoldUntil is later. The message's body stays the
// caller's to close. On error nothing has been taken.
func (q *Queue) Add(ctx context.Context, m *mta.Message) error {
	return q.add(m, func(*sqlite.Tx) (bool, error) { return true, nil })
}

// add takes a message over when permit, in the same transaction, says so.
func (q *Queue) add(m *mta.Message, permit func(*sqlite.Tx) (bool, error)) error {
	if len(m.Env.To) == 0 {
		return fmt.Errorf("queue message %s: it has no recipients", m.ID)
	}
	if q.isClosed() {
		return ErrClosed
	}
	e, err := q.enter(m)
	if err != nil {
		return fmt.Errorf("queue message %s: %w", m.ID, err)
	}
	var permitted bool
	err = q.commit.do(func(tx *sqlite.Tx) error {
		var err error
		if permitted, err = permit(tx); err != nil || !permitted {
			return err
		}
		return e.insert(tx)
	})
	if (err != nil || !permitted) && e.spooled {
		q.spool.discard(m.ID)
	}
	if err != nil {
		return fmt.Errorf("queue message %s: %w", m.ID, err)
	}
	if !permitted {
		return nil
	}
	q.cfg.Log.Debug("message queued", "id", m.ID, "from", m.Env.MailFrom.String(), "recipients", len(m.Env.To), "size", m.Size())
	q.schedule(e)
	return nil
}

// enter splits m into jobs and makes a large body durable.
func (q *Queue) enter(m *mta.Message) (*entry, error) {
	e := &entry{num: q.sched.lastMessage.Add(1), m: m}
	if m.Arrived.IsZero() {
		return nil, fmt.Errorf("it has no time of arrival")
	}
	next := micros(m.Env.HoldUntil)
	next = max(next, micros(q.cfg.Now()))
	byKey := map[string]*job{}
	for _, to := range m.Env.To {
		key := q.route(to).Key
		j := byKey[key]
		if j == nil {
			j = &job{num: q.sched.lastJob.Add(1), message: e.num, id: m.ID, dest: key, next: next}
			byKey[key] = j
			e.jobs = append(e.jobs, j)
		}
		j.to = append(j.to, to)
	}
	// A body that is not in memory has no other place, also when a smaller header has made it fit for a row.
	if _, inMemory := m.Body.Bytes(); !inMemory || m.Body.Size() > maxRow {
		if err := q.spool.keep(m.ID, m.Body); err != nil {
			return nil, err
		}
		e.spooled = true
	}
	return e, nil
}

// route asks for the route of a recipient's domain.
func (q *Queue) route(to mta.Recipient) Route {
	domain, err := to.Address.ASCIIDomain()
	if err != nil {
		domain = to.Address.Domain // its transport will refuse it
	}
	return q.cfg.Route(domain)
}

// insert writes the entry's rows.
func (e *entry) insert(tx *sqlite.Tx) error {
	m := e.m
	if _, err := tx.Exec("INSERT INTO message (num, id, arrived, sender, size, meta) VALUES (?, ?, ?, ?, ?, ?)",
		e.num, string(m.ID), micros(m.Arrived), m.Env.MailFrom.String(), m.Size(), encode(packMeta(m))); err != nil {
		return err
	}
	var data any
	if !e.spooled {
		data, _ = m.Body.Bytes()
	}
	if _, err := tx.Exec("INSERT INTO body (message, header, prefix, data) VALUES (?, ?, ?, ?)",
		e.num, m.Body.HeaderSize(), m.Prefix, data); err != nil {
		return err
	}
	for _, j := range e.jobs {
		if _, err := tx.Exec("INSERT INTO job (num, message, dest, next, recipients) VALUES (?, ?, ?, ?, ?)",
			j.num, e.num, j.dest, j.next, encode(packRecipients(j.to))); err != nil {
			return err
		}
	}
	return nil
}

// job is one destination's part of one message. While it waits in memory it holds
// only what the scheduler needs; msg and the rest are there for a message just added,
// and read from the database otherwise.
type job struct {
	num, message int64
	id           mta.ID
	dest         string
	next         int64

	msg      *mta.Message // nil: read it
	to       []mta.Recipient
	attempts int
	warned   bool
	lost     bool // the message's octets are gone

	due   int64 // a try is over, or it was no time for one: when the next one is to be; 0: there is none
	again bool  // an operator has changed the row since it was read

	patience *time.Timer // of a delivery under way: overdue
	slow     bool        // it has one of the places for slow ones
}

// fetch reads what a job needs for a try. ok is false when there is nothing to do any
// more: the job has gone, is held, or is not due.
func (q *Queue) fetch(ctx context.Context, j *job) (ok bool, err error) {
	var id, recipients, metaText string
	var held, arrived, size, next int64
	var header sql.NullInt64
	var prefix, data []byte
	rows, err := q.db.Query(ctx, `
		SELECT j.message, j.next, j.attempts, j.held, j.warned, j.recipients, m.id, m.arrived, m.size, m.meta, b.header, b.prefix, b.data
		FROM job j JOIN message m ON m.num = j.message LEFT JOIN body b ON b.message = j.message WHERE j.num = ?`, j.num)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(&j.message, &next, &j.attempts, &held, &j.warned, &recipients, &id, &arrived, &size, &metaText, &header, &prefix, &data); err != nil {
		return false, err
	}
	if held != 0 {
		return false, nil
	}
	if next > micros(q.cfg.Now()) {
		j.due = next
		return false, nil
	}
	var w meta
	var to []recipient
	if err := cmp.Or(decode(metaText, &w), decode(recipients, &to)); err != nil {
		return false, fmt.Errorf("message %s in queue.db: %w", id, err)
	}
	j.id, j.to, j.next = mta.ID(id), unpackRecipients(to), next
	j.msg = w.unpack(j.id, arrived)
	j.msg.Prefix = prefix
	if data != nil || size == int64(len(prefix)) {
		j.msg.Body = mta.BodyBytes(data)
		return true, nil
	}
	if !header.Valid {
		return false, errLost
	}
	j.msg.Body, err = q.spool.open(j.id, size-int64(len(prefix)), header.Int64)
	return err == nil, err
}
