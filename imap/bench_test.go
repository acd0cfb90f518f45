package imap

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"facteur/storage"
)

// manyMessages fills INBOX with n small messages.
func (h *house) manyMessages(n int) {
	h.t.Helper()
	box, err := h.account().Mailbox(h.t.Context(), "INBOX")
	if err != nil {
		h.t.Fatal(err)
	}
	defer box.Release()
	for i := 0; i < n; i += 500 {
		msgs := make([]storage.New, 0, 500)
		for k := range min(500, n-i) {
			text := fmt.Sprintf("From: Ann Example <ann%d@example.org>\r\nTo: bob@example.org\r\nSubject: message number %d\r\n"+
				"Date: Sun, 1 Feb 2026 10:00:00 +0000\r\nMessage-ID: <%d@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello %d\r\n", k%50, i+k, i+k, i+k)
			msgs = append(msgs, storage.New{Body: strings.NewReader(text), Size: int64(len(text))})
		}
		if _, err := box.Append(h.t.Context(), msgs); err != nil {
			h.t.Fatal(err)
		}
	}
}

// octets sends a command and counts what comes back, parsing nothing.
func (c *client) octets(command string) int64 {
	c.n++
	tag := fmt.Sprintf("t%d ", c.n)
	c.send(tag + command + "\r\n")
	total := int64(0)
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		total += int64(len(line))
		if bytes.HasPrefix(line, []byte(tag)) {
			return total
		}
	}
}

func BenchmarkIMAP(b *testing.B) {
	h := newHouse(b, nil)
	h.manyMessages(10000)
	c := h.login()
	c.ok("SELECT INBOX")
	for _, bb := range []struct{ name, command string }{
		{"Select", "SELECT INBOX"},
		{"FetchFlags10k", "FETCH 1:* (UID FLAGS)"},
		{"FetchEnvelope10k", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"},
		{"SearchFlags10k", "SEARCH FLAGGED UNSEEN"},
		{"SearchSubject10k", "SEARCH SUBJECT \"number 77\""},
		{"FetchChanged10k", "FETCH 1:* (FLAGS) (CHANGEDSINCE 1)"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(c.octets(bb.command))
			}
		})
	}
}

func BenchmarkBodies(b *testing.B) {
	h := newHouse(b, nil)
	c := h.login()
	text := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 128)
	for range 200 {
		c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
	}
	c.ok("SELECT INBOX")
	for b.Loop() {
		b.SetBytes(c.octets("FETCH 1:* BODY.PEEK[]"))
	}
}

// BenchmarkLogin is connect, login and SELECT on as many connections as there are
// processors.
func BenchmarkLogin(b *testing.B) {
	h := newHouse(b, nil)
	var mu sync.Mutex
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock() // h.dial registers a cleanup
			c := h.dial()
			mu.Unlock()
			c.ok("LOGIN " + alice + " secret")
			c.ok("SELECT INBOX")
			c.nc.Close()
		}
	})
}
