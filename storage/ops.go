package storage

import (
	"facteur/storage/sqlite"
)

// opPut adds a message's details.
type opPut struct {
	validity uint32
	uid      UID
	saved    int64
	email    string
	summary  []byte
	refs     references
}

func (o opPut) write(tx *sqlite.Tx, _ *Account) error {
	thread, err := o.refs.thread(tx, o.email)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT OR REPLACE INTO detail (id, thread, saved, summary) VALUES (?,?,?,?)",
		rowID(o.validity, o.uid), int64(thread), o.saved, o.summary)
	return err
}

// opCopy copies the details of n messages with UIDs in a row to others, or moves them.
type opCopy struct {
	from, to int64 // the first rows
	n        int64
	saved    int64
	move     bool
}

func (o opCopy) write(tx *sqlite.Tx, _ *Account) error {
	query := "INSERT OR REPLACE INTO detail (id, thread, saved, summary) SELECT id+?, thread, ?, summary FROM detail WHERE id BETWEEN ? AND ?"
	if o.move {
		query = "UPDATE OR REPLACE detail SET id=id+?, saved=? WHERE id BETWEEN ? AND ?"
	}
	_, err := tx.Exec(query, o.to-o.from, o.saved, o.from, o.from+o.n-1)
	return err
}

// maxRun bounds what SQLite copies aside to insert into the table that it reads.
const maxRun = 256

// pendCopies notes what was copied or moved, as runs: one statement for each.
func (a *Account) pendCopies(from, to uint32, pairs []UIDPair, saved int64, move bool) {
	var ops []op
	for i := 0; i < len(pairs); {
		j := i
		for j+1 < len(pairs) && j+1-i < maxRun && pairs[j+1].From == pairs[j].From+1 && pairs[j+1].To == pairs[j].To+1 {
			j++
		}
		ops = append(ops, opCopy{rowID(from, pairs[i].From), rowID(to, pairs[i].To), int64(j + 1 - i), saved, move})
		i = j + 1
	}
	a.pend(ops...)
}

// opGone notes expunged UIDs, and removes their details.
type opGone struct {
	validity    uint32
	modseq      ModSeq
	first, last UID
}

func (o opGone) write(tx *sqlite.Tx, a *Account) error {
	_, err := tx.Exec("INSERT OR REPLACE INTO gone (validity, modseq, first, last) VALUES (?,?,?,?)",
		int64(o.validity), int64(o.modseq), int64(o.first), int64(o.last))
	if err != nil {
		return err
	}
	return removeRows(tx, a, o.validity, o.first, o.last)
}

// opDropped removes all that the index has of a mailbox.
type opDropped struct{ validity uint32 }

func (o opDropped) write(tx *sqlite.Tx, a *Account) error {
	for _, query := range []string{
		"DELETE FROM mailbox WHERE validity=?",
		"DELETE FROM gone WHERE validity=?",
		"DELETE FROM indexed WHERE validity=?",
	} {
		if _, err := tx.Exec(query, int64(o.validity)); err != nil {
			return err
		}
	}
	if _, err := tx.Exec("DELETE FROM chunk WHERE id BETWEEN ? AND ?", rowID(o.validity, 0), rowID(o.validity, 1<<32-1)); err != nil {
		return err
	}
	return removeRows(tx, a, o.validity, 0, 1<<32-1)
}

func removeRows(tx *sqlite.Tx, a *Account, validity uint32, first, last UID) error {
	lo, hi := rowID(validity, first), rowID(validity, last)
	if _, err := tx.Exec("DELETE FROM detail WHERE id BETWEEN ? AND ?", lo, hi); err != nil {
		return err
	}
	if !a.fulltext.Load() {
		return nil
	}
	_, err := tx.Exec("DELETE FROM fts WHERE rowid BETWEEN ? AND ?", lo, hi)
	return err
}

// pendGone notes expunged UIDs, ascending, as runs.
func (a *Account) pendGone(validity uint32, modseq ModSeq, uids []UID) {
	var ops []op
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1] == uids[j]+1 {
			j++
		}
		ops = append(ops, opGone{validity, modseq, uids[i], uids[j]})
		i = j + 1
	}
	a.pend(ops...)
}
