package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"facteur/mta"
	"facteur/storage/sqlite"
)

func TestLaneLearns(t *testing.T) {
	ok := mta.Result{RemoteMTA: "mx"}
	refused := mta.Result{RemoteMTA: "mx", Err: mta.NewReply(550, [3]int{5, 1, 1}, "no")}
	full := mta.Result{RemoteMTA: "mx", Err: mta.NewReply(452, [3]int{4, 2, 2}, "full")}
	busy := mta.Result{RemoteMTA: "mx", Err: mta.NewReply(421, [3]int{4, 3, 2}, "busy")}
	policy := mta.Result{Err: mta.NewReply(451, [3]int{4, 7, 5}, "no TLS as the domain's policy demands")}
	dead := mta.Result{Unreachable: true, Err: mta.NewReply(451, [3]int{4, 4, 1}, "dead")}
	now := time.Now()
	for _, tt := range []struct {
		name  string
		tries [][]mta.Result
		limit int
		pause time.Duration
		down  bool
	}{
		{"nothing yet", nil, 4, 0, false},
		{"grows with success", slices.Repeat([][]mta.Result{{ok}}, 50), 10, 0, false},
		{"up to the maximum", slices.Repeat([][]mta.Result{{ok}}, 500), 20, 0, false},
		{"a refusal is an answer too", slices.Repeat([][]mta.Result{{refused}}, 50), 10, 0, false},
		{"a full mailbox halves", [][]mta.Result{{full}}, 2, 0, false},
		{"one success among failures is success", [][]mta.Result{{full, ok, full}}, 4, 0, false},
		{"421 halves and pauses", [][]mta.Result{{busy}}, 2, time.Second, false},
		{"longer each time", slices.Repeat([][]mta.Result{{busy}}, 4), 1, 8 * time.Second, false},
		{"a policy is no wish for less", [][]mta.Result{{policy}}, 2, 0, false}, // TLS-Required: No may get through
		{"but not for ever", slices.Repeat([][]mta.Result{{busy}}, 40), 1, 30 * time.Second, false},
		{"success ends the pause", [][]mta.Result{{busy}, {ok}}, 2, 0, false},
		{"unreachable", [][]mta.Result{{dead}}, 1, 0, true},
		{"back again", [][]mta.Result{{dead}, {ok}}, 2, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &lane{limit: firstLimit}
			for _, results := range tt.tries {
				l.learn(results, 30*time.Second, now)
			}
			if int(l.limit) != tt.limit || l.pause != tt.pause || l.isDown(now) != tt.down {
				t.Errorf("limit %v, pause %v, down %t", l.limit, l.pause, l.isDown(now))
			}
		})
	}
}

func TestRouteOverridesSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{answer: failWith(451, [3]int{4, 2, 0}, "later")}
		cfg := testConfig(t, nil)
		cfg.Route = func(domain string) Route {
			r := Route{Transport: p, Key: domain}
			if domain == "x.test" {
				r.Schedule = Schedule{First: time.Minute, GiveUp: 10 * time.Minute}
			}
			return r
		}
		q := open(t, t.TempDir(), cfg)
		defer running(t, q)()
		add(t, q, newMail("", "b@x.test"))
		add(t, q, newMail("", "b@y.test"))
		time.Sleep(time.Hour)
		synctest.Wait()
		tries := map[string][]time.Time{}
		for _, call := range p.seen() {
			tries[call.to[0]] = append(tries[call.to[0]], call.at)
		}
		x, y := tries["b@x.test"], tries["b@y.test"]
		if n := len(x); n < 4 || x[n-1].Sub(x[0]) < 10*time.Minute || x[n-1].Sub(x[0]) > 11*time.Minute {
			t.Errorf("with a schedule of its own: %d tries, the last after %v", n, x[n-1].Sub(x[0]))
		}
		if len(y) < 2 || y[1].Sub(y[0]) < 4*time.Minute {
			t.Errorf("without: %v", y)
		}
	})
}

func TestRoutesOfTodayCountNotThoseOfTheDayBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		hub := &peer{answer: failWith(451, [3]int{4, 2, 0}, "later")}
		cfg := testConfig(t, nil)
		cfg.Route = func(string) Route { return Route{Transport: hub, Key: "hub"} }
		q := open(t, dir, cfg)
		stop := running(t, q)
		add(t, q, newMail("", "b@x.test", "c@y.test"))
		synctest.Wait()
		stop()

		x, y := &peer{}, &peer{}
		q = open(t, dir, testConfig(t, map[string]Transport{"x.test": x, "y.test": y}))
		defer running(t, q)()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(hub.seen()) != 1 || len(x.seen()) != 1 || len(y.seen()) != 1 {
			t.Errorf("hub %d, x %d, y %d tries, want one each", len(hub.seen()), len(x.seen()), len(y.seen()))
		}
	})
}

// forgetful returns no results at all.
type forgetful struct{ calls int }

