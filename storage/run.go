package storage

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"facteur/storage/maildir"
	"facteur/storage/sqlite"
)

const (
	flushEvery  = time.Second           // how long changes wait for the index at most
	settleNews  = 20 * time.Millisecond // how long news of other programs are collected
	idleAccount = 5 * time.Minute       // an account or mailbox nobody uses is closed after
	tidyEvery   = time.Hour
	keepGone    = 90 * 24 * time.Hour    // expunged UIDs are remembered
	textPause   = 200 * time.Millisecond // between looks for text to index
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
		case e, ok := <-w.events():
			if ok {
				w.note(e)
			}
		case err := <-w.errors():
			s.cfg.Log.Warn("watching folders", "err", err)
			w.overflow(ctx)
		case <-w.ripe:
			w.look(ctx)
		}
	}
}

// openAccounts are the accounts open now.
func (s *Store) openAccounts() []*Account {
	s.mu.Lock()
	slots := make([]*slot, 0, len(s.slots))
	for _, sl := range s.slots {
		slots = append(slots, sl)
	}
	s.mu.Unlock()
	var list []*Account
	for _, sl := range slots {
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
		a.refs.Add(-1)
	}
}

func (s *Store) housekeep(ctx context.Context, w *watcher) {
	for _, a := range s.openAccounts() {
		w.watch(ctx, a)
		for _, m := range a.allMailboxes() {
			if err := m.settle(ctx); err != nil && ctx.Err() == nil && !m.Gone() {
				s.cfg.Log.Warn("messages not moved from new to cur", "account", a.name, "mailbox", m.Name(), "err", err)
			}
			m.unload(time.Now())
		}
		if s.cfg.Now().Sub(a.tidied) > tidyEvery {
			a.tidied = s.cfg.Now()
			if err := a.tidy(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("old rows of the index not removed", "account", a.name, "err", err)
			}
		}
		a.refs.Add(-1)
	}
	s.flushAll(ctx)
	s.closeIdle(w)
}

// closeIdle closes accounts that nobody has used for a while.
func (s *Store) closeIdle(w *watcher) {
	s.mu.Lock()
	slots := make([]*slot, 0, len(s.slots))
	for _, sl := range s.slots {
		slots = append(slots, sl)
	}
	s.mu.Unlock()
	for _, sl := range slots {
		if !sl.mu.TryLock() {
			continue
		}
		if a := sl.a; a != nil && a.refs.Load() == 0 && time.Since(time.Unix(a.used.Load(), 0)) > idleAccount {
			w.unwatch(a)
			if err := a.close(); err != nil {
				s.cfg.Log.Error("close account", "account", a.name, "err", err)
			}
			sl.a = nil
		}
		sl.mu.Unlock()
	}
}

