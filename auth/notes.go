package auth

import (
	"context"
	"sync"
	"time"

	"facteur/storage/sqlite"
)

// notes are what a login leaves behind, gathered in memory so that a login costs no write: when
// and where app passwords were used last, and which networks accounts log in from.
type notes struct {
	mu     sync.Mutex
	uses   map[int64]use
	visits map[visit]time.Time
}

type use struct {
	at   time.Time
	from string
}

func (n *notes) used(app int64, at time.Time, from string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.uses == nil {
		n.uses = make(map[int64]use)
	}
	n.uses[app] = use{at, from}
}

func (n *notes) visited(v visit, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.visits == nil {
		n.visits = make(map[visit]time.Time)
	}
	n.visits[v] = at
}

// flush writes everything down. What could not be written is kept for the next time, unless
// there is something newer by then.
func (n *notes) flush(ctx context.Context, db *sqlite.DB, now time.Time) error {
	n.mu.Lock()
	uses, visits := n.uses, n.visits
	n.uses, n.visits = nil, nil
	n.mu.Unlock()
	if len(uses) == 0 && len(visits) == 0 {
		return nil
	}
	err := db.Write(ctx, func(tx *sqlite.Tx) error {
		return writeNotes(tx, uses, visits, now.Add(-knownFor))
	})
	if err != nil {
		n.keep(uses, visits)
	}
	return err
}

func (n *notes) keep(uses map[int64]use, visits map[visit]time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.uses == nil {
		n.uses = make(map[int64]use)
	}
	if n.visits == nil {
		n.visits = make(map[visit]time.Time)
	}
	for app, u := range uses {
		if _, newer := n.uses[app]; !newer {
			n.uses[app] = u
		}
	}
	for v, at := range visits {
		if _, newer := n.visits[v]; !newer {
			n.visits[v] = at
		}
	}
}
