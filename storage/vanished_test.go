package storage

import (
	"slices"
	"sync"
	"testing"

	"facteur/storage/sqlite"
)

// Expunges that tidy removed between the two statements of Vanished were missing in what passed for complete. There is no
// step to stop at, so this goes by chance: nearly always within some hundred rounds.
func TestVanishedWhileOldExpungesAreForgotten(t *testing.T) {
	a := newAccount(t)
	deliver(t, a, text(1))
	m := box(t, a, "INBOX")
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		err := a.db.Load().Write(t.Context(), func(tx *sqlite.Tx) error {
			if _, err := tx.Exec("UPDATE mailbox SET since=0"); err != nil {
				return err
			}
			_, err := tx.Exec("INSERT OR REPLACE INTO gone (validity, modseq, first, last) VALUES (?,5,7,8)", int64(m.validity))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := a.tidy(t.Context()); err != nil {
				t.Error(err)
			}
		})
		gone, complete, err := m.Vanished(t.Context(), 1)
		wg.Wait()
		if err != nil || complete && !slices.Equal(gone, []UID{7, 8}) {
			t.Fatal(gone, complete, err)
		}
	}
}
