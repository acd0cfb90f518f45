package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// The full-text index keeps for every three characters in a row in which messages, and in
// which of the three fields, they occur. It holds no text and no positions: what it
// finds are candidates. Run fills it behind deliveries.
const fulltextSchema = `CREATE VIRTUAL TABLE IF NOT EXISTS fts USING fts5(
	subject, addresses, body, content='', contentless_delete=1, detail=column,
	tokenize='trigram case_sensitive 1')`

const (
	textLimit = 1 << 20 // octets of a message's text that are indexed
	// What is indexed in one transaction: much, since each leaves a segment that SQLite has to merge with others later;
	// but no more than some 20 ms of work, which a delivery's row may have to wait for.
	textBatch       = 128       // messages
	textBatchOctets = 128 << 10 // of text
)

// TextField says where FullText looks.
type TextField uint8

const (
	TextSubject TextField = 1 << iota
	TextAddresses
	TextBody
)

func (f TextField) columns() string {
	var names []string
	for i, name := range [...]string{"subject", "addresses", "body"} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// openFullText finds out whether there is a full-text index.
func (a *Account) openFullText() {
	if !a.s.cfg.FullText {
		return
	}
	err := a.db.Load().Write(context.Background(), func(tx *sqlite.Tx) error {
		if _, err := tx.Exec(fulltextSchema); err != nil {
			return err
		}
		_, err := tx.Exec("SELECT rowid FROM fts LIMIT 0") // another binary may have made it
		return err
	})
	a.fulltext.Store(err == nil)
	if err != nil {
		a.s.noFullText.Do(func() {
			a.s.cfg.Log.Warn("no full-text index: searching bodies will be slow; build with -tags sqlite_fts5", "error", err)
		})
	}
}

// tooMuch stands in the index of a message of which not all text is in it: such a message
// is always a candidate. (A text that has these characters itself does no harm.)
const tooMuch = "\uf8ff\uf8ff\uf8ff"

// indexForm is how text goes into the index. Its tokenizer stops at a NUL.
func indexForm(s string) string {
	if len(s) > textLimit-utf8.UTFMax {
		s += tooMuch
	}
	return strings.ReplaceAll(message.Fold(s), "\x00", " ")
}

// candidatesQuery gives all in one row, as packedDetails does.
const candidatesQuery = `SELECT coalesce(group_concat(rowid & 0xffffffff, ' '), '')
	FROM (SELECT rowid FROM fts WHERE fts MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid)`

// FullText returns the UIDs of messages that may hold the needle in one of the
// fields, ascending: a superset, to be checked against the messages. Those of
// unindexed have to be checked in any case. ok is false when the index can't tell (a
// needle under three characters, or no full-text index): check every message.
func (m *Mailbox) FullText(ctx context.Context, fields TextField, needle string) (candidates, unindexed []UID, ok bool, err error) {
	match := matchExpr(fields, needle)
	if !m.a.fulltext.Load() || match == "" {
		return nil, nil, false, nil
	}
	upTo, err := m.indexedUpTo(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	s := m.Snapshot()
	from, _ := s.Find(upTo + 1)
	err = m.a.query(ctx, func(rows *sql.Rows) error {
		var list string
		if err := rows.Scan(&list); err != nil {
			return err
		}
		for word := range strings.FieldsSeq(list) {
			id, err := strconv.ParseUint(word, 10, 32)
			if err != nil {
				return err
			}
			if _, ok := s.Find(UID(id)); ok {
				candidates = append(candidates, UID(id))
			}
		}
		return nil
	}, candidatesQuery, match, rowID(m.validity, 0), rowID(m.validity, upTo))
	if err != nil {
		return nil, nil, false, fmt.Errorf("search text in mailbox %q: %w", m.Name(), err)
	}
	return candidates, slices.Clone(s.uids[from:]), true, nil
}

// matchExpr asks for threes of characters in the needle; "" when it has none. For each of them
// SQLite goes through the list of all messages that hold it anywhere, which is most of
// what a search over subject and addresses costs; checking one candidate too many costs next to
// nothing. So then it asks for threes that stand side by side. In a body, where a candidate
// is a file to be read, all of them are worth it.
func matchExpr(fields TextField, needle string) string {
	runes := []rune(message.Fold(needle))
	if len(runes) < 3 || fields == 0 || slices.Contains(runes, utf8.RuneError) || slices.Contains(runes, 0) {
		return ""
	}
	var b strings.Builder
	b.WriteString("({" + fields.columns() + "} : ")
	seen := map[string]bool{}
	step := 1
	if fields&TextBody == 0 {
		step = 3
	}
	for i := 0; i < len(runes) && len(seen) < 64; i += step {
		at := min(i, len(runes)-3)
		three := string(runes[at : at+3])
		if seen[three] {
			continue
		}
		if len(seen) > 0 {
			b.WriteString(" AND ")
		}
		seen[three] = true
		b.WriteString(`"` + strings.ReplaceAll(three, `"`, `""`) + `"`)
	}
	return b.String() + `) OR "` + tooMuch + `"`
}

// indexedUpTo is the UID up to which the full-text index has been filled.
func (m *Mailbox) indexedUpTo(ctx context.Context) (UID, error) {
	var uid int64
	err := m.a.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&uid) }, "SELECT uid FROM indexed WHERE validity=?", int64(m.validity))
	return UID(uid), err
}

