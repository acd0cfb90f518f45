package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"facteur/mta"
	"facteur/storage/message"
)

// peer is a transport that answers as a function tells it and remembers who got what.
type peer struct {
	answer func(m *mta.Message, to mta.Recipient) mta.Result

	mu    sync.Mutex
	calls []call
}

type call struct {
	at time.Time
	id mta.ID
	m  *mta.Message
	to []string
}

func (p *peer) Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result {
	c := call{at: time.Now(), id: m.ID, m: m}
	var out []mta.Result
	for _, r := range to {
		c.to = append(c.to, r.Address.String())
		res := mta.Result{To: r, RemoteMTA: "mx.test", At: time.Now()}
		if p.answer != nil {
			res = p.answer(m, r)
			res.To, res.At = r, time.Now()
		}
		out = append(out, res)
	}
	p.mu.Lock()
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	return out
}

func (p *peer) seen() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

func failWith(code int, enhanced [3]int, text string) func(*mta.Message, mta.Recipient) mta.Result {
	return func(*mta.Message, mta.Recipient) mta.Result {
		return mta.Result{RemoteMTA: "mx.test", Err: mta.NewReply(code, enhanced, "%s", text)}
	}
}

// routes sends mail of a domain to a peer; "*" is everything else.
func routes(table map[string]Transport) func(string) Route {
	return func(domain string) Route {
		if t := table[domain]; t != nil {
			return Route{Transport: t, Key: domain}
		}
		return Route{Transport: table["*"], Key: domain}
	}
}

func testConfig(t testing.TB, table map[string]Transport) Config {
	t.Helper()
	return Config{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Hostname: "mail.home.test",
		Postmaster: message.AddrSpec{Local: "postmaster", Domain: "home.test"}, Route: routes(table),
	}
}

