package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// day is what a busy small server gets in 24 hours. A soak is at least that many operations; what a server does
// once an hour is not hurried by it.
const day = 24 * 1000

// soak runs the mixed load without any kill for a day's traffic or more, while mailboxes are kept at the size
// they have, and looks at what the process holds: it must be flat in the second half.
func soak(ctx context.Context, t *trial) error {
	length, least := 8*time.Minute, int64(day)
	if t.opt.quick {
		length, least = 20*time.Second, 1
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	l := newLoad(t.site)
	loading, stop := context.WithTimeout(ctx, length)
	defer stop()
	ended := make(chan struct{})
	go func() { l.run(loading, t.opt.seed); close(ended) }()
	pruned := make(chan error, 1)
	go func() { pruned <- l.prune(loading) }()
	half, last, err := t.watch(loading, length)
	if err != nil {
		return err
	}
	<-ended
	fmt.Printf("      %d operations; at most %s in the first half, %s in the second\n", l.done.Load(), half, last)
	if err := <-pruned; err != nil {
		return err
	}
	if l.done.Load() < least {
		return fmt.Errorf("%d operations are not a day's: a faster machine is needed, or more time", l.done.Load())
	}
	if last.rss > half.rss*5/4+(16<<10) || last.files > half.files*5/4+20 || last.threads > half.threads+10 || last.goroutines > half.goroutines*5/4+20 {
		return errors.New("the process grows")
	}
	for _, user := range []string{alice, bob} {
		if err := eventually(20*time.Second, func() error { return l.ledger.check(user) }); err != nil {
			return err
		}
	}
	if err := t.stop(); err != nil {
		return err
	}
	return t.verify(ctx)
}

// watch looks at what the process holds until ctx ends, and returns the most of the first and of the second half.
func (t *trial) watch(ctx context.Context, length time.Duration) (half, last held, err error) {
	for begin := time.Now(); ctx.Err() == nil; {
		time.Sleep(length / 40)
		now, err := t.held(context.WithoutCancel(ctx))
		if err != nil {
			return half, last, err
		}
		switch passed := time.Since(begin); {
		case passed > length/2:
			last = last.max(now)
		case passed > length/8: // the beginning is of no interest: mailboxes fill
			half = half.max(now)
		}
	}
	return half, last, nil
}

// prune keeps every mailbox below 1,000 messages or so, as people do who tidy up.
func (l *load) prune(ctx context.Context) error {
	for {
		for _, user := range []string{alice, bob} {
			c, err := l.login(user)
			if err != nil {
				return fmt.Errorf("prune: %w", err)
			}
			err = l.pruneAll(c)
			c.Close()
			if err != nil {
				return fmt.Errorf("prune mailboxes of %s: %w", user, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (l *load) pruneAll(c *imapclient.Client) error {
	for _, box := range []string{"INBOX", "Archive", "Drafts", "Sink", "Work/One", "Play/One"} {
		if data, err := c.Select(box, nil).Wait(); err != nil || data.NumMessages < 1000 {
			continue // not every account has all of them
		}
		var set imap.SeqSet
		set.AddRange(1, 500)
		msgs, err := c.Fetch(set, &imap.FetchOptions{UID: true, Envelope: true}).Collect()
		if err != nil {
			return err
		}
		var uids imap.UIDSet
		for _, m := range msgs {
			if m.Envelope == nil {
				continue // gone meanwhile
			}
			l.ledger.remove(m.Envelope.Subject) // it may also be moved away first: both are right
			uids.AddNum(m.UID)
		}
		if err := c.Store(uids, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
			return err
		}
		if _, err := c.UIDExpunge(uids).Collect(); err != nil {
			return err
		}
		l.done.Add(1)
	}
	return nil
}

// held is what the server's process holds.
type held struct{ rss, files, threads, goroutines int }

func (h held) max(o held) held {
	return held{max(h.rss, o.rss), max(h.files, o.files), max(h.threads, o.threads), max(h.goroutines, o.goroutines)}
}

func (h held) String() string {
	return fmt.Sprintf("%d MiB, %d files, %d threads, %d goroutines", h.rss>>10, h.files, h.threads, h.goroutines)
}

func (t *trial) held(ctx context.Context) (h held, err error) {
	proc := fmt.Sprintf("/proc/%d", t.cmd.Process.Pid)
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return h, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &h.rss)
		}
		if rest, ok := strings.CutPrefix(line, "Threads:"); ok {
			fmt.Sscan(rest, &h.threads)
		}
	}
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return h, err
	}
	h.files = len(files)
	h.goroutines, err = t.goroutines(ctx)
	return h, err
}

// goroutines asks the metrics.
func (t *trial) goroutines(ctx context.Context) (n int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.addr(demoPorts.metrics)+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			_, err = fmt.Sscan(rest, &n)
		}
	}
	if n == 0 && err == nil {
		err = errors.New("the metrics tell no go_goroutines")
	}
	return n, errors.Join(err, lines.Err())
}
