package storage

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"facteur/storage/maildir"
)

// refresh takes in what other programs have done to the folder, if its times say that
// something was done, or in any case with force. The lock is held.
func (m *Mailbox) refresh(ctx context.Context, force bool) error {
	times, err := maildir.StatTimes(m.a.fs, m.place.Load().folder)
	if errors.Is(err, fs.ErrNotExist) {
		if err := m.repairFolder(); err != nil {
			return err
		}
		times, err = maildir.StatTimes(m.a.fs, m.place.Load().folder)
	}
	if err != nil {
		return err
	}
	if times == m.snap.Load().times && !force {
		m.lookedThrough()
		return nil
	}
	// A look that renamed something doesn't know what others did meanwhile: look again.
	for range 4 {
		l := look{m: m}
		if err := l.run(ctx); err != nil {
			return err
		}
		m.lookedThrough()
		if !l.renamed {
			break
		}
	}
	return nil
}

// lookedThrough notes that the table agrees with the folder. The lock is held.
func (m *Mailbox) lookedThrough() {
	if s := m.snap.Load(); !s.looked {
		n := s.next()
		n.looked = true
		m.snap.Store(n)
	}
}

// repairFolder makes new, cur or tmp when another program removed one.
func (m *Mailbox) repairFolder() error {
	folder := m.place.Load().folder
	if err := m.stillHere(); err != nil {
		return err // all of it is gone: Account.refreshTree sees that
	}
	return maildir.CreateFolder(m.a.fs, folder, m.info)
}

// look compares a folder with the table.
type look struct {
	m       *Mailbox
	renamed bool // files got their proper names
	byUID   map[UID]listed
	foreign []listed
}

type listed struct {
	maildir.Found
	name maildir.FileName
}

func (l *look) run(ctx context.Context) error {
	m := l.m
	times, err := maildir.StatTimes(m.a.fs, m.place.Load().folder) // before the listing: what changes later shows
	if err != nil {
		return err
	}
	m.unfinished = false
	if err := l.list(); err != nil {
		return err
	}
	if err := m.stillHere(); err != nil { // after the listing: what is done from here on is done by names that only our folder has
		return err
	}
	before := m.snap.Load()
	if !before.looked {
		// The folder isn't as the index has it. After a kill, sessions may have seen ModSeqs and
		// expunges that the index has not: they must not see older ones again.
		n := before.next()
		n.HighestModSeq = m.unseenModSeq(n.HighestModSeq)
		n.since = n.HighestModSeq
		m.snap.Store(n)
		m.boundModSeq(n.HighestModSeq)
	}
	if err := l.missing(); err != nil {
		return err
	}
	if err := l.changed(); err != nil {
		return err
	}
	if err := l.arrived(ctx); err != nil {
		return err
	}
	n := m.snap.Load().next()
	n.times = times
	if l.renamed || m.unfinished {
		n.times = maildir.Times{}
	}
	if n.FirstRecent == 0 { // nothing was known
		n.FirstRecent = n.firstInNew()
	}
	m.snap.Store(n)
	if n.HighestModSeq != before.HighestModSeq {
		m.a.wake()
	}
	return nil
}

func (s *Snapshot) firstInNew() UID {
	for _, c := range s.chunks {
		for i := range c.recs {
			if c.recs[i].set&inNew != 0 {
				return c.recs[i].uid
			}
		}
	}
	return s.UIDNext
}

// list sorts the files into those that name a UID of this mailbox and the foreign ones.
func (l *look) list() error {
	found, err := maildir.List(l.m.a.fs, l.m.place.Load().folder)
	if err != nil {
		return err
	}
	s := l.m.snap.Load()
	known := s.UIDNext
	if !s.looked {
		known = l.m.indexNext
		if n := s.Len(); n > 0 { // a look that failed on its way has taken in some
			known = max(known, s.uids[n-1]+1)
		}
	}
	l.byUID = make(map[UID]listed, len(found))
	for _, f := range found {
		one := listed{f, maildir.ParseFileName(f.Name)}
		uid := UID(one.name.UID)
		if one.name.UIDValidity != l.m.validity || uid == 0 || uid > maxUID || len(one.name.Base) > maildir.MaxBase || one.name.Base == "" {
			l.foreign = append(l.foreign, one)
			continue
		}
		if _, ok := s.Find(uid); !ok && uid < known {
			// Of a message that is expunged: a UID never comes back (RFC 9051 2.3.1.1).
			l.foreign = append(l.foreign, one)
			continue
		}
		if other, ok := l.byUID[uid]; ok {
			l.double(uid, other, one)
			continue
		}
		l.byUID[uid] = one
	}
	return nil
}