func (f *forgetful) Deliver(context.Context, *mta.Message, []mta.Recipient) []mta.Result {
	f.calls++
	return nil
}

func TestTransportWithoutResultsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": &forgetful{}}))
		defer running(t, q)()
		add(t, q, newMail("", "b@x.test"))
		synctest.Wait()
		if left := jobs(t, q); len(left) != 1 || left[0].Attempts != 1 {
			t.Errorf("left: %+v", left)
		}
	})
}

// hanging delivers only when ctx ends.
type hanging struct{}

func (hanging) Deliver(ctx context.Context, _ *mta.Message, to []mta.Recipient) []mta.Result {
	<-ctx.Done()
	out := make([]mta.Result, len(to))
	for i, r := range to {
		out[i] = mta.Result{To: r, Err: mta.TempFail(ctx.Err())}
	}
	return out
}

func TestStopWaitsAndInterruptedTryDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		q := open(t, dir, testConfig(t, map[string]Transport{"*": hanging{}}))
		stop := running(t, q)
		synctest.Wait()
		add(t, q, newMail("a@home.test", "b@x.test"))
		synctest.Wait()
		start := time.Now()
		stop()
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("stopped after %v, want the patience of 20 s", took)
		}
		p := &peer{}
		q = open(t, dir, testConfig(t, map[string]Transport{"*": p}))
		if left := jobs(t, q); len(left) != 1 || left[0].Attempts != 0 {
			t.Errorf("left: %+v", left)
		}
		defer running(t, q)()
		synctest.Wait()
		if len(p.seen()) != 1 {
			t.Error("not tried at once after the restart")
		}
	})
}

func TestSpoolFilesOfNobodyAreSwept(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, testConfig(t, map[string]Transport{"*": &peer{}}))
	big := newMail("", "b@x.test")
	big.Body = mta.BodyBytes([]byte("Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", 100000)))
	add(t, q, big)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash between the file and its row leaves this.
	if err := os.WriteFile(filepath.Join(dir, "spool", "orphan"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	q = open(t, dir, testConfig(t, map[string]Transport{"*": &peer{}}))
	defer q.Close()
	files, err := os.ReadDir(filepath.Join(dir, "spool"))
	if err != nil || len(files) != 1 || files[0].Name() != string(big.ID) {
		t.Errorf("spool holds %v, %v; want the big message alone", files, err)
	}
}

func TestLargeBodyIsLinkedNotCopied(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, testConfig(t, map[string]Transport{"*": &peer{}}))
	defer q.Close()
	name := filepath.Join(dir, "incoming")
	if err := os.WriteFile(name, []byte("Subject: x\r\n\r\nx\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	m := newMail("", "b@x.test")
	m.Body = mta.BodyFile(f, 17, 14, true)
	add(t, q, m)
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(dir, "spool", string(m.ID)))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the spool file is not the incoming one: %v", err)
	}
	if err := m.Body.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOneBadChangeDoesNotSpoilTheBatch(t *testing.T) {
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "x.db"), sqlite.Options{Migrations: []string{"CREATE TABLE x (n INTEGER PRIMARY KEY)"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c := &committer{db: db}
	bad := errors.New("bad")
	var wg sync.WaitGroup
	errs := make([]error, 100)
	for i := range errs {
		wg.Go(func() {
			errs[i] = c.do(func(tx *sqlite.Tx) error {
				if i%10 == 0 {
					return fmt.Errorf("change %d: %w", i, bad)
				}
				_, err := tx.Exec("INSERT INTO x VALUES (?)", i)
				return err
			})
		})
	}
	wg.Wait()
	var n int
	if err := db.QueryRow(context.Background(), "SELECT count(*) FROM x").Scan(&n); err != nil || n != 90 {
		t.Errorf("%d rows, %v; want 90", n, err)
	}
	for i, err := range errs {
		if (i%10 == 0) != errors.Is(err, bad) {
			t.Errorf("change %d: %v", i, err)
		}
	}
}

func TestAddRefusesWhatCannotBeDelivered(t *testing.T) {
	q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": &peer{}}))
	if err := q.Add(context.Background(), newMail("a@home.test")); err == nil {
		t.Error("a message without recipients was taken")
	}
	m := newMail("a@home.test", "b@x.test")
	add(t, q, m)
	if err := q.Add(context.Background(), m); !sqlite.IsConstraint(err) {
		t.Errorf("an ID taken twice: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := q.Add(context.Background(), newMail("a@home.test", "b@x.test")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestHistoryIsPruned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": &peer{}}))
		defer running(t, q)()
		m := newMail("", "b@x.test")
		add(t, q, m)
		time.Sleep(29 * 24 * time.Hour)
		if _, err := q.Show(context.Background(), m.ID); err != nil {
			t.Errorf("after 29 days: %v", err)
		}
		time.Sleep(2 * 24 * time.Hour)
		if _, err := q.Show(context.Background(), m.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("after 31 days: %v", err)
		}
	})
}
