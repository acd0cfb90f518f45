package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"facteur/storage/maildir"
)

// Mailbox is an open mailbox, shared by everybody who has it open: what is kept in
// memory of a message is kept once. It is safe for concurrent use.
//
// There is one for each folder while the account is open. Lock order: Account.treeMu,
// then mailboxes by ascending UIDVALIDITY, then the locks of the account.
type Mailbox struct {
	a        *Account
	validity uint32
	id       string
	place    atomic.Pointer[place]
	snap     atomic.Pointer[Snapshot] // nil: not loaded
	listed   atomic.Pointer[listing]
	refs     atomic.Int32
	used     atomic.Int64 // when it was last given back, in Unix seconds
	gone     atomic.Bool
	indexed  atomic.Uint32 // the full-text index is known to reach up to this UID

	queueMu sync.Mutex
	queue   []*batch // waiting to be committed by who leads next, the first of them
	leading bool     // somebody leads

	// mu is held by who changes the files in new and cur, the table or the text file. The
	// disk is waited for with it; readers take the Snapshot and never wait.
	mu    sync.Mutex
	info  *maildir.Info
	flags *flagSets // nil: not loaded
	sets  int       // with more sets of flags, those that no message has are dropped
	// Files with UIDs from indexNext on are news, until the folder was looked through once
	// (Snapshot.looked); after that, the table knows all.
	indexNext UID
	started   bool
	counted   Usage
	// Another program is still writing some file, or renaming one by a link. It comes in when it is closed; where inotify can't tell of that, at
	// the next look, for which the folder's times are not noted.
	unfinished bool

	flushed *Snapshot                   // what the index has; guarded by Account.flushMu
	dir     atomic.Pointer[fs.FileInfo] // of the folder when it was last seen to be the mailbox's (livesIn)
}

// place is where a mailbox is now.
type place struct {
	name   string
	folder string
}

// listing is what LIST tells of a mailbox.
type listing struct {
	use        string
	subscribed bool
}

// Release gives back what Account.Mailbox handed out.
func (m *Mailbox) Release() {
	m.used.Store(time.Now().Unix())
	m.refs.Add(-1)
}

// Name is the mailbox's name now: a rename changes it.
func (m *Mailbox) Name() string { return m.place.Load().name }

// Gone reports that the mailbox has been deleted. Its files are no more.
func (m *Mailbox) Gone() bool { return m.gone.Load() }

// Snapshot returns the mailbox as it is now. It costs next to nothing, takes no
// disk, and never changes.
func (m *Mailbox) Snapshot() *Snapshot { return m.snap.Load() }

// Status answers STATUS.
func (m *Mailbox) Status() Status {
	s := m.Snapshot()
	first, _ := s.Find(s.FirstRecent)
	return Status{
		Messages: uint32(s.Len()), Unseen: uint32(s.totals.unseen), Deleted: uint32(s.totals.deleted),
		Recent:  uint32(s.Len() - first),
		UIDNext: s.UIDNext, UIDValidity: s.UIDValidity, HighestModSeq: s.HighestModSeq,
		Size: s.totals.size, DeletedSize: s.totals.deletedBytes, ID: m.id,
	}
}

// ClaimRecent gives the caller the messages that no session has been told of as
// \Recent: those from first up to, not including, next. A later caller gets only newer ones.
func (m *Mailbox) ClaimRecent(ctx context.Context) (first, next UID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return 0, 0, err
	}
	s := m.snap.Load()
	first = s.FirstRecent
	if first < s.UIDNext {
		n := s.next()
		n.FirstRecent = n.UIDNext
		m.publish(n)
	}
	return first, s.UIDNext, nil
}

// settleBatch is how many files are moved while a SELECT or a delivery waits for the mailbox.
const settleBatch = 1000

// settle moves the files of claimed messages from new to cur, as Maildir wants it. Until then,
// or after a crash, the message is \Recent once more.
func (m *Mailbox) settle(ctx context.Context) error {
	for {
		n, err := m.settleSome(ctx)
		if err != nil || n < settleBatch {
			return err
		}
	}
}

// settleSome is settle for a batch, and returns how many it moved. A million renames take minutes.
func (m *Mailbox) settleSome(ctx context.Context) (int, error) {
	s := m.snap.Load()
	if s == nil || !s.hasClaimedNew() {
		return 0, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return 0, err
	}
	s = m.snap.Load()
	defer m.hold(s.Len())()
	var moved []int
	for c, chunk := range s.chunks {
		for i := 0; chunk.inNew > 0 && i < len(chunk.recs) && len(moved) < settleBatch; i++ {
			r := chunk.recs[i]
			if r.set&inNew == 0 || r.uid >= s.FirstRecent {
				continue
			}
			from := m.pathOf(s, &r, chunk.base(i))
			r.set &^= inNew
			if err := m.a.fs.Rename(from, m.pathOf(s, &r, chunk.base(i))); err != nil {
				continue // another program was faster; refresh sees it
			}
			moved = append(moved, int(s.starts[c])+i)
		}
	}
	m.publish(m.base().changed(moved, func(_ int, r *rec) { r.set &^= inNew }))
	m.touched()
	return len(moved), nil
}

