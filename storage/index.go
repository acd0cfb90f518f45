package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"facteur/storage/maildir"
	"facteur/storage/sqlite"
)

// The index is a copy of what the table and the files say, for a fast start, and the
// summaries. It is written behind: an operation appends to Account.pending what
// it changed, and flush writes that, and the chunks that changed, in one
// transaction. Whoever reads the index flushes first. What a crash loses of it, the next
// use finds out from the times of the folders (mailbox.refresh) and from the files.
//
// Rows of messages are numbered UIDVALIDITY<<32 | UID, since UIDVALIDITY is unique in
// an account and stays in a rename. SQLite's integers have a sign, so the numbers turn
// negative in 2038; within one mailbox they still ascend.
var schema = []string{`
CREATE TABLE mailbox (
	validity INTEGER PRIMARY KEY,
	uidnext INTEGER NOT NULL,
	highest INTEGER NOT NULL,
	recent INTEGER NOT NULL,
	since INTEGER NOT NULL,     -- gone is complete for ModSeqs from here on
	messages INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	time_new INTEGER NOT NULL,  -- the table agrees with the folder at these times; 0: not known
	time_cur INTEGER NOT NULL,
	sets BLOB NOT NULL
);
CREATE TABLE chunk (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE detail (
	id INTEGER PRIMARY KEY,
	thread INTEGER NOT NULL,
	saved INTEGER NOT NULL,
	summary BLOB NOT NULL
);
CREATE INDEX detail_thread ON detail (thread);
CREATE TABLE gone (
	validity INTEGER NOT NULL,
	modseq INTEGER NOT NULL,
	first INTEGER NOT NULL,
	last INTEGER NOT NULL,
	PRIMARY KEY (validity, modseq, first)
) WITHOUT ROWID;
CREATE TABLE ref (hash INTEGER PRIMARY KEY, thread INTEGER NOT NULL);
CREATE TABLE indexed (validity INTEGER PRIMARY KEY, uid INTEGER NOT NULL);
`}

func rowID(validity uint32, uid UID) int64 { return int64(uint64(validity)<<32 | uint64(uid)) }

const indexFile = "index.db"

// openIndex opens an account's index. One that is damaged, or of a newer
// version, is thrown away: its content can be made again.
func (a *Account) openIndex() error {
	path := filepath.Join(a.path, indexFile)
	opt := sqlite.Options{Migrations: schema, Readers: 2}
	db, err := sqlite.Open(path, opt)
	if sqlite.IsCorrupt(err) || errors.Is(err, sqlite.ErrFuture) {
		a.s.cfg.Log.Warn("index thrown away, to be made again", "account", a.name, "reason", err)
		if err := removeIndex(path); err != nil {
			return err
		}
		db, err = sqlite.Open(path, opt)
	}
	if err != nil {
		return err
	}
	a.db.Store(db)
	a.openFullText()
	return nil
}

