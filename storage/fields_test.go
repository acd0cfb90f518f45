package storage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mbsync and OfflineIMAP keep their UIDs in the names of files: without them they take a message for a new one, and store it twice
// on the other side.
func TestFieldsThatOthersAddToANameAreKept(t *testing.T) {
	dir := fastDir(t)
	s := testStore(t, dir)
	s.openFS = openLazy
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	put(t, filepath.Join(a.path, "cur", "1700000001.M1P2.other:2,"), text(0))
	m = box(t, a, "INBOX")
	for i := range 300 {
		deliver(t, a, text(i))
	}
	email := func(uid UID) string {
		for d, err := range m.Details(t.Context(), []UID{uid}) {
			if err != nil {
				t.Fatal(err)
			}
			return d.EmailID()
		}
		t.Fatal("no details of", uid)
		return ""
	}
	touched := []UID{1, 2, 40, 290}
	was := map[UID]string{}
	for i, uid := range touched {
		was[uid] = email(uid)
		name := fileOf(t, m, uid)
		head, letters, _ := strings.Cut(filepath.Base(name), ":2,")
		field := ",U=" + string(rune('1'+i))
		if err := os.Rename(name, filepath.Join(a.path, "cur", head+field+":2,"+letters+"F")); err != nil {
			t.Fatal(err)
		}
	}
	modseq := m.Snapshot().HighestModSeq
	m = box(t, a, "INBOX")
	check := func(m *Mailbox) {
		t.Helper()
		for i, uid := range touched {
			name := filepath.Base(fileOf(t, m, uid))
			if !strings.Contains(name, ",U="+string(rune('1'+i))+":2,") {
				t.Errorf("%d is called %s", uid, name)
			}
			if read(t, m, uid) == "" || email(uid) != was[uid] {
				t.Errorf("%d was %s, is %s", uid, was[uid], email(uid))
			}
		}
	}
	check(m)
	n := 0
	for range m.Snapshot().ChangedSince(modseq) {
		n++
	}
	if n != len(touched) || m.Snapshot().Len() != 301 {
		t.Errorf("%d of %d messages changed", n, m.Snapshot().Len())
	}
	if _, err := m.Store(t.Context(), touched, FlagsAdd, Flags{System: Seen}, nil); err != nil {
		t.Fatal(err)
	}
	check(m)
	mustAgree(t, a)
	before := state(t, a)
	path := a.path
	for _, lost := range []bool{false, true} {
		s.Close()
		if lost {
			os.Remove(filepath.Join(path, indexFile))
		}
		s = testStore(t, dir)
		a = testAccount(t, s)
		m = box(t, a, "INBOX")
		check(m)
		if after := state(t, a); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		mustAgree(t, a)
	}
	s.Close()
}
