package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"facteur/storage/sqlite"
)

// hurtIndex makes every write fail, without SQLite taking the file for damaged.
func hurtIndex(t *testing.T, a *Account) {
	t.Helper()
	err := a.db.Load().Write(t.Context(), func(tx *sqlite.Tx) error { _, err := tx.Exec("DROP TABLE detail"); return err })
	if err != nil {
		t.Fatal(err)
	}
}

// pendMuch has more changes wait than may.
func pendMuch(a *Account) {
	big := make([]byte, 1<<20)
	for uid := range UID(1 + pendLimit>>20) {
		a.pend(opPut{validity: 1, uid: uid, summary: big})
	}
}

// What waited for an index that couldn't be written grew until memory was full, and each delivery tried to write all of it.
func TestIndexThatCanNotBeWrittenIsMadeAgain(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	for i := range 3 {
		deliver(t, a, text(i))
	}
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := m.Snapshot().HighestModSeq
	hurtIndex(t, a)
	deliver(t, a, text(3))
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Deleted}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := a.flush(t.Context()); err == nil {
		t.Fatal("the index can be written: this shows nothing")
	}
	pendMuch(a)
	deliver(t, a, text(4))
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range m.Details(t.Context(), m.Snapshot().UIDs()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d of 4", n)
	}
	if gone, complete, err := m.Vanished(t.Context(), seen); err != nil || complete {
		t.Error("complete, and the index was lost:", gone, complete, err)
	}
	mustAgree(t, a)
}

// An index that couldn't be made anew at once never was, as long as its account was in use.
func TestIndexThatCanNotBeMadeAgainAtOnce(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	hurtIndex(t, a)
	path := filepath.Join(a.path, indexFile)
	if err := errors.Join(os.Rename(path, path+".aside"), os.MkdirAll(filepath.Join(path, "in the way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		pendMuch(a)
		deliver(t, a, text(2+round))
		if err := a.flush(t.Context()); err == nil {
			t.Fatal("the index can be made: this shows nothing")
		}
		if n := len(a.pending); n > 0 {
			t.Errorf("%d changes wait", n)
		}
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range m.Details(t.Context(), m.Snapshot().UIDs()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d of 4", n)
	}
	mustAgree(t, a)
}
