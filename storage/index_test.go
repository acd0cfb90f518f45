package storage

import (
	"database/sql"
	"fmt"
	"sync"
	"testing"
)

// After a kill the index had lost a message, and didn't say that it was expunged. There is no step to stop at, so this goes by
// chance: nearly always within a second.
func TestIndexHasNoTableWithoutItsExpunges(t *testing.T) {
	s := testStore(t, fastDir(t))
	t.Cleanup(func() { s.Close() })
	s.openFS = openLazy
	a := testAccount(t, s)
	for i := range 100 { // to be looked at before the one that changes
		deliver(t, a, text(i), fmt.Sprint("Box", i))
	}
	deliver(t, a, text(0), "Work")
	m := box(t, a, "Work")
	var msgs []New
	for i := range 3000 {
		msgs = append(msgs, newMsg(text(i), Flags{System: Deleted}))
	}
	uids := appendTo(t, m, msgs...)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, uid := range uids {
			if _, err := m.Expunge(t.Context(), []UID{uid}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for done := false; !done; {
		if err := a.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		table, err := a.readTable(t.Context(), m.validity, newFlagSets(m.info.Keywords))
		if err != nil {
			t.Fatal(err)
		}
		done = table.Len() == 1
		gone := 0
		if err := a.query(t.Context(), func(rows *sql.Rows) error { return rows.Scan(&gone) },
			"SELECT coalesce(sum(last-first+1), 0) FROM gone WHERE validity=?", int64(m.validity)); err != nil {
			t.Fatal(err)
		}
		if missing := int(table.UIDNext) - 1 - table.Len(); gone < missing {
			t.Errorf("%d messages are missing in the index, %d are expunged", missing, gone)
			break
		}
	}
	wg.Wait()
}
