package storage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"facteur/storage/maildir"
	"facteur/storage/sqlite"
)

// Account is one account's mail. It is safe for concurrent use.
type Account struct {
	s    *Store
	name string
	path string
	fs   maildir.FS
	refs atomic.Int32
	used atomic.Int64 // when it was last given back, in Unix seconds

	// treeMu is held to change which folders there are, and shared to look one up.
	treeMu    sync.RWMutex
	mailboxes map[string]*Mailbox // by name
	list      atomic.Pointer[[]*Mailbox]
	info      *maildir.Info     // of the account: names subscribed, METADATA, the last UIDVALIDITY
	rootTime  int64             // of the account's folder, when the list agreed with it
	passed    map[string]string // folders that could not be used, and why

	messages, bytes   atomic.Int64 // what counts against quota
	generation        atomic.Uint64
	quotaMu           sync.Mutex
	reservedN, reserv int64 // of deliveries on their way

	db       atomic.Pointer[sqlite.DB]
	fulltext atomic.Bool
	pendMu   sync.Mutex
	pending  []op
	flushMu  sync.Mutex
	noIndex  bool // the index was thrown away, and none made yet; guarded by flushMu

	closed     atomic.Bool
	flushFails atomic.Bool
	tidied     time.Time // when old rows were last removed; Run's

	watchMu sync.Mutex
	watches map[*Watch]struct{}
}

// accountFile is the account's own text file.
const accountFile = "facteur-account"

// openAccount opens the account's folder and looks through the mailboxes that changed
// since they were last seen.
func (s *Store) openAccount(ctx context.Context, name, path string) (*Account, error) {
	fsys, err := s.openFS(path)
	if err != nil {
		return nil, err
	}
	a := &Account{s: s, name: name, path: path, fs: fsys, mailboxes: map[string]*Mailbox{}, passed: map[string]string{}, watches: map[*Watch]struct{}{}}
	a.listed()
	err = a.open(ctx)
	if err != nil {
		if db := a.db.Load(); db != nil {
			db.Close()
		}
		fsys.Close()
		return nil, err
	}
	return a, nil
}