func open(t testing.TB, dir string, cfg Config) *Queue {
	t.Helper()
	q, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// running runs the queue until the returned function is called.
func running(t testing.TB, q *Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func newMail(from string, to ...string) *mta.Message {
	m := &mta.Message{ID: mta.NewID(), Arrived: time.Now()}
	if from != "" {
		m.Env.MailFrom = addr(from)
	}
	for _, a := range to {
		m.Env.To = append(m.Env.To, mta.Recipient{Address: addr(a)})
	}
	m.Prefix = []byte("Received: by mail.home.test\r\n")
	m.Body = mta.BodyBytes([]byte("From: " + from + "\r\nSubject: test\r\nMessage-ID: <1@home.test>\r\n\r\nHello\r\n"))
	return m
}

func addr(s string) message.AddrSpec {
	a, err := message.ParseAddrSpec(s)
	if err != nil {
		panic(err)
	}
	return a
}

func add(t testing.TB, q *Queue, m *mta.Message) {
	t.Helper()
	if err := q.Add(context.Background(), m); err != nil {
		t.Fatal(err)
	}
}

func jobs(t testing.TB, q *Queue) []Item {
	t.Helper()
	items, err := q.List(context.Background(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func TestAddedMessageIsDeliveredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{}
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": p}))
		defer running(t, q)()
		synctest.Wait()
		m := newMail("a@home.test", "b@x.test", "c@x.test", "d@y.test")
		add(t, q, m)
		synctest.Wait()
		calls := p.seen()
		if len(calls) != 2 {
			t.Fatalf("%d transactions, want one for each domain: %+v", len(calls), calls)
		}
		for _, c := range calls {
			if !c.at.Equal(m.Arrived) {
				t.Errorf("tried at %v, want %v", c.at, m.Arrived)
			}
			if b, _ := c.m.Body.Bytes(); !strings.HasSuffix(string(b), "Hello\r\n") {
				t.Errorf("body is %q", b)
			}
		}
		if left := jobs(t, q); len(left) != 0 {
			t.Errorf("left in the queue: %+v", left)
		}
		r, err := q.Show(context.Background(), m.ID)
		if err != nil || r.Done.IsZero() || len(r.Events) != 2 || r.Events[0].Fates[0].Action != ActionRelayed && r.Events[0].Fates[0].Action != ActionPassed {
			t.Errorf("history: %+v, %v", r, err)
		}
	})
}

func TestScheduleOfRetriesDelayNoticeAndBounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{answer: failWith(451, [3]int{4, 2, 0}, "later")}
		home := &peer{}
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": p, "home.test": home}))
		defer running(t, q)()
		start := time.Now()
		add(t, q, newMail("a@home.test", "b@x.test"))
		time.Sleep(6 * 24 * time.Hour)
		synctest.Wait()

		calls := p.seen()
		wait := 5 * time.Minute
		for i := 1; i < 6; i++ {
			got := calls[i].at.Sub(calls[i-1].at)
			if got < wait*9/10-time.Second || got > wait*11/10+time.Second {
				t.Errorf("wait %d is %v, want about %v", i, got, wait)
			}
			wait *= 2
		}
		for i := 2; i < len(calls); i++ {
			if got := calls[i].at.Sub(calls[i-1].at); got > 4*time.Hour*11/10+time.Second {
				t.Errorf("wait %d is %v, over the maximum", i, got)
			}
		}
		if end := calls[len(calls)-1].at.Sub(start); end < 5*24*time.Hour || end > 5*24*time.Hour+time.Minute {
			t.Errorf("last try after %v, want five days", end)
		}
		notices := home.seen()
		if len(notices) != 2 {
			t.Fatalf("%d notices, want one of delay and one of failure", len(notices))
		}
		if at := notices[0].at.Sub(start); at < 4*time.Hour || at > 4*time.Hour+time.Minute {
			t.Errorf("delay notice after %v", at)
		}
		for i, want := range []string{"Action: delayed", "Action: failed\r\nStatus: 5.4.7"} {
			n := notices[i].m
			if b, _ := n.Body.Bytes(); !strings.Contains(string(b), want) {
				t.Errorf("notice %d lacks %q:\n%s", i, want, b)
			}
			if !n.Env.MailFrom.IsZero() {
				t.Errorf("notice %d has the reverse-path %v", i, n.Env.MailFrom)
			}
		}
		if left := jobs(t, q); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

func TestBounceOfNullSenderIsNeverMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{answer: failWith(550, [3]int{5, 1, 1}, "no such user")}
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": p}))
		defer running(t, q)()
		add(t, q, newMail("", "b@x.test"))
		synctest.Wait()
		if got := len(p.seen()); got != 1 {
			t.Errorf("%d deliveries, want the one", got)
		}
		if left := jobs(t, q); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

func TestFailingDestinationDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &peer{answer: func(*mta.Message, mta.Recipient) mta.Result {
			time.Sleep(30 * time.Second) // a connect timeout
			return mta.Result{Unreachable: true, Err: mta.NewReply(451, [3]int{4, 4, 1}, "no answer")}
		}}
		good := &peer{}
		cfg := testConfig(t, map[string]Transport{"dead.test": dead, "*": good})
		cfg.MaxActive = 6
		q := open(t, t.TempDir(), cfg)
		defer running(t, q)()
		synctest.Wait()
		start := time.Now()
		for i := range 100 {
			add(t, q, newMail("", fmt.Sprintf("u%d@dead.test", i)))
		}
		add(t, q, newMail("", "b@good.test"))
		synctest.Wait()
		if calls := good.seen(); len(calls) != 1 || calls[0].at.Sub(start) > time.Second {
			t.Errorf("the good destination got %+v", calls)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(dead.seen()); n > firstLimit {
			t.Errorf("%d messages tried the dead host, the rest should have learnt from the first %d", n, firstLimit)
		}
		left := jobs(t, q)
		if len(left) != 100 || slices.ContainsFunc(left, func(i Item) bool { return i.Attempts != 1 }) {
			t.Errorf("%d jobs left, want 100 with one try each", len(left))
		}
	})
}

