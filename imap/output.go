package imap

import (
	"fmt"
	"io"
	"slices"
	"sync"
)

// output gathers responses and writes them in large pieces. What can fail comes in front of
// a response: once begun, it is written to its end, or the connection ends. After the first
// error nothing is written any more.
type output struct {
	w    io.Writer
	sync func() error // pushes out what a compressor has kept; nil: nothing
	pool *sync.Pool
	held *[]byte
	buf  []byte
	err  error
}

// flushAt is where gathering ends: a little over one TLS record of the largest size.
const flushAt = 32 << 10

// hold takes a buffer from the pool, when there is none.
func (o *output) hold() {
	if o.held == nil {
		o.held = o.pool.Get().(*[]byte)
		o.buf = (*o.held)[:0]
	}
}

// release gives the buffer back; it has to be flushed.
func (o *output) release() {
	if o.held == nil {
		return
	}
	if cap(o.buf) <= 4*flushAt { // a giant is left to the garbage collector
		*o.held = o.buf[:0]
		o.pool.Put(o.held)
	}
	o.held, o.buf = nil, nil
}

// printf appends text.
func (o *output) printf(format string, args ...any) {
	o.hold()
	o.buf = fmt.Appendf(o.buf, format, args...)
	o.spill()
}

// spill writes out what has been gathered once it is much. Call it between responses, and
// between the items of one that lists messages: there may be a million.
func (o *output) spill() {
	if len(o.buf) >= flushAt {
		o.write()
	}
}

func (o *output) write() {
	if o.err == nil && len(o.buf) > 0 {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
}

// flush sends everything to the client, and what spill has left in a compressor too.
func (o *output) flush() error {
	o.write()
	if o.err == nil && o.sync != nil {
		o.err = o.sync()
	}
	return o.err
}

// stream sends n octets of r behind what has been gathered. Fewer of them break the
// protocol: then the connection is not used any more.
func (o *output) stream(r io.Reader, n int64) {
	o.hold()
	for n > 0 && o.err == nil {
		o.spill()
		room := int(min(n, int64(flushAt-len(o.buf))))
		if room <= 0 {
			continue
		}
		at := len(o.buf)
		o.buf = slices.Grow(o.buf, room)[:at+room]
		got, err := io.ReadFull(r, o.buf[at:])
		n -= int64(got)
		if err != nil {
			o.buf = o.buf[:at]
			o.err = fmt.Errorf("message is shorter than its size: %w", err)
		}
	}
	o.spill()
}
