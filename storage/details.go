package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"facteur/storage/maildir"
)

const (
	detailsAtOnce = 128 // rows read before any is handed out: no reader waits for a client
)

type detailRow struct {
	uid     UID
	thread  uint64
	saved   int64
	summary string
}

// Details reads the index for the given UIDs, ascending, and passes over those that
// are gone, or whose files can't be read. What is handed out is only good until the next step, but for its strings.
func (m *Mailbox) Details(ctx context.Context, uids []UID) iter.Seq2[*Details, error] {
	return func(yield func(*Details, error) bool) {
		m.a.tryFlush(ctx) // on a full disk: what the index has can still be read, the rest be worked out
		for part := range slices.Chunk(sortedUIDs(uids), detailsAtOnce) {
			rows, err := m.completeDetails(ctx, part)
			if err != nil {
				yield(nil, fmt.Errorf("read details in mailbox %q: %w", m.Name(), err))
				return
			}
			if !m.yieldDetails(part, rows, yield) {
				return
			}
		}
	}
}

// yieldDetails hands out what rows say of uids, both ascending, with one Details for all.
func (m *Mailbox) yieldDetails(uids []UID, rows []detailRow, yield func(*Details, error) bool) bool {
	s := m.Snapshot()
	var d Details
	for _, uid := range uids {
		for len(rows) > 0 && rows[0].uid < uid {
			rows = rows[1:]
		}
		pos, ok := s.Find(uid)
		if !ok || len(rows) == 0 || rows[0].uid != uid {
			continue
		}
		_, c, k := s.at(pos)
		d = Details{UID: uid, Base: c.baseOctets(k), Thread: rows[0].thread, Saved: time.Unix(rows[0].saved, 0), Summary: rows[0].summary}
		if !yield(&d, nil) {
			return false
		}
	}
	return true
}

func (r detailRow) compare(uid UID) int { return int(int64(r.uid) - int64(uid)) }

// unreadable reports whether a file can't be read however often one tries: another user's, a bad sector, a link that leads
// nowhere.
func unreadable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ELOOP)
}

