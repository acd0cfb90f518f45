package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"facteur/storage/maildir"
)

// Copy copies messages into to, which may be m itself, all or none, in the order of
// uids: flags, dates and EmailID go with them. UIDs that are gone are passed over.
func (m *Mailbox) Copy(ctx context.Context, uids []UID, to *Mailbox) ([]UIDPair, error) {
	if err := m.a.s.Free(); err != nil {
		return nil, err
	}
	return m.transfer(ctx, uids, to, false)
}

// Move moves messages into to (RFC 6851). Two sessions that move the same UID move
// it once. UIDs that are gone are passed over.
func (m *Mailbox) Move(ctx context.Context, uids []UID, to *Mailbox) ([]UIDPair, error) {
	return m.transfer(ctx, uids, to, true)
}

// Replace stores msg and removes the message uid in one step (RFC 8508). ErrGone
// when there is no such message: then nothing is stored.
func (m *Mailbox) Replace(ctx context.Context, uid UID, to *Mailbox, msg New) (UID, error) {
	var freed Usage // RFC 8508 3.4: what counts is by how much the account grows
	if s := m.snap.Load(); s != nil {
		if pos, ok := s.Find(uid); ok {
			freed = Usage{Bytes: s.At(pos).Size, Messages: 1}
		}
	}
	b, giveBack, err := to.writeAll([]New{msg}, freed)
	if err != nil {
		return 0, err
	}
	defer giveBack()
	if err := m.a.refreshTree(ctx); err != nil {
		b.abandon()
		return 0, err
	}
	defer lockBoth(m, to)()
	if err = readyBoth(ctx, m, to); err == nil {
		if _, ok := m.snap.Load().Find(uid); !ok {
			err = fmt.Errorf("UID %d of mailbox %q: %w", uid, m.Name(), ErrGone)
		}
	}
	if err == nil {
		to.commitAll(ctx, []*batch{b})
		err = b.err
	}
	if err != nil {
		b.abandon()
		return 0, err
	}
	if _, err := m.removeAll(ctx, []UID{uid}, func(Entry) bool { return true }); err != nil {
		return 0, fmt.Errorf("remove the message replaced in %q: %w", m.Name(), diskError(err))
	}
	return b.arrivals[0].uid, nil
}

// lockBoth takes two mailboxes' locks in their order, and returns what gives them back.
func lockBoth(x, y *Mailbox) func() {
	if x == y {
		x.mu.Lock()
		return x.mu.Unlock
	}
	if x.validity > y.validity {
		x, y = y, x
	}
	x.mu.Lock()
	y.mu.Lock()
	return func() { y.mu.Unlock(); x.mu.Unlock() }
}

func readyBoth(ctx context.Context, m, to *Mailbox) error {
	if m.a != to.a {
		return fmt.Errorf("mailbox %q is another account's: %w", to.Name(), ErrNoMailbox)
	}
	if err := m.ready(ctx); err != nil {
		return err
	}
	return to.ready(ctx)
}

// transit is one message between two mailboxes.
type transit struct {
	pos      int // in the source
	from, to string
	row      row // in the target
}

func (m *Mailbox) transfer(ctx context.Context, uids []UID, to *Mailbox, move bool) ([]UIDPair, error) {
	if err := m.a.refreshTree(ctx); err != nil {
		return nil, err
	}
	defer m.a.flushIfMany(ctx) // runs after the locks are given back
	defer lockBoth(m, to)()
	if err := readyBoth(ctx, m, to); err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		pairs, err := m.tryTransfer(uids, to, move)
		if !errors.Is(err, fs.ErrNotExist) || attempt == 3 {
			return pairs, err
		}
		// Another program has renamed a file since we looked, as mutt does for a flag.
		if err := m.refresh(ctx, true); err != nil {
			return nil, err
		}
		if err := to.refresh(ctx, true); err != nil {
			return nil, err
		}
	}
}

func (m *Mailbox) tryTransfer(uids []UID, to *Mailbox, move bool) ([]UIDPair, error) {
	list, bytes, err := m.planTransfer(uids, to)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if !move {
		giveBack, err := m.a.claim(int64(len(list)), bytes, false)
		if err != nil {
			return nil, err
		}
		defer giveBack()
	}
	if err := m.carry(list, to, move); err != nil {
		return nil, fmt.Errorf("from mailbox %q to %q: %w", m.Name(), to.Name(), diskError(err))
	}
	return m.bookTransfer(list, to, move), nil
}

