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
)

// image copies the queue's files as a crash would leave them now: without Close, and
// without the shared memory that SQLite rebuilds.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.Mkdir(filepath.Join(to, "spool"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"queue.db", "queue.db-wal", "spool/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(dir, f)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, rel), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return to
}

// TestCrashAtEachStep: what a queue does that is opened on the files as they were
// after Add, while the peer had the message, and after its result was recorded.
func TestCrashAtEachStep(t *testing.T) {
	for _, large := range []bool{false, true} {
		name := "small"
		if large {
			name = "large"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crashSteps(t, large) })
		})
	}
}

// TestLostDatabaseKeepsTheSpool: a queue.db that has vanished is no reason to sweep what it spoke of.
func TestLostDatabaseKeepsTheSpool(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, testConfig(t, map[string]Transport{"*": &peer{}}))
	m := newMail("a@home.test", "b@x.test")
	m.Body = mta.BodyBytes([]byte("Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", 100000)))
	add(t, q, m)
	spool := filepath.Join(image(t, dir), "spool")
	lost := filepath.Dir(spool)
	if err := errors.Join(os.Remove(filepath.Join(lost, "queue.db")), os.Remove(filepath.Join(lost, "queue.db-wal"))); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first must not leave a database behind for the second
		if _, err := Open(lost, testConfig(t, nil)); err == nil || !strings.Contains(err.Error(), "backup of queue.db") {
			t.Fatalf("opened without its database: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(spool, string(m.ID))); err != nil {
		t.Error(err)
	}
	if err := os.Rename(spool, filepath.Join(lost, "old")); err != nil { // what the error proposes
		t.Fatal(err)
	}
	open(t, lost, testConfig(t, nil))
}

func crashSteps(t *testing.T, large bool) {
	dir := t.TempDir()
	var once, onceHome sync.Once
	var during, reporting string
	away := &peer{answer: func(*mta.Message, mta.Recipient) mta.Result {
		once.Do(func() { during = image(t, dir) })
		return mta.Result{RemoteMTA: "mx.test", Err: mta.NewReply(550, [3]int{5, 1, 1}, "no")}
	}}
	home := &peer{answer: func(*mta.Message, mta.Recipient) mta.Result {
		onceHome.Do(func() { reporting = image(t, dir) })
		return mta.Result{}
	}}
	table := map[string]Transport{"*": away, "home.test": home}
	q := open(t, dir, testConfig(t, table))
	m := newMail("a@home.test", "b@x.test")
	if large {
		m.Body = mta.BodyBytes([]byte("Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", 100000)))
	}
	add(t, q, m)
	added := image(t, dir)
	stop := running(t, q)
	synctest.Wait()
	delivered := image(t, dir)
	stop()

	for _, step := range []struct {
		name           string
		dir            string
		tried, reports int
	}{
		{"after Add", added, 1, 1},
		{"while the peer answered", during, 1, 1}, // the window of RFC 1047
		{"while the report went out", reporting, 0, 1},
		{"after the record of the report", delivered, 0, 0},
	} {
		again, home := &peer{answer: failWith(550, [3]int{5, 1, 1}, "no")}, &peer{}
		q := open(t, step.dir, testConfig(t, map[string]Transport{"*": again, "home.test": home}))
		stop := running(t, q)
		synctest.Wait()
		if got := again.seen(); len(got) != step.tried || len(home.seen()) != step.reports {
			t.Errorf("crash %s: tried %d times, %d reports; want %d and %d", step.name, len(got), len(home.seen()), step.tried, step.reports)
		}
		if left := jobs(t, q); len(left) != 0 {
			t.Errorf("crash %s: left %+v", step.name, left)
		}
		stop()
	}
}
