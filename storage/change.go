package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"facteur/storage/maildir"
)

// Store changes flags. UIDs that are gone are passed over. With unchangedSince
// not nil, messages with a higher ModSeq are left alone and listed.
func (m *Mailbox) Store(ctx context.Context, uids []UID, op FlagOp, flags Flags, unchangedSince *ModSeq) (StoreResult, error) {
	var res StoreResult
	if err := m.a.refreshTree(ctx); err != nil {
		return res, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return res, err
	}
	uids = sortedUIDs(uids)
	for attempt := 0; ; attempt++ {
		missed, err := m.storeOnce(&res, uids, op, flags, unchangedSince)
		if err != nil || len(missed) == 0 || attempt == 3 {
			return res, err
		}
		// Another program has renamed these since we looked, as mutt does for a flag: they get ours beside its.
		if err := m.refresh(ctx, true); err != nil {
			return res, err
		}
		uids = missed
	}
}

// storeOnce adds to res what it did, and returns the UIDs whose files were not where the table has them.
func (m *Mailbox) storeOnce(res *StoreResult, uids []UID, op FlagOp, flags Flags, unchangedSince *ModSeq) (missed []UID, err error) {
	plan, modified, err := m.planStore(uids, op, flags, unchangedSince)
	res.Modified = append(res.Modified, modified...)
	slices.Sort(res.Modified)
	if err != nil || len(plan.positions) == 0 {
		return nil, err
	}
	defer m.calm(len(plan.positions))()
	s, modseq := m.base(), m.nextModSeq()
	done, missed, err := m.renameAll(s, plan)
	// What was renamed is so, even when a later one failed.
	n := s.changed(done.positions, func(k int, r *rec) { r.set, r.modseq = done.sets[k], modseq })
	m.publish(n)
	if len(done.positions) > 0 {
		if serr := m.syncSubs(map[maildir.Sub]bool{maildir.Cur: true}); err == nil {
			err = serr
		}
	}
	m.touched()
	res.Changed = slices.Grow(res.Changed, len(done.positions))
	for _, pos := range done.positions {
		res.Changed = append(res.Changed, n.At(pos))
	}
	slices.SortFunc(res.Changed, func(x, y Entry) int { return cmp.Compare(x.UID, y.UID) })
	m.a.wake()
	if err != nil {
		return nil, fmt.Errorf("store flags in mailbox %q: %w", m.Name(), diskError(err))
	}
	return missed, nil
}

type storePlan struct {
	positions []int
	sets      []uint32
}

// renameAll gives files the names of their new flags, and returns what it did and which were not there.
func (m *Mailbox) renameAll(s *Snapshot, plan storePlan) (done storePlan, missed []UID, err error) {
	defer m.hold(len(plan.positions))()
	done = storePlan{make([]int, 0, len(plan.positions)), make([]uint32, 0, len(plan.positions))}
	for i, pos := range plan.positions {
		r, c, k := s.at(pos)
		is := *r
		is.set = plan.sets[i]
		base := c.base(k)
		err := m.a.fs.Rename(m.pathOf(s, r, base), m.pathOf(s, &is, base))
		if errors.Is(err, fs.ErrNotExist) {
			missed = append(missed, r.uid)
			continue
		}
		if err != nil {
			return done, missed, err
		}
		done.positions, done.sets = append(done.positions, pos), append(done.sets, is.set)
	}
	return done, missed, nil
}