// tarpit answers after half an hour, which is how long a peer may take that uses each of RFC 5321's timeouts, or
// when ctx ends.
type tarpit struct {
	mu        sync.Mutex
	now, most int
}

func (p *tarpit) Deliver(ctx context.Context, _ *mta.Message, to []mta.Recipient) []mta.Result {
	p.count(1)
	defer p.count(-1)
	select {
	case <-ctx.Done():
	case <-time.After(30 * time.Minute):
	}
	out := make([]mta.Result, len(to))
	for i, r := range to {
		out[i] = mta.Result{To: r, RemoteMTA: "mx.test", Err: mta.NewReply(451, [3]int{4, 4, 2}, "timed out")}
	}
	return out
}

func (p *tarpit) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now += n
	p.most = max(p.most, p.now)
}

// TestTarpitsDelayAHealthyDestinationForSeconds: 300 destinations that hang are more than MaxActive. Where they
// are more than the places for slow ones too, what is open at a time stays bounded.
func TestTarpitsDelayAHealthyDestinationForSeconds(t *testing.T) {
	for _, tt := range []struct {
		maxActive, most int
		within          time.Duration
	}{{200, 300, slowAfter}, {20, 100, 2 * time.Hour}} {
		t.Run(fmt.Sprint(tt.maxActive), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow, good := &tarpit{}, &peer{}
				cfg := testConfig(t, map[string]Transport{"good.test": good, "*": slow})
				cfg.MaxActive, cfg.StopPatience, cfg.Log = tt.maxActive, time.Second, nil
				q := open(t, t.TempDir(), cfg)
				defer running(t, q)()
				synctest.Wait()
				start := time.Now()
				for i := range 300 {
					add(t, q, newMail("a@home.test", fmt.Sprintf("u@tar%d.test", i)))
				}
				add(t, q, newMail("a@home.test", "b@good.test"))
				time.Sleep(tt.within)
				synctest.Wait()
				if calls := good.seen(); len(calls) != 1 || calls[0].at.Sub(start) > tt.within {
					t.Errorf("the good destination got %+v after %v", calls, time.Since(start))
				}
				slow.mu.Lock()
				defer slow.mu.Unlock()
				if slow.most != tt.most {
					t.Errorf("%d deliveries at a time", slow.most)
				}
			})
		})
	}
}

func TestPartialResultsKeepOnlyTheOpenRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{}
		p.answer = func(m *mta.Message, to mta.Recipient) mta.Result {
			if to.Address.Local == "slow" && len(p.seen()) == 0 {
				return mta.Result{RemoteMTA: "mx.test", Err: mta.NewReply(452, [3]int{4, 2, 2}, "full")}
			}
			return mta.Result{RemoteMTA: "mx.test"}
		}
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": p}))
		defer running(t, q)()
		add(t, q, newMail("", "a@x.test", "slow@x.test", "c@x.test"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		calls := p.seen()
		if len(calls) != 2 || !slices.Equal(calls[1].to, []string{"slow@x.test"}) {
			t.Errorf("tries: %+v", calls)
		}
	})
}

func TestHoldUntilWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{}
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": p}))
		defer running(t, q)()
		m := newMail("", "a@x.test")
		m.Env.HoldUntil = time.Now().Add(3 * time.Hour)
		add(t, q, m)
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if calls := p.seen(); len(calls) != 1 || calls[0].at.Before(m.Env.HoldUntil) || calls[0].at.After(m.Env.HoldUntil.Add(time.Second)) {
			t.Errorf("tried %+v, want once at %v", calls, m.Env.HoldUntil)
		}
	})
}

func TestHoldReleaseRetryDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		p := &peer{answer: failWith(451, [3]int{4, 2, 0}, "later")}
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": p}))
		defer running(t, q)()
		a, b := newMail("", "a@x.test"), newMail("", "b@y.test")
		add(t, q, a)
		add(t, q, b)
		synctest.Wait()
		check := func(n int, err error) {
			t.Helper()
			if n != 1 || err != nil {
				t.Errorf("changed %d, %v", n, err)
			}
		}
		check(q.Hold(ctx, Filter{ID: a.ID}))
		check(q.Retry(ctx, Filter{Recipient: "b@y.test"}))
		synctest.Wait()
		if n := len(p.seen()); n != 3 {
			t.Errorf("%d tries, want a third one by Retry", n)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := len(slices.DeleteFunc(p.seen(), func(c call) bool { return c.id != a.ID })); n != 1 {
			t.Errorf("the held message was tried %d times", n)
		}
		p.answer = nil
		check(q.Release(ctx, Filter{ID: a.ID}))
		synctest.Wait()
		check(q.Drop(ctx, Filter{Dest: "y.test"}))
		if left := jobs(t, q); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
		if _, err := q.Show(ctx, "nonesuch"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Show of an unknown message: %v", err)
		}
	})
}

func TestRestartGoesOnWithWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		q := open(t, dir, testConfig(t, map[string]Transport{"*": &peer{answer: failWith(451, [3]int{4, 2, 0}, "later")}}))
		stop := running(t, q)
		synctest.Wait()
		big := newMail("", "big@x.test")
		big.Body = mta.BodyBytes([]byte("Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", 200000)))
		add(t, q, big)
		small := newMail("", "a@x.test")
		small.Junk = true
		add(t, q, small)
		synctest.Wait()
		stop()

		p := &peer{answer: func(m *mta.Message, _ mta.Recipient) mta.Result {
			if m.Body.Size() > maxRow && m.Body.Path() != filepath.Join(dir, "spool", string(m.ID)) {
				t.Errorf("large body not from the spool: %q", m.Body.Path())
			}
			if m.Junk != (m.ID == small.ID) {
				t.Errorf("message %s came back with Junk %v", m.ID, m.Junk)
			}
			return mta.Result{RemoteMTA: "mx.test"}
		}}
		q = open(t, dir, testConfig(t, map[string]Transport{"*": p}))
		defer running(t, q)()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(p.seen()); n != 2 {
			t.Errorf("%d deliveries after the restart, want 2", n)
		}
		time.Sleep(2 * time.Minute) // housekeeping
		if files, _ := filepath.Glob(filepath.Join(dir, "spool", "*")); len(files) != 0 {
			t.Errorf("spool still has %v", files)
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		cfg := testConfig(t, map[string]Transport{"*": &peer{}})
		cfg.Limits = func(context.Context, string) Limits { return Limits{Messages: 3, Fresh: 2} }
		q := open(t, t.TempDir(), cfg)
		defer q.Close()
		allow := func(to ...string) *mta.Reply {
			before := len(jobs(t, q))
			m := newMail("alice@home.test", to...)
			r, err := q.Submit(ctx, "alice", m)
			if added := len(jobs(t, q)) > before; err != nil || added != (r == nil) {
				t.Errorf("to %v: %v, %v, added %t", to, r, err, added)
			}
			return r
		}
		for _, step := range []struct {
			to   []string
			want int
		}{{[]string{"a@x.test"}, 0}, {[]string{"A@x.test", "b@x.test"}, 0}, {[]string{"c@x.test"}, 450}, {[]string{"b@x.test"}, 0}, {[]string{"b@x.test"}, 450}} {
			if r := allow(step.to...); step.want == 0 && r != nil || step.want != 0 && (r == nil || r.Code != step.want) {
				t.Errorf("to %v: %v, want %d", step.to, r, step.want)
			}
		}
		time.Sleep(25 * time.Hour)
		if r := allow("c@x.test"); r != nil {
			t.Errorf("a day later: %v", r)
		}
	})
}
