package storage

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/storage/maildir"
)

// stuckFS is a disk on which one account's syncs hang until they are let go.
type stuckFS struct {
	maildir.FS
	began chan<- struct{}
	free  <-chan struct{}
}

func (s stuckFS) SyncDir(name string) error {
	select {
	case s.began <- struct{}{}:
	default:
	}
	<-s.free
	return s.FS.SyncDir(name)
}

// TestSlowDiskOfOneDelaysNobodyElse: while a delivery to one account hangs in a sync, another account is opened,
// delivered to and read, Run goes on, and the first account's mail can be read. Then it is delivered.
func TestSlowDiskOfOneDelaysNobodyElse(t *testing.T) {
	s := testStore(t, t.TempDir())
	defer s.Close()
	began, free := make(chan struct{}, 1), make(chan struct{})
	slow := testAccount(t, s)
	deliver(t, slow, text(1))
	inbox := box(t, slow, "INBOX")
	slow.fs = stuckFS{slow.fs, began, free}

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	var late error
	wg.Go(func() { late = deliverErr(slow, text(2), "INBOX") })
	<-began

	done := make(chan struct{})
	go func() { // with a limit, since what is wrong here hangs
		defer close(done)
		if err := s.CreateAccount(ctx, "other@example.org"); err != nil {
			t.Error(err)
			return
		}
		other, err := s.Account(ctx, "other@example.org")
		if err != nil {
			t.Error(err)
			return
		}
		defer other.Release()
		if err := deliverErr(other, text(3), "INBOX"); err != nil {
			t.Error(err)
		}
		if n := inbox.Snapshot().Len(); n != 1 {
			t.Errorf("the slow account shows %d messages", n)
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("the other account waits for the slow one's disk")
	}
	if got := read(t, inbox, 1); !strings.HasSuffix(got, text(1)) {
		t.Errorf("read %q", got)
	}
	close(free)
	<-done
	cancel()
	wg.Wait()
	if late != nil {
		t.Error(late)
	}
	if n := inbox.Snapshot().Len(); n != 2 {
		t.Errorf("%d messages in the end", n)
	}
	mustAgree(t, slow)
}
