package queue

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"facteur/mta"
)

// fill queues n small messages for domains destinations while nothing runs.
func fill(t testing.TB, q *Queue, n, domains int) {
	t.Helper()
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := range numbers {
				if err := q.Add(context.Background(), newMail("a@home.test", fmt.Sprintf("u%d@d%d.test", i, i%domains))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
}

// TestManyQueuedMessagesNeedLittleMemory: what waits stays in the database, and
// all of it is delivered, each once.
func TestManyQueuedMessagesNeedLittleMemory(t *testing.T) {
	const n = 12000
	dir := t.TempDir()
	var mu sync.Mutex
	got := map[mta.ID]int{}
	gate := make(chan struct{})
	away := &peer{answer: func(m *mta.Message, _ mta.Recipient) mta.Result {
		<-gate
		mu.Lock()
		defer mu.Unlock()
		got[m.ID]++
		return mta.Result{RemoteMTA: "mx.test"}
	}}
	cfg := testConfig(t, map[string]Transport{"*": away})
	cfg.Log = nil
	q := open(t, dir, cfg)
	fill(t, q, n, 100)
	if s, err := q.Stats(context.Background()); err != nil || s.Jobs != n {
		t.Fatalf("%+v, %v", s, err)
	}
	stop := running(t, q)
	defer stop()
	deadline := time.Now().Add(time.Minute)
	for q.loaded() < laneWindow && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if loaded := q.loaded(); loaded > maxLoaded {
		t.Errorf("%d jobs in memory", loaded)
	}
	close(gate)
	for time.Now().Before(deadline) {
		if s, err := q.Stats(context.Background()); err != nil || s.Jobs == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != n {
		t.Errorf("%d of %d messages delivered", len(got), n)
	}
	for id, times := range got {
		if times != 1 {
			t.Errorf("message %s delivered %d times", id, times)
		}
	}
}

func (q *Queue) loaded() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sched.loaded
}

// BenchmarkHundredThousand is the start of a queue that holds 100,000 messages for
// 2,000 destinations, all due: Open, the first look, a page of the list, the memory.
func BenchmarkHundredThousand(b *testing.B) {
	dir := b.TempDir()
	var gate chan struct{}
	blocked := &peer{answer: func(*mta.Message, mta.Recipient) mta.Result {
		<-gate
		return mta.Result{Err: mta.NewReply(450, [3]int{4, 2, 0}, "later")}
	}}
	cfg := testConfig(b, map[string]Transport{"*": blocked})
	cfg.Log, cfg.StopPatience = nil, time.Millisecond
	q := open(b, dir, cfg)
	fill(b, q, 100000, 2000)
	if err := q.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		gate = make(chan struct{})
		start := time.Now()
		q := open(b, dir, cfg)
		opened := time.Now()
		q.sched.ctx = b.Context()
		q.look(b.Context())
		looked := time.Now()
		items, err := q.List(b.Context(), Filter{Limit: 1000})
		if err != nil || len(items) != 1000 {
			b.Fatal(len(items), err)
		}
		listed := time.Now()
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(opened.Sub(start).Microseconds())/1000, "open-ms")
		b.ReportMetric(float64(looked.Sub(opened).Microseconds())/1000, "look-ms")
		b.ReportMetric(float64(listed.Sub(looked).Microseconds())/1000, "list-ms")
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB")
		close(gate)
		q.sched.workers.Wait()
		if err := q.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
