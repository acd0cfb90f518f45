package remote

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// What TLS came to is kept while the server runs, so that a kill, which calls no Close, loses little of it.
func TestOutcomesOutliveAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "peers.json")
		s := New(Config{Outcomes: file})
		ctx, kill := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		pass := func() {
			time.Sleep(saveEvery + time.Second)
			synctest.Wait()
		}
		pass()
		if _, err := os.Stat(file); err == nil {
			t.Error("a file was written without anything to say")
		}
		s.remember(TLSOutcome{Host: "mx.one.test", TLS: "verified"})
		pass()
		if list := New(Config{Outcomes: file}).Outcomes(); len(list) != 1 || list[0].Host != "mx.one.test" || list[0].TLS != "verified" {
			t.Errorf("kept: %+v", list)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		pass()
		if _, err := os.Stat(file); err == nil {
			t.Error("the file was written again without news")
		}
		// What could not be written is news still.
		if err := os.Mkdir(file, 0o700); err != nil {
			t.Fatal(err)
		}
		s.remember(TLSOutcome{Host: "mx.two.test"})
		pass()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		pass()
		if list := New(Config{Outcomes: file}).Outcomes(); len(list) != 2 {
			t.Errorf("kept after a fault of the disk: %+v", list)
		}
		kill()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
