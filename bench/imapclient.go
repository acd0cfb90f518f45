package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// imapConn is the smallest IMAP client: it counts what comes and keeps only what it is asked for.
type imapConn struct {
	c   net.Conn
	r   *bufio.Reader
	w   *bufio.Writer
	tag int
}

// answer is what one command brought.
type answer struct {
	lines int      // untagged responses
	bytes int64    // octets in literals
	kept  []string // untagged responses that the caller's filter wanted
	ok    string   // text of the tagged OK
}

func dialIMAP(ctx context.Context, addr string, useTLS bool) (*imapConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if useTLS {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // a benchmark's throw-away certificate
	}
	if t, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(t)
	}
	ic := &imapConn{c: c, r: bufio.NewReaderSize(c, 4<<10), w: bufio.NewWriterSize(c, 4<<10)}
	if _, err := ic.r.ReadString('\n'); err != nil {
		c.Close()
		return nil, err
	}
	return ic, nil
}

// login opens a connection in the clear with large buffers, for bulk work.
func login(ctx context.Context, addr string) (*imapConn, error) {
	ic, err := dialIMAP(ctx, addr, false)
	if err != nil {
		return nil, err
	}
	ic.r, ic.w = bufio.NewReaderSize(ic.c, 1<<20), bufio.NewWriterSize(ic.c, 256<<10)
	_, err = ic.do("LOGIN %s %s", user, password)
	return ic, err
}

func (c *imapConn) close() {
	_, _ = c.do("LOGOUT")
	c.c.Close()
}

// do sends a command and reads to its end. A NO or BAD is an error.
func (c *imapConn) do(format string, args ...any) (answer, error) {
	return c.keep(nil, format, args...)
}

// keep is do with a filter of the untagged responses to return.
func (c *imapConn) keep(want func(line string) bool, format string, args ...any) (answer, error) {
	c.tag++
	fmt.Fprintf(c.w, "t%d ", c.tag)
	fmt.Fprintf(c.w, format, args...)
	c.w.WriteString("\r\n")
	if err := c.w.Flush(); err != nil {
		return answer{}, err
	}
	return c.finish(want)
}

// finish reads up to the tagged response of the newest command.
func (c *imapConn) finish(want func(line string) bool) (answer, error) {
	var a answer
	tag := fmt.Appendf(nil, "t%d ", c.tag)
	start := true // of a response, not of what follows a literal
	for {
		line, err := c.r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			start = false
			continue
		}
		if err != nil {
			return a, err
		}
		if start && bytes.HasPrefix(line, tag) {
			text := strings.TrimSpace(string(line[len(tag):]))
			if !strings.HasPrefix(text, "OK") {
				return a, errors.New("IMAP: " + text)
			}
			a.ok = text
			return a, nil
		}
		if start {
			a.lines++
			if want != nil && want(string(line)) {
				a.kept = append(a.kept, strings.TrimSpace(string(line)))
			}
		}
		n, literal := literalSize(line)
		if literal {
			if _, err := c.r.Discard(n); err != nil {
				return a, err
			}
			a.bytes += int64(n)
		}
		start = !literal
	}
}

func literalSize(line []byte) (int, bool) {
	line, ok := bytes.CutSuffix(line, []byte("}\r\n"))
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, '{')+1:]))
	return n, err == nil
}

// fill appends messages from..to on four connections, and records the rate.
func fill(ctx context.Context, e *env, from, to int, message func(i int) []byte) error {
	const conns, batch = 4, 500
	begin := time.Now()
	var next atomic.Int64
	if err := each(conns, conns, func(int) error {
		c, err := login(ctx, e.server.addresses().imap)
		if err != nil {
			return err
		}
		defer c.close()
		for {
			i := from + int(next.Add(batch)) - batch
			if i >= to {
				return nil
			}
			if err := c.multiappend("INBOX", i, min(i+batch, to), message); err != nil {
				return err
			}
		}
	}); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	e.record(metric{name: fmt.Sprintf("filled to %d by MULTIAPPEND, %d connections", to, conns), unit: "msg/s",
		value: float64(to-from) / time.Since(begin).Seconds()})
	return nil
}

// multiappend is one APPEND of many messages (RFC 3502) with non-synchronising literals, which both servers take
// quickly.
func (c *imapConn) multiappend(mailbox string, from, to int, message func(i int) []byte) error {
	c.tag++
	fmt.Fprintf(c.w, "t%d APPEND %s", c.tag, mailbox)
	for i := from; i < to; i++ {
		msg := message(i)
		fmt.Fprintf(c.w, " {%d+}\r\n", len(msg))
		c.w.Write(msg)
	}
	c.w.WriteString("\r\n")
	if err := c.w.Flush(); err != nil {
		return err
	}
	_, err := c.finish(nil)
	return err
}

// count asks STATUS for the number of messages.
func (c *imapConn) count(mailbox string) (int, error) {
	a, err := c.keep(func(l string) bool { return strings.Contains(l, "STATUS") }, "STATUS %s (MESSAGES)", mailbox)
	if err != nil {
		return 0, err
	}
	for _, line := range a.kept {
		if i := strings.LastIndex(line, "MESSAGES "); i >= 0 {
			return strconv.Atoi(strings.Trim(line[i+len("MESSAGES "):], ") "))
		}
	}
	return 0, errors.New("STATUS gave no MESSAGES")
}

// waitCount asks until a mailbox shows n messages. Asking costs the server, so there is a pause between.
func (c *imapConn) waitCount(ctx context.Context, mailbox string, n int, pause time.Duration) error {
	for {
		got, err := c.count(mailbox)
		if err != nil {
			return err
		}
		if got >= n {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s shows %d of %d messages: %w", mailbox, got, n, ctx.Err())
		}
		time.Sleep(pause)
	}
}