// linkLeft is how long a file may have had two names before one of them is removed.
const linkLeft = 30 * time.Second

// double: two files claim one UID. Two names of one file are what a file system leaves that
// tears a rename apart: the one in cur is the newer. Or another program renames the file by link and unlink just now: whichever name we
// removed, it might remove the other. Else one is the message, and the other came to its name
// by a copy.
func (l *look) double(uid UID, a, b listed) {
	if a.Sub == maildir.New && b.Sub == maildir.Cur {
		a, b = b, a
	}
	l.byUID[uid] = a
	fsys := l.m.a.fs
	sa, err1 := fsys.Stat(l.m.path(a.Sub, a.Name))
	sb, err2 := fsys.Stat(l.m.path(b.Sub, b.Name))
	switch {
	case err2 != nil:
	case err1 != nil:
		l.byUID[uid] = b
	case sameFile(sa, sb):
		if l.m.a.s.cfg.Now().Sub(changedAt(sb)) < linkLeft {
			l.m.unfinished = true
		} else if fsys.Remove(l.m.path(b.Sub, b.Name)) == nil {
			l.renamed = true
		}
	default:
		if !l.isMessage(uid, a, sa) && l.isMessage(uid, b, sb) {
			a, b = b, a
		}
		l.byUID[uid] = a
		l.foreign = append(l.foreign, b)
	}
}

// isMessage reports whether a file can be the message that its name says: the table may know the
// UID under another name, and the size may be another's.
func (l *look) isMessage(uid UID, f listed, st fs.FileInfo) bool {
	s := l.m.snap.Load()
	if pos, ok := s.Find(uid); ok {
		if _, c, k := s.at(pos); c.base(k) != f.name.Base {
			return false
		}
	}
	return f.name.Size == 0 || f.name.Size == st.Size()
}

// missing takes out messages whose files are gone. A listing can pass over a file that is
// being renamed, so it has to be missing twice.
func (l *look) missing() error {
	s := l.m.snap.Load()
	var positions []int
	for i, uid := range s.uids {
		if _, ok := l.byUID[uid]; !ok {
			positions = append(positions, i)
		}
	}
	if len(positions) == 0 {
		return nil
	}
	found, err := maildir.List(l.m.a.fs, l.m.place.Load().folder)
	if err != nil {
		return err
	}
	for _, f := range found {
		name := maildir.ParseFileName(f.Name)
		if _, ok := l.byUID[UID(name.UID)]; !ok && name.UIDValidity == l.m.validity {
			if _, ok := s.Find(UID(name.UID)); ok {
				l.byUID[UID(name.UID)] = listed{f, name}
			}
		}
	}
	positions = slices.DeleteFunc(positions, func(i int) bool { _, ok := l.byUID[s.uids[i]]; return ok })
	l.m.forget(positions)
	return nil
}

// forget takes messages whose files are no more out of the table. The lock is held.
func (m *Mailbox) forget(positions []int) {
	if len(positions) == 0 {
		return
	}
	s := m.snap.Load()
	modseq := m.nextModSeq()
	uids := make([]UID, len(positions))
	for i, pos := range positions {
		uids[i] = s.uids[pos]
	}
	n := m.base().without(positions)
	n.HighestModSeq = modseq
	m.a.pendGone(m.validity, modseq, uids) // before the table: the index must not forget the UIDs silently
	m.publish(n)
}

