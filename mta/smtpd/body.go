package smtpd

import (
	"bytes"
	"os"
	"sync"

	"facteur/mta"
)

// lineRule says what happens to a CR or LF that stands alone.
type lineRule uint8

const (
	refuseBare lineRule = iota // RFC 5321 2.3.8
	mendBare                   // makes it a CRLF: our users' programs send files as they are
	binaryBody                 // BODY=BINARYMIME: after the header any octet goes (RFC 3030 3)
)

// collector takes the octets of a message as they come, in any portions, checks them, and keeps
// them: in memory up to Limits.Memory, then in a spool file. After a fault it goes on
// counting and keeps nothing, since the peer hears of it only at the end.
type collector struct {
	limits *Limits
	dir    string
	lines  lineRule
	mender mender

	mem   []byte
	file  *os.File
	size  int64
	cr    bool // the last octet was a CR
	head  headScan
	fault *mta.Reply
}

// scratch is where bodies grow; what is kept is a copy of the right size.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 32<<10); return &b }}

func newCollector(l *Limits, dir string, lines lineRule) *collector {
	return &collector{limits: l, dir: dir, lines: lines, mem: *scratch.Get().(*[]byte)}
}

// write takes the next octets.
func (c *collector) write(p []byte) {
	if c.lines == mendBare {
		c.mender.feed(p, c.take)
		return
	}
	c.take(p)
}

// take takes octets whose line ends stay as they are.
func (c *collector) take(p []byte) {
	before := c.size
	c.size += int64(len(p))
	if c.fault != nil {
		return
	}
	large := over(c.size, c.limits.Message)
	if large { // the first fault counts, wherever the network cuts the stream
		p = p[:c.limits.Message-before]
	}
	if c.fault = c.check(p); c.fault != nil {
		return
	}
	if large {
		c.fault = replySize
		return
	}
	c.fault = c.keep(p)
}

// check goes through the lines, and lets the header be measured.
func (c *collector) check(p []byte) *mta.Reply {
	for len(p) > 0 {
		if c.lines == binaryBody && c.head.done {
			return nil
		}
		line, rest, ended := bytes.Cut(p, lf)
		if r := c.checkLine(line); r != nil {
			return r
		}
		if ended {
			if r := c.checkEnd(); r != nil {
				return r
			}
		}
		p = rest
	}
	return nil
}

// checkLine takes a line up to its LF, or as much of it as has come. A CR may only be its last octet (RFC 5321 2.3.8).
func (c *collector) checkLine(line []byte) *mta.Reply {
	if c.cr && len(line) > 0 {
		return replyBareLine
	}
	text, after, hasCR := bytes.Cut(line, cr)
	if r := c.head.text(text, c.limits); r != nil {
		return r
	}
	if len(after) > 0 {
		return replyBareLine
	}
	c.cr = c.cr || hasCR
	return nil
}

// checkEnd takes the LF, which has to follow a CR (RFC 5321 2.3.8).
func (c *collector) checkEnd() *mta.Reply {
	if !c.cr {
		return replyBareLine
	}
	c.cr = false
	return c.head.endLine(c.limits)
}

// keep stores checked octets.
func (c *collector) keep(p []byte) *mta.Reply {
	if c.file == nil {
		if int64(len(c.mem)+len(p)) <= c.limits.Memory {
			c.mem = append(c.mem, p...)
			return nil
		}
		f, err := os.CreateTemp(c.dir, "in-*")
		if err != nil {
			return storageFault(err)
		}
		c.file = f
		if _, err := f.Write(c.mem); err != nil {
			return storageFault(err)
		}
	}
	if _, err := c.file.Write(p); err != nil {
		return storageFault(err)
	}
	return nil
}

// storageFault: most often a full disk; the peer may try again.
func storageFault(err error) *mta.Reply {
	return &mta.Reply{Code: 452, Enhanced: [3]int{4, 3, 1}, Text: "No room for the message, please try again later", Err: err}
}

// finish returns the message, or why it is refused; then nothing is left on disk. The collector
// is used up.
func (c *collector) finish() (*mta.Body, *mta.Reply) {
	if c.lines == mendBare {
		c.mender.close(c.take)
	}
	if c.fault == nil && c.cr && (c.lines != binaryBody || !c.head.done) {
		c.fault = replyBareLine
	}
	defer c.discard()
	if c.fault != nil {
		return nil, c.fault
	}
	if c.file == nil {
		return mta.BodyBytes(bytes.Clone(c.mem)), nil
	}
	header := c.size
	if c.head.done {
		header = c.head.size
	}
	b := mta.BodyFile(c.file, c.size, header, true)
	c.file = nil // the body's now
	return b, nil
}

// discard gives back what the collector holds. It may be called twice.
func (c *collector) discard() {
	if c.mem != nil {
		mem := c.mem[:0]
		scratch.Put(&mem)
		c.mem = nil
	}
	if c.file != nil {
		c.file.Close()
		os.Remove(c.file.Name())
		c.file = nil
	}
}

// headScan measures a header while it comes in, so that what nobody could parse in reasonable time
// is never stored.
type headScan struct {
	done   bool // the blank line has come
	size   int64
	line   int // octets of the line so far
	start  [12]byte
	fields int
	field  int // octets of the field so far
	lines  int // lines of the field so far
	hops   int
}

// text takes a part of a line.
func (h *headScan) text(p []byte, l *Limits) *mta.Reply {
	if h.done {
		return nil
	}
	if h.line < len(h.start) {
		copy(h.start[h.line:], p)
	}
	h.line += len(p)
	h.size += int64(len(p))
	if over(int64(h.line), int64(l.Field)) || over(h.size, l.Header) {
		return replyHeader
	}
	return nil
}

// endLine takes a CRLF.
func (h *headScan) endLine(l *Limits) *mta.Reply {
	if h.done {
		return nil
	}
	h.size += 2
	if h.line == 0 {
		h.done = true
		return nil
	}
	if h.start[0] == ' ' || h.start[0] == '\t' {
		h.lines++
		h.field += h.line
	} else {
		h.fields++
		h.lines, h.field = 1, h.line
		if h.isReceived() {
			h.hops++
		}
	}
	h.line = 0
	switch {
	case over(int64(h.fields), int64(l.Fields)), over(int64(h.field), int64(l.Field)), over(int64(h.lines), int64(l.FieldLines)):
		return replyHeader
	case over(int64(h.hops), int64(l.Hops)):
		return replyHops
	}
	return nil
}

func (h *headScan) isReceived() bool {
	const name = "received"
	start := h.start[:min(h.line, len(h.start))]
	if len(start) <= len(name) || !bytes.EqualFold(start[:len(name)], []byte(name)) {
		return false
	}
	rest := bytes.TrimLeft(start[len(name):], " \t")
	return len(rest) > 0 && rest[0] == ':'
}

// over reports that n is above a limit that is set.
func over(n, limit int64) bool { return limit > 0 && n > limit }
