package smtpd

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	windowSize  = 16 << 10 // what we read at once; the longest AUTH line fits
	lineMax     = 2048     // RFC 5321 4.5.3.1.4 asks for 512, extensions for some hundred more
	authLineMax = 12288    // RFC 4954 4.3
	drainMax    = 64 << 10 // of a line too long, before we give up on it
	writeWait   = 60 * time.Second
)

var (
	errLong   = errors.New("line too long")
	errBareLF = errors.New("line ends with a bare LF")
)

// wire reads and writes a connection. What we answer is kept back until we have to wait for the
// peer, so that the replies to pipelined commands leave together (RFC 2920 3.2).
type wire struct {
	conn net.Conn
	in   *[windowSize]byte
	r, w int // in[r:w] has been read and not used
	out  []byte
}

// windows are handed from one connection to the next.
var windows = sync.Pool{New: func() any { return new([windowSize]byte) }}

// fill reads more into the window, which has room. It sends what is waiting first.
func (w *wire) fill() error {
	if err := w.flush(); err != nil {
		return err
	}
	if w.r == w.w {
		w.r, w.w = 0, 0
	} else if w.w == windowSize {
		w.w = copy(w.in[:], w.in[w.r:w.w])
		w.r = 0
	}
	n, err := w.conn.Read(w.in[w.w:])
	w.w += n
	if n > 0 {
		return nil
	}
	return err
}

func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	w.conn.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// buffered is what the peer has sent ahead.
func (w *wire) buffered() []byte { return w.in[w.r:w.w] }

// readLine returns the next line without its CRLF. It is valid until the next read. A line longer
// than limit octets, CRLF included, is read to its end and errLong returned.
func (w *wire) readLine(limit int) ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(w.in[w.r+seen:w.w], '\n'); i >= 0 {
			line := w.in[w.r : w.r+seen+i]
			w.r += seen + i + 1
			switch {
			case len(line)+1 > limit:
				return nil, errLong
			case len(line) == 0 || line[len(line)-1] != '\r':
				return nil, errBareLF
			}
			return line[:len(line)-1], nil
		}
		seen = w.w - w.r
		if seen >= limit {
			return nil, w.skipLine()
		}
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}

// skipLine reads on to the end of a line that is too long.
func (w *wire) skipLine() error {
	for skipped := 0; skipped < drainMax; {
		if i := bytes.IndexByte(w.buffered(), '\n'); i >= 0 {
			w.r += i + 1
			return errLong
		}
		skipped += w.w - w.r
		w.r = w.w
		if err := w.fill(); err != nil {
			return err
		}
	}
	return errors.New("a line without an end")
}