// tidy forgets what was expunged long ago.
func (a *Account) tidy(ctx context.Context) error {
	old := a.s.cfg.Now().Add(-keepGone).UnixMicro()
	return a.db.Load().Write(ctx, func(tx *sqlite.Tx) error {
		res, err := tx.Exec("DELETE FROM gone WHERE modseq<?", old)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); n == 0 || err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE mailbox SET since=max(since, ?)", old)
		return err
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
	if s == nil || m.refs.Load() != 0 || s != m.flushed {
		return
	}
	if err := m.exactBound(s); err != nil {
		m.a.s.cfg.Log.Warn("mailbox stays in memory", "account", m.a.name, "mailbox", m.Name(), "err", err)
		return
	}
	m.snap.Store(nil)
	m.flushed, m.flags = nil, nil
}

// indexTexts fills the full-text indexes, a few messages at a time.
func (s *Store) indexTexts(ctx context.Context) {
	if !s.cfg.FullText {
		return
	}
	for ctx.Err() == nil {
		more := false
		for _, a := range s.openAccounts() {
			for _, m := range a.allMailboxes() {
				again, err := m.indexSome(ctx)
				if err != nil && ctx.Err() == nil && !m.Gone() {
					s.cfg.Log.Warn("text not indexed", "account", a.name, "mailbox", m.Name(), "err", err)
				}
				more = more || again
			}
			a.refs.Add(-1)
		}
		pause := textPause
		if more {
			pause = 2 * time.Millisecond // let others have the disk and the CPU
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// watcher sees what other programs do to the folders of open accounts. It belongs to Run.
type watcher struct {
	s       *Store
	notify  *fsnotify.Watcher // nil: the system has none left
	folders map[string]watched
	news    map[string]map[string]bool // by folder: names of files
	ripe    <-chan time.Time
}

type watched struct {
	a *Account
	m *Mailbox // nil: the account's folder
}

func (s *Store) newWatcher() *watcher {
	w := &watcher{s: s, folders: map[string]watched{}, news: map[string]map[string]bool{}}
	n, err := fsnotify.NewBufferedWatcher(4096)
	if err != nil {
		s.cfg.Log.Warn("changes by other programs are only seen when a mailbox is used", "err", err)
		return w
	}
	w.notify = n
	return w
}

func (w *watcher) close() {
	if w.notify != nil {
		w.notify.Close()
	}
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w.notify == nil {
		return nil
	}
	return w.notify.Events
}

func (w *watcher) errors() <-chan error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Errors
}

// watch adds the folders of an account that are not watched yet.
func (w *watcher) watch(ctx context.Context, a *Account) {
	if w.notify == nil || ctx.Err() != nil {
		return
	}
	w.add(a.path, watched{a, nil})
	for _, m := range a.allMailboxes() {
		folder := filepath.Join(a.path, m.place.Load().folder)
		fresh := w.add(filepath.Join(folder, string(maildir.New)), watched{a, m})
		fresh = w.add(filepath.Join(folder, string(maildir.Cur)), watched{a, m}) || fresh
		if fresh { // what happened before the watch began
			w.refresh(ctx, m, false)
		}
	}
}

func (w *watcher) add(dir string, of watched) bool {
	if was, ok := w.folders[dir]; ok && was == of {
		return false
	}
	if err := w.notify.Add(dir); err != nil {
		return false // gone meanwhile, or no more watches: then a mailbox looks when it is used
	}
	w.folders[dir] = of
	return true
}

func (w *watcher) unwatch(a *Account) {
	for dir, of := range w.folders {
		if of.a == a {
			delete(w.folders, dir)
			w.notify.Remove(dir)
		}
	}
}

// note collects an event until it is time to look.
func (w *watcher) note(e fsnotify.Event) {
	if !e.Has(fsnotify.Create) && !e.Has(fsnotify.Remove) && !e.Has(fsnotify.Rename) {
		return
	}
	dir, name := filepath.Split(e.Name)
	dir = filepath.Clean(dir)
	if _, ok := w.folders[dir]; !ok {
		return
	}
	if w.news[dir] == nil {
		w.news[dir] = map[string]bool{}
	}
	w.news[dir][name] = true
	if w.ripe == nil {
		w.ripe = time.After(settleNews)
	}
}

// look asks of each name whether it is as the table has it: then we did that ourselves.
func (w *watcher) look(ctx context.Context) {
	news := w.news
	w.news, w.ripe = map[string]map[string]bool{}, nil
	for dir, names := range news {
		of := w.folders[dir]
		if of.m == nil {
			w.lookTree(ctx, of.a, dir, names)
			continue
		}
		if of.m.Gone() {
			delete(w.folders, dir)
			continue
		}
		w.lookMailbox(ctx, of.m, maildir.Sub(filepath.Base(dir)), names)
	}
}

// lookMailbox asks first without the lock, and again with it: a delivery that is being
// synced is in the folder before it is in the table.
func (w *watcher) lookMailbox(ctx context.Context, m *Mailbox, sub maildir.Sub, names map[string]bool) {
	for name := range names {
		if !m.surprised(sub, name) {
			delete(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	m.mu.Lock()
	still := false
	for name := range names {
		still = still || m.surprised(sub, name)
	}
	m.mu.Unlock()
	if still {
		w.refresh(ctx, m, true)
	}
}

func (w *watcher) lookTree(ctx context.Context, a *Account, dir string, names map[string]bool) {
	for name := range names {
		if strings.HasPrefix(name, ".") {
			if err := a.refreshTree(ctx); err != nil {
				w.s.cfg.Log.Warn("list folders", "account", a.name, "err", err)
			}
			w.watch(ctx, a)
			return
		}
	}
}

// overflow: events were lost, so look at everything.
func (w *watcher) overflow(ctx context.Context) {
	seen := map[*Mailbox]bool{}
	for _, of := range w.folders {
		if of.m != nil && !seen[of.m] {
			seen[of.m] = true
			w.refresh(ctx, of.m, true)
		}
	}
}

func (w *watcher) refresh(ctx context.Context, m *Mailbox, force bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.ready(ctx)
	if err == nil && force {
		err = m.refresh(ctx, true)
	}
	if err != nil && ctx.Err() == nil && !m.Gone() {
		w.s.cfg.Log.Warn("look through folder", "account", m.a.name, "mailbox", m.Name(), "err", err)
	}
}

// surprised reports whether the file system and the table disagree about a name.
func (m *Mailbox) surprised(sub maildir.Sub, name string) bool {
	s := m.Snapshot()
	if s == nil {
		return true
	}
	expected := false
	if n := maildir.ParseFileName(name); n.UIDValidity == m.validity {
		if pos, ok := s.Find(UID(n.UID)); ok {
			wantSub, wantName := s.fileName(pos)
			expected = wantSub == sub && wantName == name
		}
	}
	_, err := m.a.fs.Stat(m.path(sub, name))
	return expected != (err == nil)
}
