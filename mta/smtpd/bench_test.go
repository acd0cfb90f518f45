package smtpd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"facteur/mta"
)

// null takes everything and keeps nothing.
type null struct{ backend }

func (*null) Deliver(_ context.Context, _ *mta.Message, to []mta.Recipient) []mta.Result {
	return make([]mta.Result, len(to))
}
func (*null) Add(context.Context, *mta.Message) error { return nil }

func (*null) Submit(context.Context, string, *mta.Message) (*mta.Reply, error) { return nil, nil }

func benchMessage(size int) string {
	var b strings.Builder
	b.WriteString("From: Ann <ann@example.org>\r\nTo: Bob <bob@example.test>\r\nSubject: bench\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n")
	line := strings.Repeat("0123456789abcdef", 4) + "0123456789\r\n"
	for b.Len() < size {
		b.WriteString(line)
	}
	return b.String()
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSession is what a message costs over loopback, CPU of client and server and kernel together,
// with one connection for each and with one for all.
func BenchmarkSession(b *testing.B) {
	for _, size := range []int{1 << 10, 10 << 10, 100 << 10, 4 << 20} {
		for _, once := range []bool{true, false} {
			name := fmt.Sprintf("%dKiB/connection-each", size>>10)
			if !once {
				name = fmt.Sprintf("%dKiB/one-connection", size>>10)
			}
			b.Run(name, func(b *testing.B) { benchSession(b, benchMessage(size), once) })
		}
	}
}

func benchSession(b *testing.B, message string, once bool) {
	n := &null{}
	cfg := testConfig(b, MX, &n.backend)
	cfg.Deliverer, cfg.Queue, cfg.Limits.PerMinute, cfg.Limits.Messages = n, n, 0, 0
	addr := start(b, cfg)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	before := cpu(b)
	var c *benchClient
	for b.Loop() {
		if c == nil {
			c = newBenchClient(b, addr)
		}
		c.message(message)
		if once {
			c.step("QUIT\r\n", 1)
			c.conn.Close()
			c = nil
		}
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1000, "cpu-µs/op")
	if c != nil {
		c.conn.Close()
	}
}

// benchClient does as little as a client can.
type benchClient struct {
	b    *testing.B
	conn net.Conn
	buf  [4096]byte
}

func newBenchClient(b *testing.B, addr string) *benchClient {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	c := &benchClient{b: b, conn: conn}
	c.step("", 1)
	c.step("EHLO client.example.org\r\n", 11)
	return c
}

func (c *benchClient) message(text string) {
	c.step("MAIL FROM:<ann@example.org> SIZE=10240\r\n", 1)
	c.step("RCPT TO:<bob@example.test>\r\n", 1)
	c.step("DATA\r\n", 1)
	c.step(text+".\r\n", 1)
}

// step sends and waits for that many lines.
func (c *benchClient) step(send string, lines int) {
	if send != "" {
		if _, err := c.conn.Write([]byte(send)); err != nil {
			c.b.Fatal(err)
		}
	}
	for lines > 0 {
		n, err := c.conn.Read(c.buf[:])
		if err != nil {
			c.b.Fatal(err)
		}
		if c.buf[0] > '3' {
			c.b.Fatalf("%q", c.buf[:n])
		}
		lines -= bytes.Count(c.buf[:n], []byte("\n"))
	}
}

// BenchmarkBody is the scanning alone.
func BenchmarkBody(b *testing.B) {
	text := []byte(benchMessage(1<<20) + ".\r\n")
	limits := DefaultLimits(MX)
	limits.Memory = 2 << 20
	for _, rule := range []struct {
		name  string
		lines lineRule
	}{{"refuse", refuseBare}, {"mend", mendBare}} {
		b.Run(rule.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				var u unstuffer
				c := newCollector(&limits, "", rule.lines)
				for p := text; len(p) > 0; {
					n, _ := u.feed(p[:min(len(p), windowSize)], c.write)
					p = p[n:]
				}
				c.discard()
			}
		})
	}
}
