package smtpd

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"facteur/mta"
)

// data reads a message up to CRLF.CRLF (RFC 5321 4.1.1.4).
func (c *conn) data(ctx context.Context, _ string) *mta.Reply {
	switch {
	case len(c.env.To) == 0:
		c.reset()
		return mta.NewReply(554, [3]int{5, 5, 1}, "No valid recipients")
	case c.env.Encoding == mta.EncodingBinaryMIME: // RFC 3030 3
		return mta.NewReply(503, [3]int{5, 5, 1}, "BODY=BINARYMIME goes with BDAT")
	}
	c.say(replyGo)
	body := newCollector(&c.s.Limits, c.s.SpoolDir, c.lineRule())
	defer body.discard()
	var dots unstuffer
	began := time.Now()
	for {
		if err := c.fillBody(began, body.size); err != nil {
			return c.cutOff(err)
		}
		n, end := dots.feed(c.buffered(), body.write)
		c.r += n
		if end {
			break
		}
	}
	r := c.message(ctx, body)
	if dots.doubtful {
		c.closing = true
	}
	return r
}

// lineRule: the MX takes no line ends on trust, for the next server may read others in them. A user's message
// is ours to put right (RFC 6409 8), and goes on with CRLF only.
func (c *conn) lineRule() lineRule {
	switch {
	case c.env.Encoding == mta.EncodingBinaryMIME:
		return binaryBody
	case c.s.Kind == MX:
		return refuseBare
	}
	return mendBare
}

// fillBody makes sure that there is something in the window. A message has Limits.Data to come in, and after
// a grace of a minute has to keep up the least rate.
func (c *conn) fillBody(began time.Time, got int64) error {
	if len(c.buffered()) > 0 {
		return nil
	}
	wait := c.s.Limits.Data
	if rate := c.s.Limits.MinRate; rate > 0 {
		wait = min(wait, time.Minute+time.Duration(got/rate)*time.Second)
	}
	c.setDeadline(time.Until(began.Add(wait)))
	return c.fill()
}

// cutOff: a message or login did not come to its end, and is forgotten.
func (c *conn) cutOff(err error) *mta.Reply {
	c.closing = true
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return replyTimeout
	}
	if !errors.Is(err, io.EOF) {
		c.s.Log.Debug("connection lost half-way", "listener", c.peer.Listener, "peer", c.peer.Addr.String(), "error", err)
	}
	return nil
}

// bdat reads one chunk (RFC 3030 2). A message is complete only with LAST and all the octets it
// announced. When the size can't be read, we don't know where the next command is: the session ends.
func (c *conn) bdat(ctx context.Context, arg string) *mta.Reply {
	size, last, ok := parseChunk(arg)
	if !ok {
		return replyBadChunk
	}
	refusal := c.chunkOutOfOrder()
	if refusal == nil && c.chunks == nil {
		c.chunks = newCollector(&c.s.Limits, c.s.SpoolDir, c.lineRule())
	}
	began := time.Now()
	for left := size; left > 0; {
		if refusal != nil && size-left > c.s.Limits.Message {
			return replyBadChunk // not worth reading on
		}
		if err := c.fillBody(began, size-left); err != nil {
			return c.cutOff(err)
		}
		p := c.buffered()
		p = p[:min(left, int64(len(p)))]
		if refusal == nil {
			c.chunks.write(p)
		}
		c.r += len(p)
		left -= int64(len(p))
	}
	switch {
	case refusal != nil:
		return refusal
	case !last && c.chunks.fault != nil:
		r := c.chunks.fault
		c.reset() // later chunks are out of order (RFC 3030 2)
		return r
	case !last:
		c.state = stateBdat
		return mta.NewReply(250, [3]int{2, 0, 0}, "%d octets received", size)
	}
	body := c.chunks
	c.chunks = nil
	defer body.discard()
	return c.message(ctx, body)
}

// chunkOutOfOrder: its octets are read in any case, and then thrown away.
func (c *conn) chunkOutOfOrder() *mta.Reply {
	switch {
	case c.s.Kind != MX && c.login == nil:
		return replyLoginFirst
	case c.state < stateRcpt:
		return c.outOfOrder()
	case len(c.env.To) == 0:
		c.reset()
		return mta.NewReply(554, [3]int{5, 5, 1}, "No valid recipients")
	}
	return nil
}

// parseChunk reads "1000" or "1000 LAST": digits and nothing else.
func parseChunk(arg string) (size int64, last, ok bool) {
	digits, rest, more := strings.Cut(arg, " ")
	if size, ok = parseSize(digits); !ok {
		return 0, false, false
	}
	last = strings.EqualFold(rest, "LAST")
	return size, last, last || !more
}

// answerWait is what a message may take from its last octet to our reply: the peer waits for ten minutes (RFC 5321 4.5.3.2.6).
const answerWait = 9 * time.Minute

// message takes a complete body. The envelope is handed over with it: nothing of this message is left
// for the next.
func (c *conn) message(ctx context.Context, body *collector) *mta.Reply {
	m := &mta.Message{ID: mta.NewID(), Env: c.env, Arrived: c.s.Now(), Peer: c.peer}
	c.reset()
	c.messages++
	c.useless, c.found = 0, nil
	began := time.Now()
	var refusal *mta.Reply
	if m.Body, refusal = body.finish(); refusal != nil {
		return c.refused(ctx, m, body.size, refusal)
	}
	// The holder of the last reference: queue and delivery have made their own copies.
	defer func() { m.Body.Close() }()
	size := m.Body.Size()
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	var r *mta.Reply
	if c.s.Kind == MX {
		r = c.receive(ctx, m)
	} else {
		r = c.submit(ctx, m)
	}
	if !r.Positive() {
		return c.refused(ctx, m, size, r)
	}
	c.s.Observe(Event{Listener: c.peer.Listener, What: Accepted, Octets: size, Took: time.Since(began)})
	return r
}