// completeDetails reads rows of uids; those that the index has lost are worked out again
// from the files, and given back to it.
func (m *Mailbox) completeDetails(ctx context.Context, uids []UID) ([]detailRow, error) {
	rows, err := m.readDetails(ctx, uids)
	if err != nil {
		return nil, err
	}
	var again []detailRow
	var puts []op
	for _, uid := range uids {
		if _, ok := slices.BinarySearchFunc(rows, uid, detailRow.compare); ok {
			continue
		}
		row, put, err := m.recompute(uid)
		if errors.Is(err, ErrGone) {
			continue
		}
		if unreadable(err) { // the others are to be had all the same
			m.a.s.cfg.Log.Error("a message can't be read", "account", m.a.name, "mailbox", m.Name(), "uid", uid, "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		again, puts = append(again, row), append(puts, put)
	}
	if len(again) == 0 {
		return rows, nil
	}
	if !m.a.flushFails.Load() { // else they may wait there already
		m.a.pend(puts...)
		if m.a.tryFlush(ctx) {
			return m.readDetails(ctx, uids) // the index knows the threads
		}
	}
	rows = append(rows, again...)
	slices.SortFunc(rows, func(x, y detailRow) int { return x.compare(y.uid) })
	return rows, nil
}

// packedDetails gives many rows of the index as one: numbers, four for each message, and the
// summaries on end. A step through a row costs a call into C, several allocations and
// some locks on the way through database/sql: more than all else that is done for a message.
// (group_concat carries NULs and what is no UTF-8 as they are; parseDetails checks the lengths.)
const packedDetails = `SELECT coalesce(group_concat(id || ' ' || thread || ' ' || saved || ' ' || length(summary), ' '), ''),
	coalesce(group_concat(CAST(summary AS TEXT), ''), '')
	FROM (SELECT id, thread, saved, summary FROM detail WHERE id `

// Rows that stand together are read faster from first to last, and those that are far
// apart faster by their numbers, in one statement too: what a search finds in the full-text
// index is often one message in fifty.
const (
	detailsBetween = packedDetails + "BETWEEN ? AND ? ORDER BY id)"
	detailsAmong   = packedDetails + "IN (SELECT value FROM json_each(?)) ORDER BY id)"
)

// readDetails reads rows of uids, which are few, ascending.
func (m *Mailbox) readDetails(ctx context.Context, uids []UID) ([]detailRow, error) {
	query, args := m.detailsQuery(uids)
	out := make([]detailRow, 0, len(uids))
	err := m.a.query(ctx, func(rows *sql.Rows) error {
		var numbers, summaries string
		err := rows.Scan(&numbers, &summaries)
		if err == nil {
			out, err = parseDetails(out, numbers, summaries)
		}
		return err
	}, query, args...)
	return out, err
}

func (m *Mailbox) detailsQuery(uids []UID) (string, []any) {
	first, last := uids[0], uids[len(uids)-1]
	if int(last-first) < 2*len(uids) {
		return detailsBetween, []any{rowID(m.validity, first), rowID(m.validity, last)}
	}
	list := []byte{'['}
	for _, uid := range uids {
		list = append(strconv.AppendInt(list, rowID(m.validity, uid), 10), ',')
	}
	list[len(list)-1] = ']'
	return detailsAmong, []any{string(list)}
}

// parseDetails appends the rows that packedDetails gave.
func parseDetails(out []detailRow, numbers, summaries string) ([]detailRow, error) {
	for numbers != "" {
		var n [4]int64
		for i := range n {
			var word string
			var err error
			word, numbers, _ = strings.Cut(numbers, " ")
			if n[i], err = strconv.ParseInt(word, 10, 64); err != nil {
				return nil, errBlob
			}
		}
		if n[3] < 0 || n[3] > int64(len(summaries)) {
			return nil, errBlob
		}
		d := detailRow{UID(uint32(n[0])), uint64(n[1]), n[2], summaries[:n[3]]}
		if len(out) > 0 && d.uid <= out[len(out)-1].uid {
			return nil, errBlob
		}
		out, summaries = append(out, d), summaries[n[3]:]
	}
	if summaries != "" {
		return nil, errBlob
	}
	return out, nil
}

// recompute works out a message's details from its file.
func (m *Mailbox) recompute(uid UID) (detailRow, op, error) {
	f, err := m.Open(uid)
	if err != nil {
		return detailRow{}, nil, err
	}
	defer f.Close()
	sum, err := m.a.s.summarize(f, f.Size())
	if err != nil {
		return detailRow{}, nil, fmt.Errorf("summarize UID %d: %w", uid, err)
	}
	s := m.Snapshot()
	pos, ok := s.Find(uid)
	if !ok {
		return detailRow{}, nil, ErrGone
	}
	_, c, k := s.at(pos)
	base := c.base(k)
	put := opPut{m.validity, uid, maildir.TimeOf(base), emailID(base), sum.AppendBinary(nil), referencesOf(&sum.Envelope)}
	return detailRow{uid, put.refs.guess(put.email), put.saved, string(put.summary)}, put, nil
}

// vanishedQuery is one statement, since tidy may forget old rows meanwhile: they would be missing in an answer that is complete by an
// earlier bound.
const vanishedQuery = `SELECT since, first, last FROM mailbox LEFT JOIN gone ON gone.validity=mailbox.validity AND modseq>?
	WHERE mailbox.validity=?`

// Vanished lists the UIDs expunged after since, ascending (RFC 7162 3.2). complete is
// false when the index doesn't reach back that far: then every UID below UIDNext that
// is not in the mailbox has to be taken for expunged.
func (m *Mailbox) Vanished(ctx context.Context, since ModSeq) (uids []UID, complete bool, err error) {
	if err := m.a.flush(ctx); err != nil {
		return nil, false, err
	}
	from := int64(-1)
	err = m.a.query(ctx, func(rows *sql.Rows) error {
		var first, last sql.NullInt64 // NULL: nothing has vanished
		err := rows.Scan(&from, &first, &last)
		for uid := first.Int64; first.Valid && uid <= last.Int64; uid++ {
			uids = append(uids, UID(uid))
		}
		return err
	}, vanishedQuery, int64(min(since, 1<<62)), int64(m.validity))
	if err != nil {
		return nil, false, fmt.Errorf("read what vanished from %q: %w", m.Name(), err)
	}
	slices.Sort(uids)
	return slices.Compact(uids), from >= 0 && since >= ModSeq(from), nil
}