func (s *Snapshot) hasClaimedNew() bool {
	for _, c := range s.chunks {
		if c.inNew > 0 && c.recs[0].uid < s.FirstRecent {
			for i := range c.recs {
				if c.recs[i].set&inNew != 0 && c.recs[i].uid < s.FirstRecent {
					return true
				}
			}
		}
	}
	return false
}

// path returns the name below the account's folder of a file in this mailbox.
func (m *Mailbox) path(sub maildir.Sub, name string) string {
	folder := m.place.Load().folder
	if folder == "" {
		return string(sub) + "/" + name
	}
	return folder + "/" + string(sub) + "/" + name
}

// pathOf is path of a record's file.
func (m *Mailbox) pathOf(s *Snapshot, r *rec, base string) string {
	var room [512]byte
	b := append(room[:0], m.place.Load().folder...)
	if len(b) > 0 {
		b = append(b, '/')
	}
	b = append(append(b, r.sub()...), '/')
	return string(s.appendName(b, r, base))
}

// base returns the newest Snapshot with all flag sets known now, to be changed. The
// lock is held.
func (m *Mailbox) base() *Snapshot {
	n := m.snap.Load().next()
	n.sets, n.keys, n.Keywords = m.flags.sets, m.flags.keys, m.flags.keywords
	return n
}

// publish makes s what everybody sees. The lock is held.
func (m *Mailbox) publish(s *Snapshot) {
	m.snap.Store(s)
	m.count(Usage{Bytes: s.totals.disk, Messages: int64(s.Len())})
}

// count makes the account's counters say what the mailbox holds now. The lock is held.
func (m *Mailbox) count(u Usage) {
	m.a.messages.Add(u.Messages - m.counted.Messages)
	m.a.bytes.Add(u.Bytes - m.counted.Bytes)
	m.counted = u
}

// nextModSeq is a ModSeq higher than all before in this mailbox (rule 5). The lock is held.
func (m *Mailbox) nextModSeq() ModSeq {
	next := max(m.snap.Load().HighestModSeq+1, m.nowModSeq())
	m.boundModSeq(next)
	return next
}

// unseenModSeq is a ModSeq higher than all that a client can know, where the index may not
// know the last ones. The lock is held.
func (m *Mailbox) unseenModSeq(known ModSeq) ModSeq {
	return max(known+1, m.nowModSeq(), ModSeq(m.info.ModSeqBound))
}

func (m *Mailbox) nowModSeq() ModSeq { return ModSeq(m.a.s.cfg.Now().UnixMicro()) }

// boundModSeq sees to it that the text file's bound is above a ModSeq before anybody sees it. On a disk
// that takes nothing more messages must still go: it takes a lost index and a clock set back
// before anybody would notice.
func (m *Mailbox) boundModSeq(next ModSeq) {
	if next < ModSeq(m.info.ModSeqBound) {
		return
	}
	if err := m.writeInfo(); err != nil {
		m.a.s.cfg.Log.Warn("bound of ModSeqs not written; the next change tries again", "account", m.a.name, "error", err)
	}
}

// ready is called first by everything that changes something, with the lock held: it
// loads the table, and takes in what other programs have changed.
func (m *Mailbox) ready(ctx context.Context) error {
	if m.gone.Load() {
		return fmt.Errorf("%q: %w", m.Name(), ErrNoMailbox)
	}
	if err := m.load(ctx); err != nil {
		return fmt.Errorf("open mailbox %q: %w", m.Name(), err)
	}
	if err := m.refresh(ctx, false); err != nil {
		return fmt.Errorf("look through mailbox %q: %w", m.Name(), err)
	}
	m.dropSets()
	return nil
}

// load reads the table from the index, when it isn't in memory. The lock is held.
func (m *Mailbox) load(ctx context.Context) error {
	if m.snap.Load() != nil {
		return nil
	}
	flags := newFlagSets(m.info.Keywords)
	s, err := m.a.readTable(ctx, m.validity, flags)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		m.a.s.cfg.Log.Warn("mailbox not readable in the index, made again from its files",
			"account", m.a.name, "mailbox", m.Name(), "error", err)
		s = nil
	}
	m.a.flushMu.Lock()
	m.flushed = s
	m.a.flushMu.Unlock()
	if s == nil {
		flags = newFlagSets(m.info.Keywords)
		s = &Snapshot{UIDValidity: m.validity, UIDNext: 1, sets: flags.sets, keys: flags.keys, Keywords: flags.keywords}
		s.HighestModSeq = m.unseenModSeq(0)
		s.index()
	}
	m.flags = flags
	m.indexNext = s.UIDNext
	n := s.next()
	n.UIDNext = max(n.UIDNext, UID(m.info.UIDBound)) // exact after a clean stop
	m.publish(n)
	return nil
}

