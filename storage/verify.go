package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"facteur/storage/maildir"
)

// Problem is one thing Verify found.
type Problem struct {
	Mailbox string
	UID     UID
	Path    string
	What    string
}

// Verify compares index, table and Maildir, and says where they differ: a live
// account is held still while it looks. An empty list means that all agree.
func (a *Account) Verify(ctx context.Context) ([]Problem, error) {
	if err := a.flush(ctx); err != nil {
		return nil, err
	}
	var problems []Problem
	if err := a.db.Load().Check(ctx, true); err != nil {
		problems = append(problems, Problem{Path: indexFile, What: err.Error()})
	}
	for _, m := range a.allMailboxes() {
		found, err := m.verify(ctx)
		if err != nil {
			return problems, fmt.Errorf("verify mailbox %q: %w", m.Name(), err)
		}
		problems = append(problems, found...)
	}
	return problems, ctx.Err()
}

func (m *Mailbox) verify(ctx context.Context) ([]Problem, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone.Load() {
		return nil, nil
	}
	v := &verifier{m: m}
	if m.snap.Load() == nil {
		if _, err := m.a.readTable(ctx, m.validity, newFlagSets(m.info.Keywords)); err != nil {
			v.found(0, indexFile, "%v; the mailbox's next use makes its part of the index again from the files", err)
			return v.problems, nil
		}
		if err := m.ready(ctx); err != nil { // nobody has used it since the start
			return nil, err
		}
	}
	if err := v.files(); err != nil {
		return nil, err
	}
	v.text()
	v.order()
	if err := v.index(ctx); err != nil {
		return nil, err
	}
	return v.problems, nil
}

type verifier struct {
	m        *Mailbox
	problems []Problem
}

func (v *verifier) found(uid UID, path, format string, args ...any) {
	v.problems = append(v.problems, Problem{v.m.Name(), uid, path, fmt.Sprintf(format, args...)})
}

// files compares the Maildir with the table.
func (v *verifier) files() error {
	m, s := v.m, v.m.snap.Load()
	list, err := maildir.List(m.a.fs, m.place.Load().folder)
	if err != nil {
		return err
	}
	on := make(map[string]bool, len(list))
	for _, f := range list {
		on[m.path(f.Sub, f.Name)] = true
	}
	for i, uid := range s.uids {
		path := m.path(s.fileName(i))
		if !on[path] {
			v.found(uid, path, "its file is gone")
			continue
		}
		delete(on, path)
		st, err := m.a.fs.Stat(path)
		if err != nil { // a bad disk, or a symbolic link to nowhere: all others are still worth a look
			v.found(uid, path, "its file can't be looked at: %v", err)
			continue
		}
		if r := s.recAt(i); !r.holds(st.Size()) {
			v.found(uid, path, "its file has %d octets and had %d: another program has cut it off or written to it", st.Size(), r.size-r.lf)
		}
	}
	for path := range on {
		v.found(UID(maildir.ParseFileName(filepath.Base(path)).UID), path, "a file that is not in the index")
	}
	return nil
}

// text checks that the text file says what a restart would need.
func (v *verifier) text() {
	m := v.m
	path := maildir.Join(m.place.Load().folder, maildir.InfoFile)
	info, err := maildir.ReadInfo(m.a.fs, path)
	switch {
	case err != nil:
		v.found(0, path, "%v: a rebuild now writes it again, a restart would lose the names of keywords and the special use", err)
	case info.UIDValidity != m.validity || info.UIDBound < m.info.UIDBound:
		v.found(0, path, "another program has put another text file here, with UIDVALIDITY %d instead of %d: a rebuild writes ours again", info.UIDValidity, m.validity)
	}
}

// order checks the table against itself.
func (v *verifier) order() {
	m, s := v.m, v.m.snap.Load()
	var sum totals
	last := UID(0)
	n := 0
	for _, c := range s.chunks {
		for i := range c.recs {
			r := &c.recs[i]
			if r.uid <= last || n >= len(s.uids) || s.uids[n] != r.uid {
				v.found(r.uid, "", "the UIDs in the index don't ascend")
			}
			if r.modseq > s.HighestModSeq || r.modseq > c.high {
				v.found(r.uid, "", "the message's ModSeq in the index is above the mailbox's")
			}
			last = r.uid
			n++
			sum.add(r, s.sets, 1)
		}
	}
	if n != len(s.uids) || sum != s.totals {
		v.found(0, "", "the counters of the mailbox don't agree with its messages")
	}
	if s.UIDNext <= last {
		v.found(last, "", "UIDNEXT %d in the index is not above the last UID", s.UIDNext)
	}
	if last >= UID(m.info.UIDBound) {
		v.found(last, maildir.InfoFile, "the UIDs up to %d that it reserves are used up", m.info.UIDBound)
	}
	if m.counted != (Usage{Bytes: s.totals.disk, Messages: int64(n)}) {
		v.found(0, "", "the quota counts %d octets in %d messages, there are %d in %d", m.counted.Bytes, m.counted.Messages, s.totals.disk, n)
	}
}