func removeIndex(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// resetIndex begins a new index file, into which the next flush writes all that is in
// memory. flushMu is held.
func (a *Account) resetIndex() error {
	a.noIndex = true
	if err := a.db.Load().Close(); err != nil {
		a.s.cfg.Log.Warn("close index", "account", a.name, "error", err)
	}
	if err := removeIndex(filepath.Join(a.path, indexFile)); err != nil {
		return err
	}
	for _, m := range a.allMailboxes() {
		m.flushed = nil
		m.indexed.Store(0)
	}
	err := a.openIndex()
	a.noIndex = err != nil
	return err
}

// healed begins a new index when err says that the one in use is damaged, or when too much waits for it, and reports
// whether it makes sense to try again. was is the index that gave err. flushMu is held.
func (a *Account) healed(was *sqlite.DB, err error) bool {
	if a.db.Load() != was {
		return true // somebody else did
	}
	if !sqlite.IsCorrupt(err) && !a.tooMuchWaits() && !a.noIndex {
		return false
	}
	if !a.noIndex {
		a.s.cfg.Log.Warn("index is damaged, to be made again", "account", a.name, "error", err)
	}
	if err := a.resetIndex(); err != nil {
		a.s.cfg.Log.Error("index not made again", "account", a.name, "error", err)
		return false
	}
	return true
}

// tooMuchWaits drops what waits for an index that can't be written, when it has become too much: a new index is made from the
// tables and the files. What neither of them knows is lost: dates of SAVEDATE, and which UIDs were expunged, as the
// new index says of itself. flushMu is held.
func (a *Account) tooMuchWaits() bool {
	a.pendMu.Lock()
	defer a.pendMu.Unlock()
	size := 0
	for _, o := range a.pending {
		size += 100
		if put, ok := o.(opPut); ok {
			size += len(put.summary)
		}
	}
	if size <= pendLimit {
		return false
	}
	a.pending = nil
	return true
}

// query reads from the index, with rows given to scan one by one; from a new one if it
// turns out to be damaged.
func (a *Account) query(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	db := a.db.Load()
	err := queryOnce(ctx, db, scan, query, args)
	if err == nil || ctx.Err() != nil {
		return err
	}
	a.flushMu.Lock()
	again := a.healed(db, err)
	a.flushMu.Unlock()
	if !again {
		return err
	}
	return queryOnce(ctx, a.db.Load(), scan, query, args)
}

func queryOnce(ctx context.Context, db *sqlite.DB, scan func(*sql.Rows) error, query string, args []any) error {
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// storedState is a mailbox's row.
type storedState struct {
	uidNext  UID
	highest  ModSeq
	recent   UID
	messages int64
	bytes    int64
	times    maildir.Times
	sets     []byte
}

func (a *Account) readState(ctx context.Context, validity uint32) (*storedState, error) {
	var found *storedState
	err := a.query(ctx, func(rows *sql.Rows) error {
		var st storedState
		found = &st
		return rows.Scan(&st.uidNext, &st.highest, &st.recent, &st.messages, &st.bytes, &st.times.New, &st.times.Cur, &st.sets)
	}, "SELECT uidnext, highest, recent, messages, bytes, time_new, time_cur, sets FROM mailbox WHERE validity=?", int64(validity))
	return found, err
}

// readTable reads a mailbox's table; nil when the index has none.
func (a *Account) readTable(ctx context.Context, validity uint32, flags *flagSets) (*Snapshot, error) {
	st, err := a.readState(ctx, validity)
	if st == nil || err != nil {
		return nil, err
	}
	if err := flags.parseSets(st.sets); err != nil {
		return nil, err
	}
	s := &Snapshot{
		UIDValidity: validity, UIDNext: st.uidNext, HighestModSeq: st.highest, FirstRecent: st.recent,
		Keywords: flags.keywords, sets: flags.sets, keys: flags.keys, times: st.times,
	}
	s.uids = make([]UID, 0, st.messages+chunkSize)
	err = a.query(ctx, func(rows *sql.Rows) error {
		var id int64
		var data sql.RawBytes
		if err := rows.Scan(&id, &data); err != nil {
			return err
		}
		c, err := parseChunk(UID(uint32(id)), data, s.sets)
		if err != nil {
			return err
		}
		s.addChunk(c)
		return nil
	}, "SELECT id, data FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id", rowID(validity, 0), rowID(validity, 1<<32-1))
	if err != nil {
		return nil, err
	}
	s.index()
	if int64(s.Len()) != st.messages || s.totals.disk != st.bytes || s.Len() > 0 && s.uids[s.Len()-1] >= s.UIDNext {
		return nil, errBlob
	}
	return s, nil
}

func (s *Snapshot) addChunk(c *chunk) {
	s.chunks = append(s.chunks, c)
	s.totals.addAll(c.totals, 1)
	for i := range c.recs {
		s.uids = append(s.uids, c.recs[i].uid)
	}
}

// writeTable writes what differs between the Snapshot that the index has, or nil, and s.
func writeTable(tx *sqlite.Tx, was, s *Snapshot) error {
	v := int64(s.UIDValidity)
	since := s.since
	if was == nil {
		since = s.HighestModSeq // nothing is known of what was before
	}
	_, err := tx.Exec(`INSERT INTO mailbox (validity, uidnext, highest, recent, since, messages, bytes, time_new, time_cur, sets)
		VALUES (?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (validity) DO UPDATE SET since=max(since, excluded.since), uidnext=excluded.uidnext, highest=excluded.highest, recent=excluded.recent,
		messages=excluded.messages, bytes=excluded.bytes, time_new=excluded.time_new, time_cur=excluded.time_cur, sets=excluded.sets`,
		v, int64(s.UIDNext), int64(s.HighestModSeq), int64(s.FirstRecent), int64(since), s.Len(), s.totals.disk,
		s.times.New, s.times.Cur, appendSets(nil, s.keys))
	if err != nil {
		return err
	}
	var old []*chunk
	if was != nil {
		old = was.chunks
	} else if _, err := tx.Exec("DELETE FROM chunk WHERE id BETWEEN ? AND ?", rowID(s.UIDValidity, 0), rowID(s.UIDValidity, 1<<32-1)); err != nil {
		return err
	}
	var blob []byte
	for _, c := range s.chunks {
		for len(old) > 0 && old[0].id < c.id {
			if err := deleteChunk(tx, s.UIDValidity, old[0].id); err != nil {
				return err
			}
			old = old[1:]
		}
		if len(old) > 0 && old[0].id == c.id {
			same := old[0] == c
			old = old[1:]
			if same {
				continue
			}
		}
		blob = c.appendBlob(blob[:0])
		if _, err := tx.Exec("INSERT OR REPLACE INTO chunk (id, data) VALUES (?,?)", rowID(s.UIDValidity, c.id), blob); err != nil {
			return err
		}
	}
	for _, c := range old {
		if err := deleteChunk(tx, s.UIDValidity, c.id); err != nil {
			return err
		}
	}
	return nil
}

// withoutFreshTimes leaves the times of the folder out if they are so young that a later
// change may still leave the same, or if an earlier one may have been missed: after a kill the index would pass for up to date.
// The Snapshot is then another than the mailbox's, so that the next flush writes it again.
func (s *Snapshot) withoutFreshTimes() *Snapshot {
	if age := time.Since(time.Unix(0, s.times.Latest())); age > clockStep && s.deaf.IsZero() || s.times == (maildir.Times{}) {
		return s
	}
	n := s.next()
	n.times = maildir.Times{}
	return n
}

func deleteChunk(tx *sqlite.Tx, validity uint32, id UID) error {
	_, err := tx.Exec("DELETE FROM chunk WHERE id=?", rowID(validity, id))
	return err
}

// op is one change of the index that waits to be written.
type op interface {
	write(tx *sqlite.Tx, a *Account) error
}

// pend adds changes that the next flush writes, in this order. It is called with the
// lock of the mailbox held that they belong to.
func (a *Account) pend(ops ...op) {
	a.pendMu.Lock()
	a.pending = append(a.pending, ops...)
	n := len(a.pending)
	a.pendMu.Unlock()
	if n >= flushSoon {
		a.s.kickRun()
	}
}

// flushSoon is how many changes make Run flush at once, flushNow how many make the
// operation itself do it, since Run doesn't keep up. Of what can't be written pendLimit octets may wait.
const (
	flushSoon = 256
	flushNow  = 8192
	pendLimit = 64 << 20
)

// flushIfMany flushes when so much waits that Run, if there is one, doesn't keep up. It is
// called without a mailbox's lock.
func (a *Account) flushIfMany(ctx context.Context) {
	a.pendMu.Lock()
	n := len(a.pending)
	a.pendMu.Unlock()
	if n < flushNow {
		return
	}
	a.tryFlush(context.WithoutCancel(ctx))
}

// tryFlush flushes, and logs the first of several errors in a row.
func (a *Account) tryFlush(ctx context.Context) bool {
	err := a.flush(ctx)
	if err != nil && ctx.Err() != nil {
		return false
	}
	if failed := a.flushFails.Swap(err != nil); err != nil && !failed {
		a.s.cfg.Log.Error("index not written; it is tried again, and the mail is safe", "account", a.name, "error", err)
	}
	return err == nil
}

// flush writes all changes to the index. It takes no mailbox's lock. After an error they
// still wait.
func (a *Account) flush(ctx context.Context) error {
	a.flushMu.Lock()
	defer a.flushMu.Unlock()
	db := a.db.Load()
	err := a.flushOnce(ctx, db)
	if err != nil && ctx.Err() == nil && a.healed(db, err) {
		err = a.flushOnce(ctx, a.db.Load())
	}
	return err
}

func (a *Account) flushOnce(ctx context.Context, db *sqlite.DB) error {
	type table struct {
		m       *Mailbox
		was, is *Snapshot
	}
	var tables []table
	for _, m := range a.allMailboxes() {
		if is := m.snap.Load(); is != nil && is.looked && is != m.flushed {
			tables = append(tables, table{m, m.flushed, is.withoutFreshTimes()})
		}
	}
	// After the tables: what one says to be expunged was pended before (forget), and the index must not have the one
	// without the other.
	a.pendMu.Lock()
	ops := a.pending
	a.pending = nil
	a.pendMu.Unlock()
	if len(ops) == 0 && len(tables) == 0 {
		return nil
	}
	err := db.Write(ctx, func(tx *sqlite.Tx) error {
		for _, o := range ops {
			if err := o.write(tx, a); err != nil {
				return err
			}
		}
		for _, t := range tables {
			if t.m.Gone() { // its rows have been removed just now
				continue
			}
			if err := writeTable(tx, t.was, t.is); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		a.pendMu.Lock()
		a.pending = append(ops, a.pending...)
		a.pendMu.Unlock()
		return fmt.Errorf("write index of %s: %w", a.name, diskError(err))
	}
	for _, t := range tables {
		t.m.flushed = t.is
	}
	return nil
}
