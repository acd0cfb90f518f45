package queue

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facteur/mta"
	"facteur/storage/message"
	"facteur/storage/sqlite"
)

func TestVerifyFindsPromisesThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, testConfig(t, map[string]Transport{"*": &peer{}}))
	ctx := context.Background()
	body := func(size int) *mta.Body {
		return mta.BodyBytes([]byte("Subject: x\r\n\r\n" + strings.Repeat("x", size) + "\r\n"))
	}
	for id, size := range map[mta.ID]int{"aaaa": 10, "bbbb": 10, "cccc": maxRow + 1, "dddd": 10} {
		to := []mta.Recipient{{Address: message.AddrSpec{Local: "a", Domain: "b.test"}}}
		if err := q.Add(ctx, &mta.Message{ID: id, Arrived: time.Now(), Env: mta.Envelope{To: to}, Body: body(size)}); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := q.Verify(ctx); err != nil || len(found) > 0 {
		t.Fatalf("nothing is wrong yet: %v, %v", found, err)
	}
	err := q.commit.do(func(tx *sqlite.Tx) error {
		if _, err := tx.Exec("DELETE FROM job WHERE message = (SELECT num FROM message WHERE id = 'aaaa')"); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM body WHERE message = (SELECT num FROM message WHERE id = 'bbbb')")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "spool", "cccc")); err != nil {
		t.Fatal(err)
	}
	found, err := q.Verify(ctx)
	if err != nil || len(found) != 3 || found[0].ID != "aaaa" || found[1].ID != "bbbb" || found[2].ID != "cccc" {
		t.Errorf("%v, %v", found, err)
	}
}