// maxUID leaves room for the bound above it.
const maxUID = 1<<32 - 1<<20

// boundStep is how far ahead the text file's bound is set, so that it is seldom written.
const boundStep = 1000

// reserve makes sure that the text file's bound is above n more UIDs, before any of them
// can be seen. The lock is held.
func (m *Mailbox) reserve(n int) error {
	need := uint64(m.snap.Load().UIDNext) + uint64(n)
	if need > maxUID {
		return fmt.Errorf("no UIDs are left in %q: %w", m.Name(), ErrLimit)
	}
	if need <= uint64(m.info.UIDBound) {
		return nil
	}
	was := m.info.UIDBound
	m.info.UIDBound = uint32(need + boundStep)
	if err := m.writeInfo(); err != nil {
		m.info.UIDBound = was
		return err
	}
	return nil
}

// modSeqStep is how far ahead of the clock the text file's bound of ModSeqs is set: a day in microseconds.
const modSeqStep = 24 * 3600 * 1e6

// writeInfo writes the text file, and moves the bound of ModSeqs ahead on the way. It never writes into the folder of another mailbox that
// has the name now.
func (m *Mailbox) writeInfo() error {
	if m.gone.Load() {
		return fmt.Errorf("write text file of %q: %w", m.Name(), ErrNoMailbox)
	}
	if err := m.stillHere(); err != nil {
		return fmt.Errorf("write text file of %q: %w", m.Name(), err)
	}
	was, highest := m.info.ModSeqBound, ModSeq(0)
	if s := m.snap.Load(); s != nil {
		highest = s.HighestModSeq
	}
	m.info.ModSeqBound = max(was, uint64(highest)+modSeqStep, uint64(m.a.s.cfg.Now().UnixMicro())+modSeqStep)
	err := maildir.WriteInfo(m.a.fs, maildir.Join(m.place.Load().folder, maildir.InfoFile), m.info)
	if err != nil {
		m.info.ModSeqBound = was
		return fmt.Errorf("write text file of %q: %w", m.Name(), diskError(err))
	}
	m.listed.Store(&listing{m.info.Use, m.info.Subscribed})
	return nil
}

// flagNumber returns the number of a set of flags; new keywords are written into the
// text file first, since file names will speak of them. The lock is held.
func (m *Mailbox) flagNumber(f Flags) (uint32, error) {
	if err := m.learn(f); err != nil {
		return 0, err
	}
	return m.flags.number(f)
}

// flagNumberOfFile is flagNumber for what a file's name says. Where there is no room for its keywords, the message comes without
// those that the mailbox doesn't know, or without any: better than not at all.
func (m *Mailbox) flagNumberOfFile(f Flags) (uint32, error) {
	set, err := m.flagNumber(f)
	for errors.Is(err, ErrLimit) && len(f.Keywords) > 0 {
		unknown := m.flags.missing(f)
		f.Keywords = slices.DeleteFunc(slices.Clone(f.Keywords), func(k string) bool { return len(unknown) == 0 || slices.Contains(unknown, k) })
		set, err = m.flagNumber(f)
	}
	return set, err
}

// learn sees to it that the mailbox knows the keywords of f. The lock is held.
func (m *Mailbox) learn(f Flags) error {
	known := len(m.flags.keywords)
	if len(m.flags.missing(f)) == 0 {
		return nil
	}
	if err := m.flags.learn(f); err != nil {
		return err
	}
	m.info.Keywords = m.flags.keywords
	if err := m.writeInfo(); err != nil {
		m.flags.forget(known)
		m.info.Keywords = m.flags.keywords
		return err
	}
	return nil
}

// touched notes the times of the folder after a change of our own. Where another program changed it, too, inotify tells; where there is none
// Run looks. The lock is held.
func (m *Mailbox) touched() {
	times, err := maildir.StatTimes(m.a.fs, m.place.Load().folder)
	if err != nil || m.unfinished {
		times = maildir.Times{} // refresh will say
	}
	n := m.snap.Load().next()
	n.times = times
	if n.deaf.IsZero() && m.a.s.running.Load() && m.a.s.notify.Load() == nil {
		n.deaf = time.Now()
	}
	m.snap.Store(n)
	m.a.s.changed.Store(time.Now().UnixNano())
}

// closeDown writes what has to be exact after a clean stop.
func (m *Mailbox) closeDown() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.snap.Load()
	if s == nil || m.gone.Load() {
		return nil
	}
	return m.exactBound(s)
}

// exactBound makes the text file's bound UIDNEXT itself, so that it doesn't jump when
// the table is loaded again.
func (m *Mailbox) exactBound(s *Snapshot) error {
	if m.info.UIDBound == uint32(s.UIDNext) {
		return nil
	}
	m.info.UIDBound = uint32(s.UIDNext)
	return m.writeInfo()
}