// index compares what the index has with the table, which the lock holds still.
func (v *verifier) index(ctx context.Context) error {
	m, s := v.m, v.m.snap.Load()
	if err := m.a.flush(ctx); err != nil {
		return err
	}
	flags := newFlagSets(m.info.Keywords)
	t, err := m.a.readTable(ctx, m.validity, flags)
	if err != nil {
		v.found(0, indexFile, "%v", err)
		return nil
	}
	if t == nil {
		v.found(0, indexFile, "the index doesn't know the mailbox")
		return nil
	}
	if t.Len() != s.Len() || t.UIDNext != s.UIDNext || t.totals != s.totals {
		v.found(0, indexFile, "the index has %d messages, the server knows %d", t.Len(), s.Len())
		return nil
	}
	for i := range s.uids {
		a, ca, ka := s.at(i)
		b, cb, kb := t.at(i)
		if *a != *b || ca.base(ka) != cb.base(kb) {
			v.found(a.uid, indexFile, "the index and the server differ about the message")
		}
	}
	return nil
}

// Rebuild throws the account's index away and builds it from the Maildir.
func (a *Account) Rebuild(ctx context.Context) error {
	a.flushMu.Lock()
	err := a.resetIndex()
	a.flushMu.Unlock()
	if err != nil {
		return fmt.Errorf("rebuild index of %s: %w", a.name, err)
	}
	for _, m := range a.allMailboxes() {
		if err := m.rebuild(ctx); err != nil {
			return fmt.Errorf("rebuild mailbox %q: %w", m.Name(), err)
		}
	}
	return a.flush(ctx)
}

// disownChanged gives a new name, without UID, to each file that has another size than its message: what another
// program has cut off or written to comes in as a new message, as look.arrived has it. m.mu is held.
func (m *Mailbox) disownChanged() error {
	s := m.snap.Load()
	for i := range s.uids {
		if _, err := m.disownIfChanged(s, i); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mailbox) disownIfChanged(s *Snapshot, pos int) (changed bool, err error) {
	sub, name := s.fileName(pos)
	st, err := m.a.fs.Stat(m.path(sub, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || s.recAt(pos).holds(st.Size()) {
		return false, err
	}
	return true, m.disown(sub, name, st.ModTime())
}

// holds reports whether a file has the size of the message.
func (r *rec) holds(size int64) bool { return size == int64(r.size-r.lf) }

// changed takes in that another program has cut off a message's file or written to it. Served as what it was, it would end
// a client's connection in the middle of each FETCH.
func (m *Mailbox) changed(ctx context.Context, uid UID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return err
	}
	s := m.snap.Load()
	pos, ok := s.Find(uid)
	if !ok {
		return nil
	}
	changed, err := m.disownIfChanged(s, pos)
	if err != nil || !changed {
		return err
	}
	m.a.s.cfg.Log.Warn("another program has cut off a file or written to it: it becomes a new message", "account", m.a.name,
		"mailbox", m.Name(), "uid", uid, "size", s.recAt(pos).size)
	return m.refresh(ctx, true)
}

// disown gives a file a name that nobody knows, with its flags: the next look at the folder takes it for a new message.
func (m *Mailbox) disown(sub maildir.Sub, name string, internal time.Time) error {
	was := maildir.ParseFileName(name)
	unknown := maildir.FileName{
		Base: maildir.NewBase(internal, maildir.NewUnique(), m.a.s.host), Size: -1, Virtual: -1, Keywords: was.Keywords, Flags: was.Flags,
	}
	return m.a.fs.Rename(m.path(sub, name), m.path(maildir.Cur, string(unknown.Append(nil, true))))
}

func (m *Mailbox) rebuild(ctx context.Context) error {
	m.refs.Add(1) // else its table may leave memory while details are worked out
	defer m.Release()
	m.mu.Lock()
	err := m.ready(ctx)
	if err == nil {
		err = m.disownChanged()
	}
	if err == nil {
		err = m.refresh(ctx, true)
	}
	if err == nil {
		err = m.writeInfo()
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	for _, err := range m.Details(ctx, m.Snapshot().UIDs()) { // works out what is missing
		if err != nil {
			return err
		}
	}
	return nil
}
