package queue

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"facteur/storage/sqlite"
)

// What Run has read lies behind it: these tests are about jobs that become due there.

// hook is a handler that calls do at each line of a message.
type hook struct {
	slog.Handler
	message string
	do      func()
}

func (h *hook) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == h.message {
		h.do()
	}
	return h.Handler.Handle(ctx, r)
}

// TestRetryWhileATryEnds: an operator's retry that comes when the result has been written down, and the job is still
// in memory.
func TestRetryWhileATryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up, retried atomic.Bool
		p := downUntil(&up)
		cfg := testConfig(t, map[string]Transport{"*": p})
		h := &hook{Handler: cfg.Log.Handler(), message: "message deferred"}
		cfg.Log = slog.New(h)
		q := open(t, t.TempDir(), cfg)
		h.do = func() {
			if retried.Swap(true) {
				return
			}
			up.Store(true)
			if n, err := q.Retry(context.Background(), Filter{}); n != 1 || err != nil {
				t.Errorf("retry: %d, %v", n, err)
			}
			time.Sleep(time.Second) // Run looks meanwhile
		}
		defer running(t, q)()
		synctest.Wait()
		add(t, q, newMail("a@home.test", "b@x.test"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(p.seen()); n != 2 {
			t.Errorf("tried %d times, want a second time by the retry", n)
		}
	})
}

// TestReleaseDuringAReading: a release that is written between what Run reads and where it goes on from there.
func TestReleaseDuringAReading(t *testing.T) {
	now := time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)
	cfg := testConfig(t, map[string]Transport{"*": &peer{}})
	cfg.Now = func() time.Time { return now }
	q := open(t, t.TempDir(), cfg)
	defer q.Close()
	held := newMail("a@home.test", "b@x.test")
	add(t, q, held)
	if n, err := q.Hold(t.Context(), Filter{ID: held.ID}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	released := now.Add(time.Second)
	now = now.Add(2 * time.Second)
	add(t, q, newMail("a@home.test", "c@y.test"))

	// Run reads; a release that has looked at the clock a moment earlier is written; Run goes on.
	from := q.sched.cursor
	jobs, err := q.heads(t.Context(), "SELECT num, next, dest FROM job WHERE held = 0 ORDER BY next, num")
	if err != nil || len(jobs) != 1 {
		t.Fatal(len(jobs), err)
	}
	now = released
	if n, err := q.Release(t.Context(), Filter{ID: held.ID}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	now = now.Add(time.Second)
	q.take(jobs, from, now)
	if q.sched.cursor.next >= micros(released) {
		t.Error("Run is past the released message, which it has not read")
	}
}

// TestResultsOfAFullDiskAreTriedAgain: results wait until they can be written down, for longer than until the next
// try, and Run reads on meanwhile.
func TestResultsOfAFullDiskAreTriedAgain(t *testing.T) {
	for _, lost := range []bool{false, true} {
		name := map[bool]string{false: "deferred", true: "unreadable"}[lost]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { fullDisk(t, lost) })
		})
	}
}

func fullDisk(t *testing.T, unreadable bool) {
	var up atomic.Bool
	p := downUntil(&up)
	dir := t.TempDir()
	q := open(t, dir, testConfig(t, map[string]Transport{"*": p}))
	write := func(statement string) {
		t.Helper()
		if err := q.db.Write(t.Context(), func(tx *sqlite.Tx) error { _, err := tx.Exec(statement); return err }); err != nil {
			t.Fatal(err)
		}
	}
	add(t, q, large("a@home.test", "b@x.test"))
	later := newMail("a@home.test", "c@y.test")
	later.Env.HoldUntil = time.Now().Add(2 * time.Hour)
	add(t, q, later)
	if unreadable {
		if err := os.Rename(dir+"/spool", dir+"/away"); err != nil {
			t.Fatal(err)
		}
	}
	write("CREATE TRIGGER full BEFORE UPDATE ON job BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
	defer running(t, q)()
	time.Sleep(3 * time.Hour)
	synctest.Wait()
	write("DROP TRIGGER full")
	if unreadable {
		if err := os.Rename(dir+"/away", dir+"/spool"); err != nil {
			t.Fatal(err)
		}
	}
	up.Store(true)
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	if left := jobs(t, q); len(left) != 0 {
		t.Errorf("nobody tries %+v", left)
	}
}