// changed takes in flags and fields of other programs, and gives files the names that we would have given them.
func (l *look) changed() error {
	m := l.m
	s := m.snap.Load()
	modseq := m.nextModSeq()
	var positions []int
	var sets []uint32
	bases := map[int]string{}
	for i, uid := range s.uids {
		f := l.byUID[uid]
		r, c, k := s.at(i)
		sub, name := s.nameOf(r, c.base(k))
		if f.Sub == sub && f.Name == name {
			continue
		}
		set, err := m.flagNumberOfFile(m.flags.fromName(f.name.Flags, f.name.Keywords))
		if err != nil {
			return err
		}
		if f.Sub == maildir.New && set == 0 {
			set = inNew
		}
		if base := c.base(k); f.name.Base != base && maildir.SameBase(f.name.Base, base) {
			bases[i] = f.name.Base
		}
		positions, sets = append(positions, i), append(sets, set)
	}
	if len(positions) == 0 {
		return nil
	}
	n := m.base().changed(positions, func(k int, r *rec) {
		if r.setID() != sets[k]&^inNew {
			r.modseq = modseq
		}
		r.set = sets[k]
	})
	if len(bases) > 0 {
		n = n.rebased(bases)
	}
	m.publish(n)
	for _, pos := range positions {
		f := l.byUID[n.uids[pos]]
		if err := l.rename(f.Found, n, pos); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// rename gives a file its proper name.
func (l *look) rename(f maildir.Found, s *Snapshot, pos int) error {
	sub, name := s.fileName(pos)
	if f.Sub == sub && f.Name == name {
		return nil
	}
	l.renamed = true
	err := l.makeRoom(f, sub, name)
	if err == nil {
		err = l.m.a.fs.Rename(l.m.path(f.Sub, f.Name), l.m.path(sub, name))
	}
	if errors.Is(err, syscall.ENAMETOOLONG) { // only adopt can change the BASE
		r, _, _ := s.at(pos)
		return l.m.disown(f.Sub, f.Name, time.Unix(r.internal, 0))
	}
	return err
}

// makeRoom moves another file out of the way of f, which shall get its name: a rename would destroy it. The next
// look finds it again.
func (l *look) makeRoom(f maildir.Found, sub maildir.Sub, name string) error {
	there, err := l.m.a.fs.Stat(l.m.path(sub, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mine, err := l.m.a.fs.Stat(l.m.path(f.Sub, f.Name))
	if err != nil || sameFile(mine, there) {
		return err
	}
	l.foreign = slices.DeleteFunc(l.foreign, func(o listed) bool { return o.Sub == sub && o.Name == name })
	return l.m.disown(sub, name, there.ModTime())
}

// arrived takes in files that the table doesn't know: first those with a UID, then the
// foreign ones, in the order of their times.
func (l *look) arrived(ctx context.Context) error {
	m := l.m
	var own []listed
	s := m.snap.Load()
	for uid, f := range l.byUID {
		if _, ok := s.Find(uid); !ok {
			own = append(own, f)
		}
	}
	slices.SortFunc(own, func(a, b listed) int { return int(int64(a.name.UID) - int64(b.name.UID)) })
	modseq := m.nextModSeq()
	var rows []row
	for _, f := range own {
		r, ok := l.measure(f)
		if !ok {
			continue
		}
		if f.name.Size != 0 && f.name.Size != int64(r.size-r.lf) {
			// Cut off or written to since it got its name. A UID means the same octets for ever (RFC 9051
			// 2.3.1.1), and so does an EmailID (RFC 8474 5.1): these come in as a new message.
			f.name.Base = ""
			l.foreign = append(l.foreign, f)
			continue
		}
		r.uid, r.modseq = UID(f.name.UID), modseq
		rows = append(rows, r)
	}
	if len(rows) > 0 {
		m.publish(m.base().with(rows))
		if err := m.reserve(0); err != nil {
			return err
		}
		if err := l.properNames(own); err != nil {
			return err
		}
	}
	if len(l.foreign) == 0 {
		return nil
	}
	slices.SortFunc(l.foreign, func(a, b listed) int {
		if ta, tb := maildir.TimeOf(a.Name), maildir.TimeOf(b.Name); ta != tb {
			return int(ta - tb)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return l.adopt(ctx, modseq)
}

// properNames renames files whose name isn't quite what we would have given them.
func (l *look) properNames(own []listed) error {
	s := l.m.snap.Load()
	for _, f := range own {
		if pos, ok := s.Find(UID(f.name.UID)); ok {
			if err := l.rename(f.Found, s, pos); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
