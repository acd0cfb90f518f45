package main

import (
	"os"
	"runtime"
)

// spareProcs lets twice as many goroutines run as there are processors until stop is called, unless the environment's
// GOMAXPROCS says what is wanted. A goroutine that waits in fsync counts as running until the Go runtime looks after
// it, tens of microseconds later, and every delivery waits so twice: with as many as processors, sessions that could
// go on stood behind those that only waited. On two processors this gave a sixth more deliveries over 10 connections and
// a third more over 50, for less processor time each; four times as many gave nothing more.
func spareProcs() (stop func()) {
	if os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	was := runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	return func() { runtime.GOMAXPROCS(was) }
}