// planStore works out which messages get which flags.
func (m *Mailbox) planStore(uids []UID, op FlagOp, flags Flags, unchangedSince *ModSeq) (plan storePlan, modified []UID, err error) {
	s := m.snap.Load()
	var positions []int
	for _, uid := range uids {
		pos, ok := s.Find(uid)
		if !ok {
			continue
		}
		if unchangedSince != nil && s.recAt(pos).modseq > *unchangedSince {
			modified = append(modified, uid)
			continue
		}
		positions = append(positions, pos)
	}
	if op != FlagsRemove && len(positions) > 0 { // RFC 9051 2.3.2: a keyword is made by its first use
		if err := m.learn(flags); err != nil {
			return plan, nil, err
		}
	}
	became := map[uint32]uint32{} // of each set of flags; there are few
	for _, pos := range positions {
		was := s.recAt(pos).setID()
		is, ok := became[was]
		if !ok {
			if is, err = m.flags.number(op.apply(m.flags.sets[was].flags, flags)); err != nil {
				return plan, nil, err
			}
			became[was] = is
		}
		if is != was {
			plan.positions = append(plan.positions, pos)
			plan.sets = append(plan.sets, is) // in cur: it has been seen, and may have flags
		}
	}
	return plan, modified, nil
}

// syncSubs makes renames durable.
func (m *Mailbox) syncSubs(subs map[maildir.Sub]bool) error {
	for _, sub := range []maildir.Sub{maildir.Cur, maildir.New} {
		if subs[sub] {
			if err := m.a.fs.SyncDir(maildir.Join(m.place.Load().folder, string(sub))); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedInts(list []int) []int {
	slices.Sort(list)
	return list
}

func sortedUIDs(uids []UID) []UID {
	if slices.IsSorted(uids) {
		return slices.Compact(slices.Clone(uids))
	}
	sorted := slices.Clone(uids)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Expunge removes those of uids that have \Deleted; all that have it, with nil uids. It
// returns what was removed, ascending. It works on a full disk.
func (m *Mailbox) Expunge(ctx context.Context, uids []UID) ([]UID, error) {
	if err := m.a.refreshTree(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	if uids == nil {
		for _, e := range m.snap.Load().All(0) {
			if e.Flags.System&Deleted != 0 {
				uids = append(uids, e.UID)
			}
		}
	}
	removed, err := m.removeAll(ctx, sortedUIDs(uids), func(e Entry) bool { return e.Flags.System&Deleted != 0 })
	if err != nil {
		return removed, fmt.Errorf("expunge mailbox %q: %w", m.Name(), diskError(err))
	}
	return removed, nil
}

// removeAll removes those of uids, ascending, that match, and returns which are removed, ascending. What was removed before an
// error is removed. The lock is held.
func (m *Mailbox) removeAll(ctx context.Context, uids []UID, match func(Entry) bool) (removed []UID, err error) {
	for attempt := 0; ; attempt++ {
		done, missed, err := m.remove(uids, match)
		removed = append(removed, done...)
		if err != nil || len(missed) == 0 || attempt == 3 {
			slices.Sort(removed)
			return removed, err
		}
		// Another program has renamed these since we looked, as mutt does for a flag, or removed them.
		if err := m.refresh(ctx, true); err != nil {
			return removed, err
		}
		uids = missed
		for _, uid := range missed {
			if _, ok := m.snap.Load().Find(uid); !ok {
				removed = append(removed, uid)
			}
		}
	}
}

// remove is one attempt of removeAll. missed are those whose files were not where the table has them.
func (m *Mailbox) remove(uids []UID, match func(Entry) bool) (removed, missed []UID, err error) {
	defer m.calm(len(uids))()
	defer m.hold(len(uids))()
	s := m.snap.Load()
	subs := map[maildir.Sub]bool{}
	var positions []int
	for _, uid := range uids {
		pos, ok := s.Find(uid)
		if !ok || !match(s.At(pos)) {
			continue
		}
		sub, name := s.fileName(pos)
		err = m.a.fs.Remove(m.path(sub, name))
		if errors.Is(err, fs.ErrNotExist) {
			missed, err = append(missed, uid), nil
			continue
		}
		if err != nil {
			break
		}
		subs[sub] = true
		positions, removed = append(positions, pos), append(removed, uid)
	}
	if len(positions) == 0 {
		return nil, missed, err
	}
	m.forget(positions)
	if serr := m.syncSubs(subs); err == nil {
		err = serr
	}
	m.touched()
	m.a.wake()
	return removed, missed, err
}
