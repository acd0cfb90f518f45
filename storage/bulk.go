package storage

import (
	"path/filepath"
	"time"

	"facteur/storage/maildir"
)

// A client changes thousands of messages with one command. What each of them costs beside its rename is kept small
// here: their folders stay open, and inotify, which would tell us of every one, is asked not to.

// dirs are the folders of a mailbox's messages, below the account's.
func (m *Mailbox) dirs() []string {
	folder := m.place.Load().folder
	return []string{maildir.Join(folder, string(maildir.Cur)), maildir.Join(folder, string(maildir.New))}
}

// hold keeps new and cur of mailboxes open, when n changes of files are to come and n is
// large enough.
func (m *Mailbox) hold(n int, others ...*Mailbox) (release func()) {
	if n < 4 {
		return func() {}
	}
	dirs := m.dirs()
	for _, box := range others {
		dirs = append(dirs, box.dirs()...)
	}
	return m.a.fs.Hold(dirs...)
}

// calmFrom is how many files have to change before inotify is calmed: then one look through the folder costs less than
// their events.
const calmFrom = 1000

// calm keeps inotify from telling of the n changes to come, if that is a large part of the mailbox. What other programs
// do to names meanwhile nobody hears: the table is deaf until Run has looked through the folder. It is
// called before the table is read to be changed. The lock is held.
func (m *Mailbox) calm(n int) (release func()) {
	notify, s := m.a.s.notify.Load(), m.snap.Load()
	if notify == nil || n < calmFrom || n < s.Len()/2 {
		return func() {}
	}
	if s.deaf.IsZero() {
		s = s.next()
		s.deaf = time.Now()
		m.snap.Store(s)
	}
	dirs := m.dirs()
	for i, dir := range dirs {
		dirs[i] = filepath.Join(m.a.path, dir)
		_ = notify.calm(dirs[i]) // what goes wrong leaves us events that nobody needs
	}
	return func() {
		for _, dir := range dirs {
			_, _ = notify.add(dir) // what goes wrong, Run makes good when it looks (watcher.listen)
		}
	}
}
