package queue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"facteur/mta"
	"facteur/storage/sqlite"
)

// TestFilterByRecipient: a part of an address is taken literally, and looked for in addresses only.
func TestFilterByRecipient(t *testing.T) {
	q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": &peer{}}))
	defer q.Close()
	for _, to := range []string{"a_b@x.test", "aXb@x.test", "100%@x.test", "r&d@x.test", "Carol@y.test"} {
		m := newMail("", to)
		m.Env.To[0].ORCPT = "rfc822;orig@old.test"
		add(t, q, m)
	}
	for part, want := range map[string]string{
		"a_b@x.test": "a_b@x.test", "%": "100%@x.test", "r&d@": "r&d@x.test", "carol@Y": "Carol@y.test", "b@x.test": "a_b@x.test aXb@x.test",
		"orig": "", "rfc822": "", `"`: "",
	} {
		items, err := q.List(t.Context(), Filter{Recipient: part})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, it := range items {
			got = append(got, it.Recipients...)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", part, got, want)
		}
	}
}

// TestDropInATransactionThatIsRunAgain: what the first run came to counts no more. It had seen the message's other job end, so
// that the text was removed while that job was still in the queue.
func TestDropInATransactionThatIsRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		q := open(t, dir, testConfig(t, map[string]Transport{"*": &peer{}}))
		defer q.Close()
		m := newMail("", "b@x.test", "c@y.test")
		m.Body = mta.BodyBytes([]byte("\r\n" + strings.Repeat("0123456789\r\n", 100_000)))
		add(t, q, m)
		x := jobs(t, q)[0].Job

		full := errors.New("disk full")
		runs := 0
		goOn := make(chan bool)
		var all sync.WaitGroup
		for _, change := range []func(){
			func() { q.commit.do(func(*sqlite.Tx) error { <-goOn; return nil }) }, // the others wait together
			func() {
				q.commit.do(func(tx *sqlite.Tx) error {
					if runs++; runs > 1 {
						return full
					}
					_, err := tx.Exec("DELETE FROM job WHERE num = ?", x)
					return err
				})
			},
			func() { q.Drop(t.Context(), Filter{Dest: "y.test"}) },
			func() { q.commit.do(func(*sqlite.Tx) error { return full }) },
		} {
			all.Go(change)
			synctest.Wait()
		}
		close(goOn)
		all.Wait()
		if left := jobs(t, q); runs != 2 || len(left) != 1 || left[0].Job != x {
			t.Fatalf("after %d runs left: %+v", runs, left)
		}
		if _, err := os.Stat(filepath.Join(dir, "spool", string(m.ID))); err != nil {
			t.Error(err)
		}
	})
}