// planTransfer works out names and UIDs.
func (m *Mailbox) planTransfer(uids []UID, to *Mailbox) (list []transit, bytes int64, err error) {
	s := m.snap.Load()
	next, modseq := to.snap.Load().UIDNext, to.nextModSeq()
	seen := make(map[int]bool, len(uids))
	sets := map[uint32]uint32{}
	for _, uid := range uids {
		pos, ok := s.Find(uid)
		if !ok || seen[pos] {
			continue
		}
		seen[pos] = true
		r, c, k := s.at(pos)
		set, ok := sets[r.setID()]
		if !ok {
			if set, err = to.flagNumber(s.sets[r.setID()].flags); err != nil {
				return nil, 0, err
			}
			if set == 0 {
				set |= inNew
			}
			sets[r.setID()] = set
		}
		t := transit{pos: pos, row: row{*r, c.base(k)}}
		t.from = m.pathOf(s, r, t.row.base)
		t.row.uid, t.row.set, t.row.modseq = next, set, modseq
		next++
		list = append(list, t)
		bytes += int64(r.size - r.lf)
	}
	if err := to.reserve(len(list)); err != nil {
		return nil, 0, err
	}
	target := to.base()
	for i := range list {
		t := &list[i]
		t.to = to.pathOf(target, &t.row.rec, t.row.base)
	}
	return list, bytes, nil
}

// carry links or renames the files and makes that durable, or takes it all back. Of a
// move the target is synced first: a crash may leave a message in both, never in
// none.
func (m *Mailbox) carry(list []transit, to *Mailbox, move bool) (err error) {
	defer to.calm(len(list))()
	if move {
		defer m.calm(len(list))()
	}
	defer m.hold(len(list), to)()
	done := 0
	subs, left := map[maildir.Sub]bool{}, map[maildir.Sub]bool{}
	for _, t := range list {
		if move {
			err = m.a.fs.Rename(t.from, t.to)
		} else {
			err = m.linkOrCopy(t)
		}
		if err != nil {
			break
		}
		done++
		subs[subOf(t.row.set)] = true
		left[subOf(m.snap.Load().recAt(t.pos).set)] = true
	}
	if err == nil {
		if err = to.syncSubs(subs); err == nil && move {
			err = m.syncSubs(left)
		}
	}
	if err == nil {
		return nil
	}
	for _, t := range list[:done] {
		if move {
			m.a.fs.Rename(t.to, t.from)
		} else {
			m.a.fs.Remove(t.to)
		}
	}
	return err // what could not be taken back, the next look finds: the times of the folders are not those of the tables
}

func (s *Snapshot) recAt(pos int) *rec { r, _, _ := s.at(pos); return r }

// linkOrCopy makes a second name for a file; a second file where the file system
// has no links, or no more for this one.
func (m *Mailbox) linkOrCopy(t transit) error {
	err := m.a.fs.Link(t.from, t.to)
	if !errors.Is(err, syscall.EMLINK) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	f, err := m.a.fs.Open(t.from)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	in, err := maildir.Begin(m.a.fs, maildir.NewBase(st.ModTime(), maildir.NewUnique(), m.a.s.host))
	if err != nil {
		return err
	}
	if _, err = io.Copy(in, f); err == nil {
		err = in.Sync(st.ModTime())
	}
	if err == nil {
		err = in.Rename(t.to)
	}
	if err != nil {
		in.Abandon()
	}
	return err
}

// bookTransfer takes what carry did into tables and index.
func (m *Mailbox) bookTransfer(list []transit, to *Mailbox, move bool) []UIDPair {
	s := m.snap.Load()
	now := m.a.s.cfg.Now().Unix()
	pairs := make([]UIDPair, len(list))
	rows := make([]row, len(list))
	positions := make([]int, len(list))
	for i, t := range list {
		uid := s.uids[t.pos]
		pairs[i] = UIDPair{uid, t.row.uid}
		rows[i] = t.row
		positions[i] = t.pos
	}
	m.a.pendCopies(m.validity, to.validity, pairs, now, move)
	to.publish(to.base().with(rows))
	if move {
		m.forget(sortedInts(positions))
		m.touched()
	}
	to.touched()
	m.a.wake()
	return pairs
}
