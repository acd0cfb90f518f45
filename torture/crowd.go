package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// crowd opens thousands of connections that say nothing, and dozens that speak one octet at a time. Somebody
// who comes with mail must be served within two seconds all the while.
func crowd(ctx context.Context, t *trial) error {
	many, slow := 5000, 60
	if t.opt.quick {
		many = 500
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range many {
		c, err := net.DialTimeout("tcp", []string{mxAddr, imapAddr}[i%2], 5*time.Second)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		conns = append(conns, c)
	}
	dripping, stop := context.WithCancel(ctx)
	defer stop()
	for range slow {
		go drip(dripping)
	}
	l := &load{ledger: newLedger()}
	deadline := time.Now().Add(20 * time.Second)
	if t.opt.quick {
		deadline = time.Now().Add(3 * time.Second)
	}
	for time.Now().Before(deadline) {
		begin := time.Now()
		c, err := smtp.Dial(mxAddr)
		if err != nil {
			return err
		}
		subject := l.ledger.offer(bob, "crowd")
		if err := c.SendMail("friend@elsewhere.test", []string{bob}, strings.NewReader(letter("friend@elsewhere.test", bob, subject, t.rnd))); err != nil {
			return err
		}
		l.ledger.stored(subject)
		_ = c.Quit()
		if took := time.Since(begin); took > 2*time.Second {
			return fmt.Errorf("a message took %v in the crowd", took)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, c := range conns {
		c.Close()
	}
	conns = nil
	stop()
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	return t.verify(ctx)
}

// drip is a client that sends a message one octet at a time.
func drip(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := net.Dial("tcp", mxAddr)
		if err != nil {
			return
		}
		for _, b := range []byte("EHLO slow.test\r\nMAIL FROM:<s@slow.test>\r\nRCPT TO:<" + bob + ">\r\nDATA\r\nSubject: slow\r\n\r\n" + strings.Repeat("slow ", 1000)) {
			if _, err := c.Write([]byte{b}); err != nil || ctx.Err() != nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		c.Close()
	}
}

// soak runs the mixed load without any kill, and looks at what the process holds: it may grow with the mail
// at first, and must be flat in the second half. A day of a small server's traffic passes in the time.
func soak(ctx context.Context, t *trial) error {
	length := 8 * time.Minute
	if t.opt.quick {
		length = 20 * time.Second
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	l := &load{ledger: newLedger()}
	loading, stop := context.WithTimeout(ctx, length)
	defer stop()
	ended := make(chan struct{})
	go func() { l.run(loading, t.opt.seed); close(ended) }()
	var half, last held
	for begin := time.Now(); loading.Err() == nil; {
		time.Sleep(length / 40)
		now, err := t.held()
		if err != nil {
			return err
		}
		if time.Since(begin) < length/2 {
			half = half.max(now)
		} else {
			last = last.max(now)
		}
	}
	<-ended
	fmt.Printf("      %d operations; at most %s in the first half, %s in the second\n", l.done.Load(), half, last)
	if last.rss > half.rss*3/2+(32<<10) || last.files > half.files*3/2+20 || last.threads > half.threads+20 {
		return errors.New("the process grows")
	}
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	return t.verify(ctx)
}

// held is what the server's process holds.
type held struct{ rss, files, threads int }

func (h held) max(o held) held {
	return held{max(h.rss, o.rss), max(h.files, o.files), max(h.threads, o.threads)}
}

func (h held) String() string {
	return fmt.Sprintf("%d MiB, %d files, %d threads", h.rss>>10, h.files, h.threads)
}

func (t *trial) held() (h held, err error) {
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
	h.files = len(files)
	return h, err
}
