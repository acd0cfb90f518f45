package storage

import (
	"context"
	"fmt"

	"facteur/storage/maildir"
)

// batch is what one caller brings: all of it gets in, or nothing.
type batch struct {
	arrivals []*arrival
	err      error
	turn     chan bool // true: lead the next commit; false: it is done. Room for one.
}

// abandon removes what lies in tmp, after a failure.
func (b *batch) abandon() {
	for _, arr := range b.arrivals {
		arr.in.Abandon()
	}
}

func (b *batch) uids() []UID {
	uids := make([]UID, len(b.arrivals))
	for i, arr := range b.arrivals {
		uids[i] = arr.uid
	}
	return uids
}

// commit does steps 3 and 4 of a delivery (maildir/write.go) for all who wait. Each caller puts
// its batch in the queue. One of them leads: it commits the whole queue with one sync, and hands the lead to
// the first of those who came meanwhile. There is no goroutine for it and no delay: alone, a
// caller commits at once. Waiting for the lock instead would wake everybody in turn, those who are done
// too, before the next sync could begin.
func (m *Mailbox) commit(ctx context.Context, b *batch) error {
	if err := m.a.refreshTree(ctx); err != nil {
		return err
	}
	b.turn = make(chan bool, 1)
	m.queueMu.Lock()
	m.queue = append(m.queue, b)
	lead := !m.leading
	m.leading = true
	m.queueMu.Unlock()
	if lead || <-b.turn {
		m.lead(context.WithoutCancel(ctx)) // it is the work of others too
	}
	m.a.flushIfMany(ctx)
	return b.err
}

// lead commits the queue, its own batch first, and passes the lead on.
func (m *Mailbox) lead(ctx context.Context) {
	m.mu.Lock()
	m.queueMu.Lock()
	queue := m.queue
	m.queue = nil
	m.queueMu.Unlock()
	defer func() {
		m.mu.Unlock()
		m.queueMu.Lock()
		if m.leading = len(m.queue) > 0; m.leading {
			m.queue[0].turn <- true
		}
		m.queueMu.Unlock()
		for _, b := range queue[1:] {
			b.turn <- false
		}
	}()
	m.commitAll(ctx, queue)
}

func (m *Mailbox) commitAll(ctx context.Context, queue []*batch) {
	err := m.ready(ctx)
	n := 0
	for _, b := range queue {
		b.err = err
		n += len(b.arrivals)
	}
	if err == nil {
		err = m.reserve(n)
		for _, b := range queue {
			b.err = err
		}
	}
	if err != nil {
		return
	}
	folder := m.place.Load().folder
	defer m.a.fs.Hold(string(maildir.Tmp), maildir.Join(folder, string(maildir.New)), maildir.Join(folder, string(maildir.Cur)))()
	rows := make([]row, 0, n)
	next, modseq := m.snap.Load().UIDNext, m.nextModSeq()
	subs := map[maildir.Sub]bool{}
	for _, b := range queue {
		placed, err := m.placeAll(b, next, modseq)
		if err != nil {
			b.err = diskError(err)
			continue
		}
		rows = append(rows, placed...)
		next += UID(len(placed))
		for _, r := range placed {
			subs[subOf(r.set)] = true
		}
	}
	if len(rows) == 0 {
		return
	}
	for sub := range subs { // step 4
		if err := m.a.fs.SyncDir(maildir.Join(folder, string(sub))); err != nil {
			m.undo(queue, fmt.Errorf("sync mailbox %q: %w", m.Name(), diskError(err)))
			return
		}
	}
	for _, b := range queue {
		if b.err == nil {
			m.pendArrivals(b)
		}
	}
	m.publish(m.base().with(rows))
	m.touched()
	m.a.wake()
}

func subOf(set uint32) maildir.Sub {
	if set&inNew != 0 {
		return maildir.New
	}
	return maildir.Cur
}

// placeAll does step 3 for one batch, or nothing. Messages without flags go into new, where
// Maildir has what nobody has seen yet.
func (m *Mailbox) placeAll(b *batch, next UID, modseq ModSeq) ([]row, error) {
	rows := make([]row, 0, len(b.arrivals))
	for i, arr := range b.arrivals {
		set, err := m.flagNumber(arr.flags)
		if err == nil {
			if set == 0 {
				set |= inNew
			}
			r := row{rec{uid: next + UID(i), set: set, modseq: modseq, size: uint32(arr.size), internal: arr.internal}, arr.in.Base}
			arr.uid, arr.path = r.uid, m.pathOf(m.base(), &r.rec, r.base)
			rows = append(rows, r)
			if arr.link {
				err = arr.in.Link(arr.path)
			} else {
				err = arr.in.Rename(arr.path)
			}
		}
		if err != nil {
			for _, arr := range b.arrivals[:i] {
				m.a.fs.Remove(arr.path)
			}
			return nil, fmt.Errorf("store in mailbox %q: %w", m.Name(), err)
		}
	}
	return rows, nil
}

// undo takes back what step 3 did, after step 4 failed. What can't be removed, the next look finds.
func (m *Mailbox) undo(queue []*batch, err error) {
	for _, b := range queue {
		if b.err != nil {
			continue
		}
		b.err = err
		for _, arr := range b.arrivals {
			m.a.fs.Remove(arr.path)
		}
	}
}

func (m *Mailbox) pendArrivals(b *batch) {
	ops := make([]op, len(b.arrivals))
	for i, arr := range b.arrivals {
		ops[i] = opPut{m.validity, arr.uid, arr.saved, arr.email, arr.summary, arr.refs}
	}
	m.a.pend(ops...)
}

// takeBack removes a message of a delivery that failed for another mailbox.
func (m *Mailbox) takeBack(uid UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.snap.Load()
	pos, ok := s.Find(uid)
	if !ok {
		return
	}
	if err := m.a.fs.Remove(m.path(s.fileName(pos))); err != nil {
		m.a.s.cfg.Log.Error("a delivery that failed could not be taken back", "account", m.a.name, "mailbox", m.Name(), "uid", uid, "error", err)
		return
	}
	m.forget([]int{pos})
	m.touched()
	m.a.wake()
}
