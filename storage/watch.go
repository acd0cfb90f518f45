package storage

import (
	"context"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"facteur/storage/maildir"
)

// watcher sees what other programs do to the folders of open accounts. It belongs to Run.
type watcher struct {
	s       *Store
	notify  *fsnotify.Watcher // nil: the system has none left
	folders map[string]watched
	news    map[string]map[string]bool // by folder: names of files, and whether the last event left them there
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
		s.cfg.Log.Warn("changes by other programs are only seen when a mailbox is used", "error", err)
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

// prune forgets folders of accounts that are closed and of mailboxes that are gone.
func (w *watcher) prune() {
	for dir, of := range w.folders {
		if of.a.closed.Load() || of.m != nil && of.m.Gone() {
			delete(w.folders, dir)
			w.notify.Remove(dir) // an error means that the system removed it with the folder
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
	w.news[dir][name] = e.Has(fsnotify.Create)
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
// synced is in the folder before it is in the table. An event that leaves what the table says
// needs no look at the disk: that would make our own changes of thousands of flags wait
// for the folder's lock in the kernel. What changes it again brings another event.
func (w *watcher) lookMailbox(ctx context.Context, m *Mailbox, sub maildir.Sub, names map[string]bool) {
	maps.DeleteFunc(names, func(name string, there bool) bool { return m.agrees(sub, name, there) })
	if len(names) == 0 {
		return
	}
	m.mu.Lock()
	still := false
	for name, there := range names {
		still = still || !m.agrees(sub, name, there) && m.surprised(sub, name)
	}
	m.mu.Unlock()
	if still {
		w.refresh(ctx, m, true)
	}
}

// agrees reports whether the table says, too, that a file is there or not.
func (m *Mailbox) agrees(sub maildir.Sub, name string, there bool) bool {
	expected, ok := m.expects(sub, name)
	return ok && expected == there
}

func (w *watcher) lookTree(ctx context.Context, a *Account, dir string, names map[string]bool) {
	for name := range names {
		if strings.HasPrefix(name, ".") {
			if err := a.refreshTree(ctx); err != nil {
				w.s.cfg.Log.Warn("list folders", "account", a.name, "error", err)
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
		w.s.cfg.Log.Warn("look through folder", "account", m.a.name, "mailbox", m.Name(), "error", err)
	}
}

// expects reports whether the table has a file of that name; ok is false without a table.
func (m *Mailbox) expects(sub maildir.Sub, name string) (expected, ok bool) {
	s := m.Snapshot()
	if s == nil {
		return false, false
	}
	if n := maildir.ParseFileName(name); n.UIDValidity == m.validity {
		if pos, ok := s.Find(UID(n.UID)); ok {
			wantSub, wantName := s.fileName(pos)
			expected = wantSub == sub && wantName == name
		}
	}
	return expected, true
}

// surprised reports whether the file system and the table disagree about a name.
func (m *Mailbox) surprised(sub maildir.Sub, name string) bool {
	expected, ok := m.expects(sub, name)
	if !ok {
		return true
	}
	_, err := m.a.fs.Stat(m.path(sub, name))
	return expected != (err == nil)
}
