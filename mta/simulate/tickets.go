package simulate

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// ErrTickets: the server sends TLS session tickets on its SMTP port.
var ErrTickets = errors.New("the server sends session tickets")

// TicketAbort behaves as some large senders do: it says EHLO and STARTTLS on conn, and
// breaks off with ErrTickets when the server sends session tickets after the handshake
// (golang/go#70232). It closes conn.
func TicketAbort(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(conn)
	for _, line := range []string{"", "EHLO ticket.test", "STARTTLS"} {
		if err := exchange(conn, r, line); err != nil {
			return err
		}
	}
	cache := &countingCache{}
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "ticket.test", ClientSessionCache: cache})
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	// TLS 1.3 tickets follow the handshake: they are read along with the next reply.
	err := exchange(c, bufio.NewReader(c), "EHLO ticket.test")
	if cache.puts.Load() > 0 {
		return ErrTickets
	}
	return err
}

// exchange sends a line, unless it is empty, and wants a positive reply.
func exchange(conn net.Conn, r *bufio.Reader, line string) error {
	if line != "" {
		if _, err := fmt.Fprintf(conn, "%s\r\n", line); err != nil {
			return err
		}
	}
	for {
		reply, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("after %q: %w", line, err)
		}
		if !strings.HasPrefix(reply, "2") {
			return fmt.Errorf("after %q: %s", line, strings.TrimSpace(reply))
		}
		if len(reply) < 4 || reply[3] != '-' {
			return nil
		}
	}
}

// countingCache is told of every ticket.
type countingCache struct{ puts atomic.Int32 }

func (c *countingCache) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c *countingCache) Put(_ string, state *tls.ClientSessionState) {
	if state != nil {
		c.puts.Add(1)
	}
}
