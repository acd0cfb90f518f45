package storage

import (
	"context"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"facteur/storage/maildir"
)

// watcher sees what other programs do to the folders of open accounts. It belongs to Run.
type watcher struct {
	s       *Store
	notify  *notifier          // nil: the system has none left
	folders map[string]watched // by path
	paths   map[int32]string   // by the number of the watch
}

type watched struct {
	a     *Account
	m     *Mailbox // nil: the account's folder
	watch int32
}

func (s *Store) newWatcher() *watcher {
	w := &watcher{s: s, folders: map[string]watched{}, paths: map[int32]string{}}
	n, err := newNotifier()
	if err != nil {
		s.cfg.Log.Warn("changes by other programs are only seen when a mailbox is used", "error", err)
		return w
	}
	w.notify = n
	s.notify.Store(n)
	go func() {
		if err := n.run(); err != nil {
			s.cfg.Log.Warn("changes by other programs are from now on only seen when a mailbox is used", "error", err)
		}
	}()
	return w
}

func (w *watcher) close() {
	w.s.notify.Store(nil)
	if w.notify != nil {
		w.notify.close()
	}
	w.notify = nil
	clear(w.folders)
}

// news has what happened in the folders. It is closed when the system fails.
func (w *watcher) news() <-chan []event {
	if w.notify == nil {
		return nil
	}
	return w.notify.news
}

// watch adds the folders of an account that are not watched yet.
func (w *watcher) watch(ctx context.Context, a *Account) {
	if w.notify == nil || ctx.Err() != nil {
		return
	}
	if w.add(a.path, a, nil) { // what happened before the watch began
		w.refreshTree(ctx, a)
	}
	for _, m := range a.allMailboxes() {
		folder := filepath.Join(a.path, m.place.Load().folder)
		fresh := w.add(filepath.Join(folder, string(maildir.New)), a, m)
		fresh = w.add(filepath.Join(folder, string(maildir.Cur)), a, m) || fresh
		if fresh {
			w.refresh(ctx, m, false)
		}
	}
}

func (w *watcher) add(dir string, a *Account, m *Mailbox) bool {
	// A folder that got an earlier name back is still known by its last one: its events would be taken for those of the next
	// folder of that name.
	if was, ok := w.folders[dir]; ok && was.a == a && was.m == m && w.paths[was.watch] == dir {
		return false
	}
	watch, err := w.notify.add(dir)
	if err != nil {
		return false // gone meanwhile, or no more watches: then a mailbox looks when it is used
	}
	w.folders[dir] = watched{a, m, watch}
	w.paths[watch] = dir
	return true
}

// prune forgets folders of accounts that are closed and of mailboxes that are gone.
func (w *watcher) prune() {
	for dir, of := range w.folders {
		if of.a.closed.Load() || of.m != nil && of.m.Gone() {
			w.forget(dir, of)
		}
	}
}

func (w *watcher) forget(dir string, of watched) {
	delete(w.folders, dir)
	if w.paths[of.watch] == dir { // else the folder was renamed, and is watched under its new name
		delete(w.paths, of.watch)
		w.notify.remove(of.watch)
	}
}

// look goes through news: of each folder, by name, whether the last event left it there.
func (w *watcher) look(ctx context.Context, news []event) {
	folders, written := map[string]map[string]bool{}, map[string][]string{}
	for _, e := range news {
		dir, ok := w.paths[e.watch]
		switch {
		case e.lost:
			w.s.cfg.Log.Warn("too many changes of folders at once, looking through all")
			w.overflow(ctx)
		case !ok:
		case e.ended: // the folder is gone; watch adds one that takes its place
			w.forget(dir, w.folders[dir])
		default:
			if folders[dir] == nil {
				folders[dir] = map[string]bool{}
			}
			folders[dir][e.name] = e.there
			if e.wrote {
				written[dir] = append(written[dir], e.name)
			}
		}
	}
	for dir, names := range folders {
		of, ok := w.folders[dir]
		switch {
		case !ok:
		case of.m == nil:
			w.lookTree(ctx, of.a, names)
		case of.m.Gone():
			w.forget(dir, of)
		default:
			w.lookWritten(ctx, of.m, written[dir])
			w.lookMailbox(ctx, of.m, maildir.Sub(filepath.Base(dir)), names)
		}
	}
}

// lookMailbox asks of each name whether it is as the table has it: then we did that ourselves. It asks first without
// the lock, and again with it: a delivery that is being synced is in the folder before it is in the table. An event that
// leaves what the table says needs no look at the disk: that would make our own changes of thousands of flags wait for
// the folder's lock in the kernel. What changes it again brings another event.
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

// lookWritten: what another program wrote to after it had its UID is another message (Mailbox.changed).
func (w *watcher) lookWritten(ctx context.Context, m *Mailbox, names []string) {
	for _, name := range names {
		s := m.Snapshot()
		if s == nil {
			return // the first look measures
		}
		uid := UID(maildir.ParseFileName(name).UID)
		if pos, ok := s.Find(uid); ok {
			if st, err := m.a.fs.Stat(m.path(s.fileName(pos))); err == nil && !s.recAt(pos).holds(st.Size()) {
				if err := m.changed(ctx, uid); err != nil && ctx.Err() == nil && !m.Gone() {
					w.s.cfg.Log.Warn("look at a file that was written to", "account", m.a.name, "mailbox", m.Name(), "error", err)
				}
			}
		}
	}
}

// agrees reports whether the table says, too, that a file is there or not.
func (m *Mailbox) agrees(sub maildir.Sub, name string, there bool) bool {
	expected, ok := m.expects(sub, name)
	return ok && expected == there
}

// lookTree lists the account's folders anew when one has come or gone, and watches what there is now.
func (w *watcher) lookTree(ctx context.Context, a *Account, names map[string]bool) {
	for name := range names {
		if strings.HasPrefix(name, ".") {
			w.refreshTree(ctx, a)
			w.watch(ctx, a)
			return
		}
	}
}

func (w *watcher) refreshTree(ctx context.Context, a *Account) {
	if err := a.refreshTree(ctx); err != nil && ctx.Err() == nil {
		w.s.cfg.Log.Warn("list folders", "account", a.name, "error", err)
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
	deaf := force && w.listen(m)
	err := m.ready(ctx)
	if err == nil && force {
		err = m.refresh(ctx, true)
	}
	if err == nil && deaf {
		n := m.snap.Load().next()
		n.deaf = time.Time{}
		m.snap.Store(n)
	}
	if err != nil && ctx.Err() == nil && !m.Gone() {
		w.s.cfg.Log.Warn("look through folder", "account", m.a.name, "mailbox", m.Name(), "error", err)
	}
}

// listen makes the watches of a deaf table whole: where another program moved the folder away, the release of calm didn't find it, or
// found another. The lock is held.
func (w *watcher) listen(m *Mailbox) (deaf bool) {
	s := m.snap.Load()
	if s == nil || s.deaf.IsZero() {
		return false
	}
	for _, dir := range m.dirs() {
		if w.notify != nil {
			_, _ = w.notify.add(filepath.Join(m.a.path, dir)) // what isn't there, watch adds when it is
		}
	}
	return true
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
