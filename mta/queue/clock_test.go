package queue

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"facteur/mta"
)

// wrongBy is a clock that is wrong by what another goroutine says. It has no monotonic part, as after a suspend.
func wrongBy(wrong *atomic.Int64) func() time.Time {
	return func() time.Time { return time.Now().Add(time.Duration(wrong.Load())).Round(0) }
}

func downUntil(up *atomic.Bool) *peer {
	return &peer{answer: func(*mta.Message, mta.Recipient) mta.Result {
		if up.Load() {
			return mta.Result{RemoteMTA: "mx.test"}
		}
		return mta.Result{RemoteMTA: "mx.test", Err: mta.NewReply(451, [3]int{4, 2, 0}, "later")}
	}}
}

// TestClockSetBack: a clock that was a year ahead while mail was deferred is put right. The retry comes when it
// would have come, and not a year later; the same when the server didn't run meanwhile.
func TestClockSetBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		name := map[bool]string{false: "while it runs", true: "while it doesn't"}[restart]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { setBack(t, restart) })
		})
	}
}

func setBack(t *testing.T, restart bool) {
	const year = 365 * 24 * time.Hour
	var wrong atomic.Int64
	wrong.Store(int64(year))
	var up atomic.Bool
	dir := t.TempDir()
	p := downUntil(&up)
	cfg := testConfig(t, map[string]Transport{"*": p})
	cfg.Now = wrongBy(&wrong)
	q := open(t, dir, cfg)
	stop := running(t, q)
	m := newMail("a@home.test", "b@x.test")
	m.Arrived = cfg.Now()
	add(t, q, m)
	synctest.Wait()
	if restart {
		stop()
	}
	wrong.Store(0)
	if restart {
		q = open(t, dir, cfg)
		stop = running(t, q)
	}
	defer stop()
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	if n := len(p.seen()); n < 3 || n > 8 {
		t.Errorf("%d tries in two hours", n)
	}
	up.Store(true)
	time.Sleep(5 * time.Hour)
	synctest.Wait()
	if left := jobs(t, q); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// TestClockAYearAhead: mail is not given up unheard because the clock has leapt over its time; it is tried again
// first.
func TestClockAYearAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrong atomic.Int64
		var up atomic.Bool
		p := downUntil(&up)
		cfg := testConfig(t, map[string]Transport{"*": p, "home.test": &peer{}})
		cfg.Now = wrongBy(&wrong)
		q := open(t, t.TempDir(), cfg)
		defer running(t, q)()
		add(t, q, newMail("a@home.test", "b@x.test"))
		synctest.Wait()
		wrong.Store(int64(365 * 24 * time.Hour))
		up.Store(true)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := len(p.seen()); n != 2 {
			t.Errorf("%d tries, want the second one to deliver", n)
		}
		if left := jobs(t, q); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

// TestClockSetBackBeforeTheFirstTry: a message that came in while the clock was a year ahead, and was not tried before it was
// put right, is tried then. One that its sender wants held waits.
func TestClockSetBackBeforeTheFirstTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrong atomic.Int64
		wrong.Store(int64(365 * 24 * time.Hour))
		dir := t.TempDir()
		p := &peer{}
		cfg := testConfig(t, map[string]Transport{"*": p})
		cfg.Now = wrongBy(&wrong)
		q := open(t, dir, cfg)
		m := newMail("a@home.test", "b@x.test")
		held := newMail("a@home.test", "c@y.test")
		held.Env.HoldUntil = time.Now().Add(365*24*time.Hour + time.Hour)
		m.Arrived, held.Arrived = cfg.Now(), cfg.Now()
		add(t, q, held)
		add(t, q, m)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		wrong.Store(0)
		q = open(t, dir, cfg)
		defer running(t, q)()
		synctest.Wait()
		if calls := p.seen(); len(calls) != 1 || calls[0].id != m.ID {
			t.Errorf("tried: %+v", calls)
		}
	})
}

// TestClockSetBackAndTheAgeOfAMessage: what came in while the clock was a year ahead is given up five days after it came, and
// not a year later.
func TestClockSetBackAndTheAgeOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrong atomic.Int64
		wrong.Store(int64(365 * 24 * time.Hour))
		var up atomic.Bool
		home := &peer{}
		cfg := testConfig(t, map[string]Transport{"*": downUntil(&up), "home.test": home})
		cfg.Now = wrongBy(&wrong)
		q := open(t, t.TempDir(), cfg)
		defer running(t, q)()
		m := newMail("a@home.test", "b@x.test")
		m.Arrived = cfg.Now()
		add(t, q, m)
		synctest.Wait()
		wrong.Store(0)
		time.Sleep(6 * 24 * time.Hour)
		synctest.Wait()
		if n := len(home.seen()); n != 2 { // of the delay, and of the end
			t.Errorf("%d notices", n)
		}
		if left := jobs(t, q); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

// TestClockSetBackALittle: a retry that waits for its lane is not forgotten when the clock goes back behind its time, by
// less than what counts as set back; nor what comes in then to be held for a moment.
func TestClockSetBackALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrong atomic.Int64
		var slow atomic.Bool
		p := &peer{answer: func(*mta.Message, mta.Recipient) mta.Result {
			if slow.Load() {
				time.Sleep(3 * time.Second)
				return mta.Result{RemoteMTA: "mx.test"}
			}
			return mta.Result{RemoteMTA: "mx.test", Err: mta.NewReply(451, [3]int{4, 2, 0}, "later")}
		}}
		cfg := testConfig(t, map[string]Transport{"*": p})
		cfg.Now = wrongBy(&wrong)
		q := open(t, t.TempDir(), cfg)
		defer running(t, q)()
		for range 3 { // and the lane takes one at a time
			add(t, q, newMail("a@home.test", "b@x.test"))
		}
		synctest.Wait()
		slow.Store(true)
		time.Sleep(time.Second)
		if n, err := q.Retry(t.Context(), Filter{}); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		wrong.Store(int64(-30 * time.Second))
		held := newMail("a@home.test", "c@y.test")
		held.Arrived = cfg.Now()
		held.Env.HoldUntil = held.Arrived.Add(10 * time.Second) // still behind what was read
		add(t, q, held)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if left := jobs(t, q); len(left) != 0 {
			t.Errorf("%d tries, left: %+v", len(p.seen()), left)
		}
	})
}

// TestClockSetBackAndWhatWasSent: what an account sent while the clock was a year ahead doesn't count for a year.
func TestClockSetBackAndWhatWasSent(t *testing.T) {
	var wrong atomic.Int64
	cfg := testConfig(t, map[string]Transport{"*": &peer{}})
	cfg.Now = wrongBy(&wrong)
	cfg.Limits = func(context.Context, string) Limits { return Limits{Messages: 1} }
	q := open(t, t.TempDir(), cfg)
	defer q.Close()
	for _, ahead := range []time.Duration{365 * 24 * time.Hour, 0} {
		wrong.Store(int64(ahead))
		m := newMail("alice@home.test", "b@x.test")
		m.Arrived = cfg.Now()
		if r, err := q.Submit(t.Context(), "alice", m); r != nil || err != nil {
			t.Errorf("%s ahead: %v, %v", ahead, r, err)
		}
	}
	if err := q.prune(cfg.Now()); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := q.db.QueryRow(t.Context(), "SELECT count(*) FROM sent").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d hours are kept, %v", rows, err)
	}
}
