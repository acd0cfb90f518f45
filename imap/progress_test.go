package imap

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"facteur/storage"
)

// A command that works for long says that it goes on (RFC 9585). Here whoever hears of a change takes their time.
func TestLongCommandsTellTheirProgress(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.progressEvery = time.Millisecond })
	h.manyMessages(2000) // to search their headers takes long too
	c := h.login()
	c.ok("SELECT INBOX")
	w := h.account().WatchFunc(func() { time.Sleep(20 * time.Millisecond) })
	defer w.Close()
	for _, command := range []string{
		"SEARCH HEADER Content-Type html", "STORE 1 +FLAGS (word)", "COPY 2 Archive", "UID MOVE 3 Archive", "STORE 1:2 +FLAGS.SILENT (\\Deleted)",
		"UID EXPUNGE 1", "EXPUNGE", "STORE 1 +FLAGS.SILENT (\\Deleted)", "CLOSE",
	} {
		told := 0
		progress := regexp.MustCompile(fmt.Sprintf(`^\* OK \[INPROGRESS \("t%d" (NIL|[1-9][0-9]*) NIL\)\] `, c.n+1))
		for _, line := range c.ok(command) {
			if progress.MatchString(line) {
				told++
			} else if strings.Contains(line, "INPROGRESS") {
				t.Errorf("%s: %s", command, line)
			}
		}
		if told == 0 {
			t.Errorf("%s: no sign of progress", command)
		}
	}
}

// Signs of progress come again and again, say what was read, and end with the work.
func TestProgressCounts(t *testing.T) {
	h := newHouse(t, nil)
	h.deliver("INBOX", "Subject: one\r\n\r\nx\r\n")
	box, err := h.account().Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Release()
	sent := make(lines)
	p := &progress{out: &output{w: sent, pool: &h.srv.buffers}, tag: "a1", every: time.Millisecond}
	counted := &countedBox{Mailbox: box, progress: p}
	next := func(n string) {
		t.Helper()
		// What was being written may not have counted all.
		want := "* OK [INPROGRESS (\"a1\" " + n + " NIL)] Still working\r\n"
		if first, second := <-sent, <-sent; second != want {
			t.Errorf("sent %q and %q, want %q", first, second, want)
		}
	}
	patiently(p, func() (struct{}, error) {
		next("NIL")
		for _, err := range counted.Details(t.Context(), []storage.UID{1}) {
			if err != nil {
				t.Error(err)
			}
		}
		next("1")
		for range 2 {
			content, err := counted.Open(1)
			if err != nil {
				t.Error(err)
				break
			}
			content.Close()
		}
		next("2")
		return struct{}{}, nil
	})
	select {
	case late := <-sent:
		t.Errorf("after the end: %q", late)
	case <-time.After(10 * time.Millisecond):
	}
}

// A search whose client is gone ends.
func TestProgressSeesThatTheClientIsGone(t *testing.T) {
	h := newHouse(t, nil)
	h.deliver("INBOX", "Subject: one\r\n\r\nx\r\n")
	box, err := h.account().Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Release()
	read, write := io.Pipe()
	read.Close()
	p := &progress{out: &output{w: write, pool: &h.srv.buffers}, tag: "a1", every: time.Millisecond}
	counted := &countedBox{Mailbox: box, progress: p}
	_, err = patiently(p, func() (struct{}, error) {
		for range 10000 {
			for _, err := range counted.Details(t.Context(), []storage.UID{1}) {
				if err != nil {
					_, fromOpen := counted.Open(1)
					return struct{}{}, errors.Join(err, fromOpen)
				}
			}
			time.Sleep(time.Millisecond)
		}
		return struct{}{}, nil
	})
	if !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}

// lines hands on what is written, each time when somebody takes it.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	case <-time.After(20 * time.Millisecond): // nobody reads any more
	}
	return len(p), nil
}
