package queue

import (
	"context"
	"sync"

	"facteur/storage/sqlite"
)

// maxBatch bounds what one transaction carries, so that nobody waits long for it.
const maxBatch = 256

// committer runs the queue's changes in shared transactions (group commit). The
// first who comes leads: it applies its own change and those of everyone who has
// come meanwhile, syncs once, and hands the lead to the next in line. So there is no
// goroutine and no delay of its own, and a single caller pays one sync.
type committer struct {
	db *sqlite.DB

	mu      sync.Mutex
	waiting []*change
	led     bool // somebody leads
}

type change struct {
	apply func(*sqlite.Tx) error
	done  chan error    // cap 1: the outcome
	lead  chan struct{} // cap 1: you lead now
}

// do applies a change and returns when it is durable, or undone with an error.
// apply may be called twice, the second time after a rollback of the first.
func (c *committer) do(apply func(*sqlite.Tx) error) error {
	me := &change{apply: apply, done: make(chan error, 1), lead: make(chan struct{}, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, me)
	if !c.led {
		c.led = true
		me.lead <- struct{}{}
	}
	c.mu.Unlock()
	select {
	case err := <-me.done:
		return err
	case <-me.lead:
	}
	c.run()
	return <-me.done
}

// run commits one batch, which holds the leader's own change, and hands the lead on.
func (c *committer) run() {
	c.mu.Lock()
	n := min(len(c.waiting), maxBatch)
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	c.mu.Unlock()

	commit(c.db, batch)

	c.mu.Lock()
	if len(c.waiting) > 0 {
		c.waiting[0].lead <- struct{}{}
	} else {
		c.waiting = nil
		c.led = false
	}
	c.mu.Unlock()
}

// commit runs a batch in one transaction. When one change fails, it must not take
// the others with it: each is run again alone.
func commit(db *sqlite.DB, batch []*change) {
	err := db.Write(context.Background(), func(tx *sqlite.Tx) error {
		for _, ch := range batch {
			if err := ch.apply(tx); err != nil {
				return err
			}
		}
		return nil
	})
	for _, ch := range batch {
		if err != nil && len(batch) > 1 {
			ch.done <- db.Write(context.Background(), ch.apply)
		} else {
			ch.done <- err
		}
	}
}
