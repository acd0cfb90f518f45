package storage

import (
	"context"
	"math/rand/v2"
	"time"

	"facteur/storage/sqlite"
)

const (
	flushEvery  = time.Second           // how long changes wait for the index at most
	settleNews  = 20 * time.Millisecond // how long news of other programs are collected
	idleAccount = 5 * time.Minute       // an account or mailbox nobody uses is closed after
	idleIndex   = 10 * time.Second      // an index that nobody writes gives memory back after
	lookDeaf    = 5 * time.Second       // a folder that nobody listened to is looked through
	tidyEvery   = time.Hour
	keepGone    = 90 * 24 * time.Hour    // expunged UIDs are remembered
	textPause   = 200 * time.Millisecond // between looks for text to index
	textQuiet   = 300 * time.Millisecond // that long after the last change, text is indexed at full speed
	textBusy    = time.Second            // between two batches of text while there are changes
	textAgain   = time.Minute            // after a batch that could not be indexed
)

// kickRun tells Run that a lot waits to be flushed.
func (s *Store) kickRun() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Run does the work in the background: indexing text, watching folders that
// other programs change, closing accounts not used for a while. It returns when
// ctx ends.
func (s *Store) Run(ctx context.Context) error {
	w := s.newWatcher()
	defer w.close()
	s.running.Store(true)
	defer s.running.Store(false)
	textDone := make(chan struct{})
	go func() {
		defer close(textDone)
		s.indexTexts(ctx)
	}()
	defer func() { <-textDone }()

	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-s.opened:
			w.watch(ctx, a)
		case <-s.kick:
			s.flushAll(ctx)
		case <-tick.C:
			s.housekeep(ctx, w)
		case news, ok := <-w.news():
			if !ok {
				w.close()
			}
			w.look(ctx, news)
		}
	}
}

// openAccounts are the accounts open now.
func (s *Store) openAccounts() []*Account {
	var list []*Account
	for _, sl := range s.allSlots() {
		if !sl.mu.TryLock() {
			continue // being opened or closed
		}
		if sl.a != nil {
			sl.a.refs.Add(1)
			list = append(list, sl.a)
		}
		sl.mu.Unlock()
	}
	return list
}

func (s *Store) flushAll(ctx context.Context) {
	for _, a := range s.openAccounts() {
		a.tryFlush(ctx)
		if err := a.db.Load().Rest(idleIndex); err != nil {
			s.cfg.Log.Warn("memory of an index not given back", "account", a.name, "error", err)
		}
		a.refs.Add(-1)
	}
}

func (s *Store) housekeep(ctx context.Context, w *watcher) {
	w.prune()
	for _, a := range s.openAccounts() {
		w.watch(ctx, a)
		for _, m := range a.allMailboxes() {
			if _, err := m.settleSome(ctx); err != nil && ctx.Err() == nil && !m.Gone() {
				s.cfg.Log.Warn("messages not moved from new to cur", "account", a.name, "mailbox", m.Name(), "error", err)
			}
			if m.shouldListen() {
				w.refresh(ctx, m, true)
			}
			m.unload(time.Now())
		}
		if s.cfg.Now().Sub(a.tidied) > tidyEvery {
			a.tidied = s.cfg.Now()
			if err := a.tidy(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("old rows of the index not removed", "account", a.name, "error", err)
			}
		}
		a.refs.Add(-1)
	}
	s.flushAll(ctx)
	s.closeIdle()
}

// closeIdle closes accounts that nobody has used for a while.
func (s *Store) closeIdle() {
	for _, sl := range s.allSlots() {
		if !sl.mu.TryLock() {
			continue
		}
		if a := sl.a; a != nil && a.refs.Load() == 0 && time.Since(time.Unix(a.used.Load(), 0)) > idleAccount {
			if err := a.close(); err != nil {
				s.cfg.Log.Error("close account", "account", a.name, "error", err)
			}
			sl.a = nil
		}
		sl.mu.Unlock()
	}
}

// tidy forgets what was expunged long ago, and what is known of threads that have no messages any more.
func (a *Account) tidy(ctx context.Context) error {
	old := a.s.cfg.Now().Add(-keepGone).UnixMicro()
	return a.db.Load().Write(ctx, func(tx *sqlite.Tx) error {
		res, err := tx.Exec("DELETE FROM gone WHERE modseq<?", old)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n > 0 {
			if _, err = tx.Exec("UPDATE mailbox SET since=max(since, ?)", old); err != nil {
				return err
			}
		}
		return tidyReferences(tx, uint64(a.s.cfg.Now().Unix()/int64(tidyEvery.Seconds())))
	})
}

// unload takes the table out of memory, if nobody has used the mailbox for a while.
func (m *Mailbox) unload(now time.Time) {
	if m.refs.Load() != 0 || m.snap.Load() == nil || now.Sub(time.Unix(m.used.Load(), 0)) < idleAccount {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.a.flushMu.Lock()
	defer m.a.flushMu.Unlock()
	s := m.snap.Load()
	if s == nil || m.refs.Load() != 0 || s.looked && s != m.flushed {
		return
	}
	if m.a.fulltext.Load() && m.indexed.Load()+1 < uint32(s.UIDNext) {
		return // its text is still being indexed
	}
	if err := m.exactBound(s); err != nil {
		m.a.s.cfg.Log.Warn("mailbox stays in memory", "account", m.a.name, "mailbox", m.Name(), "error", err)
		return
	}
	m.snap.Store(nil)
	m.flushed, m.flags = nil, nil
}

// indexTexts fills the full-text indexes, a few messages at a time. It costs as much CPU as a
// delivery does. So while mail comes in there is one batch in textBusy, so that it never
// starves, and what waits follows when there is quiet; until then SEARCH reads those messages. What
// little room a full disk has is left to mail.
func (s *Store) indexTexts(ctx context.Context) {
	if !s.cfg.FullText {
		return
	}
	var last time.Time
	for ctx.Err() == nil {
		pause := textPause
		if (!s.busy() || time.Since(last) >= textBusy) && s.Free() == nil {
			last = time.Now()
			more, failed := s.indexRound(ctx)
			switch {
			case failed:
				pause = textAgain
			case more && !s.busy():
				pause = 2 * time.Millisecond // let others have the disk and the CPU
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// shouldListen reports that a deaf table is to be looked through: once the client that changes so much has paused,
// since it would wait for that, or after lookDeaf.
func (m *Mailbox) shouldListen() bool {
	s := m.snap.Load()
	return s != nil && !s.deaf.IsZero() && (!m.a.s.busy() || time.Since(s.deaf) > lookDeaf)
}

// busy reports whether messages were added or changed just now.
func (s *Store) busy() bool {
	return time.Since(time.Unix(0, s.changed.Load())) < textQuiet
}

// indexRound indexes a batch of each mailbox, of one only while the store is busy, and reports
// whether there is more, and whether one failed. Accounts and mailboxes come in a random order, so all have their turn.
func (s *Store) indexRound(ctx context.Context) (more, failed bool) {
	enough := false
	for _, a := range s.openAccounts() {
		all := a.allMailboxes()
		for _, i := range rand.Perm(len(all)) {
			if enough {
				break
			}
			m := all[i]
			did, again, err := m.indexSome(ctx)
			if err != nil && ctx.Err() == nil && !m.Gone() {
				failed = true
				s.cfg.Log.Warn("text not indexed; it is tried again", "account", a.name, "mailbox", m.Name(), "error", err)
			}
			more = more || again
			enough = did && s.busy()
		}
		a.refs.Add(-1)
	}
	return more, failed
}
