package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// killRounds kills the server at a random moment under load, again and again, on one data folder.
func killRounds(ctx context.Context, t *trial) error {
	rounds := 50
	if t.opt.quick {
		rounds = 3
	}
	return t.rounds(ctx, rounds, func(int) error {
		t.kill()
		return nil
	})
}

// rounds lets end break the server at a random moment under load, and checks what is left; n times on one folder.
func (t *trial) rounds(ctx context.Context, n int, end func(round int) error) error {
	l := newLoad(t.site)
	for round := range n {
		if err := t.start(ctx); err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
		loading, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { l.run(loading, t.opt.seed+uint64(round)); close(ended) }()
		time.Sleep(time.Duration(200+t.rnd.IntN(1800)) * time.Millisecond)
		err := end(round)
		stop()
		<-ended
		if err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
		if err := t.after(ctx, l); err != nil {
			return fmt.Errorf("round %d, after %d operations: %w", round+1, l.done.Load(), err)
		}
	}
	if l.done.Load() == 0 {
		return fmt.Errorf("the load did nothing")
	}
	fmt.Printf("      %d operations acknowledged in %d rounds\n", l.done.Load(), n)
	return nil
}

// after starts the server on what a crash has left and checks everything.
func (t *trial) after(ctx context.Context, l *load) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	if err := t.tmpClean(); err != nil {
		return err
	}
	// The queue still has something to send to Sink.
	if err := eventually(20*time.Second, func() error { return l.ledger.check(alice) }); err != nil {
		return err
	}
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return t.verify(ctx)
}

// eventually tries again until f succeeds or limit is over.
func eventually(limit time.Duration, f func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if err := f(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// tmpClean says what lies in the tmp folders of accounts that have been opened.
func (t *trial) tmpClean() error {
	for _, user := range []string{alice, bob} { // a log-in opens the account
		c, err := t.login(user)
		if err != nil {
			return err
		}
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			return err
		}
		c.Close()
	}
	for _, pattern := range []string{"mail/*/*/tmp/*", "mail/*/*/.*/tmp/*"} {
		left, err := filepath.Glob(filepath.Join(t.dir, pattern))
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("%d files left in tmp, such as %s", len(left), left[0])
		}
	}
	_, err := os.Stat(t.dir)
	return err
}