type indexedText struct {
	uid                      UID
	subject, addresses, body string
}

// indexSome indexes the text of the next few messages, and reports whether there were any and
// whether there are more.
func (m *Mailbox) indexSome(ctx context.Context) (did, more bool, err error) {
	s := m.Snapshot()
	if s == nil || !m.a.fulltext.Load() || m.Gone() || m.indexed.Load() >= uint32(s.UIDNext-1) {
		return false, false, nil
	}
	upTo, err := m.indexedUpTo(ctx)
	if err != nil {
		return false, false, err
	}
	from, _ := s.Find(upTo + 1)
	last := UID(s.UIDNext - 1)
	var texts []indexedText
	octets := 0
	for i := from; i < s.Len(); i++ {
		if len(texts) == textBatch || octets >= textBatchOctets {
			last = s.uids[i] - 1
			more = true
			break
		}
		if t, ok := m.textOf(s.uids[i]); ok {
			texts = append(texts, t)
			octets += len(t.subject) + len(t.addresses) + len(t.body)
		}
	}
	err = m.a.db.Load().Write(ctx, func(tx *sqlite.Tx) error {
		if m.Gone() { // its rows have been removed, or will be: none may come after that
			return nil
		}
		for _, t := range texts {
			id := rowID(m.validity, t.uid)
			if _, err := tx.Exec("INSERT OR REPLACE INTO fts (rowid, subject, addresses, body) VALUES (?,?,?,?)", id, t.subject, t.addresses, t.body); err != nil {
				return err
			}
		}
		_, err := tx.Exec("INSERT OR REPLACE INTO indexed (validity, uid) VALUES (?,?)", int64(m.validity), int64(last))
		return err
	})
	if err == nil {
		m.indexed.Store(uint32(last))
	}
	return true, more, err
}

// textOf reads the text of a message, to be indexed.
func (m *Mailbox) textOf(uid UID) (indexedText, bool) {
	f, err := m.Open(uid)
	if err == nil {
		defer f.Close()
		var t message.SearchText
		if t, err = m.a.s.extract(f, f.Size(), textLimit); err == nil {
			if t.Cut {
				t.Body += tooMuch
			}
			return indexedText{uid, indexForm(t.Subject), indexForm(t.Addresses), indexForm(t.Body)}, true
		}
	}
	if errors.Is(err, ErrGone) {
		return indexedText{}, false
	}
	m.a.s.cfg.Log.Warn("text not indexed", "account", m.a.name, "mailbox", m.Name(), "uid", uid, "error", err)
	return indexedText{uid, tooMuch, tooMuch, tooMuch}, true
}