func (a *Account) open(ctx context.Context) error {
	if err := a.openIndex(); err != nil {
		return err
	}
	if err := a.readAccountInfo(); err != nil {
		return err
	}
	if err := a.readTree(); err != nil {
		return err
	}
	if err := a.sweepDeleted(); err != nil {
		return err
	}
	for _, m := range a.allMailboxes() {
		folder := m.place.Load().folder
		if err := maildir.SweepTmp(a.fs, folder, a.s.cfg.Now()); err != nil {
			a.passOver(folder, err)
		}
		if err := a.startOne(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// startOne readies a mailbox of the tree. Only where INBOX can't be is the account of no use.
func (a *Account) startOne(ctx context.Context, m *Mailbox) error {
	folder := m.place.Load().folder
	err := m.start(ctx)
	if err != nil && (folder == "" || ctx.Err() != nil) {
		return fmt.Errorf("mailbox %q: %w", m.Name(), err)
	}
	if err != nil {
		a.passOver(folder, err)
	}
	return nil
}

// start counts a mailbox in: from the index where the folder hasn't changed since, else by
// a look through it.
func (m *Mailbox) start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = true
	st, err := m.a.readState(ctx, m.validity)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err == nil && st != nil {
		times, err := maildir.StatTimes(m.a.fs, m.place.Load().folder)
		if err == nil && times == st.times {
			m.count(Usage{Messages: st.messages, Bytes: st.bytes})
			return nil
		}
	}
	if err := m.load(ctx); err != nil {
		return err
	}
	return m.refresh(ctx, true)
}

// close flushes and closes. Nobody uses the account any more.
func (a *Account) close() error {
	a.closed.Store(true)
	var errs []error
	for _, m := range a.allMailboxes() {
		if err := m.settle(context.Background()); err != nil {
			errs = append(errs, err)
		}
		errs = append(errs, m.closeDown())
	}
	a.waitForClock()
	errs = append(errs, a.flush(context.Background()), a.db.Load().Close(), a.fs.Close())
	return joinErrors("close account "+a.name, errs)
}

// clockStep is how coarse the times of a folder may be: two changes within it can
// leave the same time.
const clockStep = 20 * time.Millisecond

// waitForClock waits until a change by another program would show in the times that
// the index is about to note.
func (a *Account) waitForClock() {
	var latest int64
	a.flushMu.Lock() // Run may be flushing
	for _, m := range a.allMailboxes() {
		if s := m.snap.Load(); s != nil && s.looked && s != m.flushed {
			latest = max(latest, s.times.Latest())
		}
	}
	a.flushMu.Unlock()
	if wait := clockStep - time.Since(time.Unix(0, latest)); wait >= 0 && wait <= clockStep {
		time.Sleep(wait + time.Millisecond)
	}
}

// allMailboxes are the folders there are, in the order of their locks. It takes no lock.
func (a *Account) allMailboxes() []*Mailbox { return *a.list.Load() }

// listed makes allMailboxes tell of a change of the map. treeMu is held.
func (a *Account) listed() {
	list := make([]*Mailbox, 0, len(a.mailboxes))
	for _, m := range a.mailboxes {
		list = append(list, m)
	}
	slices.SortFunc(list, func(x, y *Mailbox) int { return int(int64(x.validity) - int64(y.validity)) })
	a.list.Store(&list)
}

// Release gives back what Store.Account handed out.
func (a *Account) Release() {
	a.used.Store(time.Now().Unix())
	a.refs.Add(-1)
}

// Mailbox opens a mailbox, or returns the open one. INBOX is matched without
// regard to case. Release it when done.
func (a *Account) Mailbox(ctx context.Context, name string) (*Mailbox, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	if err := a.refreshTree(ctx); err != nil {
		return nil, err
	}
	a.treeMu.RLock()
	m := a.mailboxes[name]
	if m != nil {
		m.refs.Add(1)
	}
	a.treeMu.RUnlock()
	if m == nil {
		return nil, fmt.Errorf("mailbox %q: %w", name, ErrNoMailbox)
	}
	m.mu.Lock()
	err = m.ready(ctx)
	m.mu.Unlock()
	if err != nil {
		m.Release()
		return nil, err
	}
	return m, nil
}

// Usage is what the account's mail takes up, from counters.
func (a *Account) Usage(ctx context.Context) (Usage, error) {
	return Usage{Bytes: a.bytes.Load(), Messages: a.messages.Load()}, nil
}

// Quota is the account's limit.
func (a *Account) Quota() Quota {
	if a.s.cfg.Quota == nil {
		return Quota{}
	}
	return a.s.cfg.Quota(a.name)
}

// claim sets quota aside for messages on their way; give it back by release when they are
// counted, or have failed.
func (a *Account) claim(messages, bytes int64, overQuota bool) (release func(), err error) {
	q := a.Quota()
	a.quotaMu.Lock()
	defer a.quotaMu.Unlock()
	if !overQuota {
		if q.Messages > 0 && a.messages.Load()+a.reservedN+messages > q.Messages ||
			q.Bytes > 0 && a.bytes.Load()+a.reserv+bytes > q.Bytes {
			return nil, fmt.Errorf("account %s: %w", a.name, ErrOverQuota)
		}
	}
	a.reservedN += messages
	a.reserv += bytes
	return func() {
		a.quotaMu.Lock()
		a.reservedN -= messages
		a.reserv -= bytes
		a.quotaMu.Unlock()
	}, nil
}

// Generation rises with every create, delete, rename, subscribe and metadata change of
// any mailbox: a session that saw an old one lists again.
func (a *Account) Generation() uint64 { return a.generation.Load() }

// Watch tells that something has changed. It carries no data: look again.
type Watch struct {
	c chan struct{}
	f func() // instead of c
	a *Account
}

// Watch returns a Watch of all of the account's mailboxes.
func (a *Account) Watch() *Watch {
	return a.watch(&Watch{c: make(chan struct{}, 1), a: a})
}

// WatchFunc is Watch for those who have no goroutine to spare: wake is called when
// something changed, perhaps by several goroutines at once. It must not block, and must
// not call the Watch.
func (a *Account) WatchFunc(wake func()) *Watch {
	return a.watch(&Watch{f: wake, a: a})
}

func (a *Account) watch(w *Watch) *Watch {
	a.watchMu.Lock()
	a.watches[w] = struct{}{}
	a.watchMu.Unlock()
	return w
}

// C has one wake waiting when something changed since the last receive. A WatchFunc has
// none.
func (w *Watch) C() <-chan struct{} { return w.c }

// Close ends the Watch.
func (w *Watch) Close() {
	w.a.watchMu.Lock()
	delete(w.a.watches, w)
	w.a.watchMu.Unlock()
}

// wake tells all watchers to look again. It never waits.
func (a *Account) wake() {
	a.watchMu.Lock()
	for w := range a.watches {
		if w.f != nil {
			w.f()
			continue
		}
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
	a.watchMu.Unlock()
}

// treeChanged is called after every change that a listing shows.
func (a *Account) treeChanged() {
	a.generation.Add(1)
	a.wake()
}
