package main

import (
	"testing"
	"time"
)

// TestRoomyHeap: only a small heap that is collected often gets more room, and gives it back.
func TestRoomyHeap(t *testing.T) {
	var percent int
	h := &heap{set: func(p int) int { percent = p; return 0 }, later: func() {}, percent: 100}
	now := time.Unix(1_800_000_000, 0)
	for i, c := range []struct {
		after time.Duration
		live  uint64
		want  int // 0: not touched
	}{
		{0, 2 << 20, 0},
		{time.Millisecond, 2 << 20, 0},
		{time.Millisecond, 2 << 20, 0},
		{time.Millisecond, 2 << 20, 400}, // three close together
		{time.Millisecond, 2 << 20, 0},   // as before
		{time.Millisecond, 8 << 20, 200},
		{time.Millisecond, 9 << 20, 0}, // nearly as before
		{time.Millisecond, 40 << 20, 100},
		{time.Millisecond, 4 << 20, 400},
		{2 * time.Minute, 2 << 20, 100}, // at rest
	} {
		percent, now = 0, now.Add(c.after)
		h.collected(now, c.live)
		if percent != c.want {
			t.Errorf("collection %d: set to %d, want %d", i, percent, c.want)
		}
	}
}

// TestHeapAtRest: each collection of the server's own work puts the one at rest off, which is not followed by another.
func TestHeapAtRest(t *testing.T) {
	later := 0
	h := &heap{set: func(int) int { return 0 }, later: func() { later++ }, percent: 100}
	now := time.Unix(1_800_000_000, 0)
	h.collected(now, 2<<20)
	h.collected(now, 2<<20)
	h.resting.Store(true)
	h.collected(now, 2<<20)
	if later != 2 {
		t.Errorf("put off %d times, want 2", later)
	}
	if h.collected(now, 2<<20); later != 3 {
		t.Error("not put off after a rest")
	}
}
