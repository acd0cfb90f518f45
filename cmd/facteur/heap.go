package main

import (
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
	"sync/atomic"
	"time"
)

// Go collects garbage when the heap has doubled, or at 4 MiB. Our heap is 2 MiB when few are connected, so under load
// that was every few milliseconds, and a sixth of what a delivery costs. While collections follow
// each other closely, heapRoom gives a small heap room for more. A heap larger than that is left to Go. Nor does Go collect
// what a thousand log-ins have left until two minutes later: at heapRest after the last collection one more gives
// memory back to the system, and a server at rest has what it always had.

const (
	heapRoom  = 16 << 20
	heapLeast = 4 << 20     // below this Go counts a heap as that large
	heapOften = time.Second // collections less than that apart are frequent
	heapRest  = 10 * time.Second
)

// roomyHeap applies heapRoom until stop is called, unless the environment's GOGC says what is wanted.
func roomyHeap() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	h := &heap{set: debug.SetGCPercent, percent: 100}
	rest := time.AfterFunc(heapRest, func() {
		h.resting.Store(true)
		debug.FreeOSMemory()
	})
	h.later = func() { rest.Reset(heapRest) }
	h.watch()
	return func() {
		h.stopped.Store(true)
		rest.Stop()
	}
}

// heap sets the pace of the garbage collector. It has no goroutine: each collection finalizes an object, whose
// finalizer leaves another for the next.
type heap struct {
	set     func(percent int) int
	later   func() // puts the collection at rest off
	last    time.Time
	row     int // frequent collections in a row
	percent int
	resting atomic.Bool // the next collection is the one at rest, which none follows
	stopped atomic.Bool
}

// sentinel is never used, so the next collection finalizes it.
type sentinel struct{ h *heap }

func (h *heap) watch() {
	runtime.SetFinalizer(&sentinel{h}, func(*sentinel) {
		if h.stopped.Load() {
			h.set(100)
			return
		}
		live := []gometrics.Sample{{Name: "/gc/heap/live:bytes"}}
		gometrics.Read(live)
		h.collected(time.Now(), live[0].Value.Uint64())
		h.watch()
	})
}

// collected is told of each collection and how much it left.
func (h *heap) collected(now time.Time, live uint64) {
	if now.Sub(h.last) < heapOften {
		h.row++
	} else {
		h.row = 0
	}
	h.last = now
	if !h.resting.Swap(false) {
		h.later()
	}
	percent := 100
	if h.row >= 3 {
		percent = max(100, int(100*heapRoom/max(live, heapLeast)))
	}
	// A change stops all goroutines for a moment: small ones are not worth it.
	if diff := percent - h.percent; diff > 25 || diff < -25 || percent == 100 && diff != 0 {
		h.percent = percent
		h.set(percent)
	}
}
