package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// stuff writes a message as a multi-line answer (RFC 1939 3): a dot at the start of a line gets
// another, and a line with a dot ends it. Of the body it writes so many lines; all of them
// when the number is negative.
func stuff(w *bufio.Writer, r io.ReaderAt, size int64, lines int) error {
	buf := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buf)
	s := stuffer{w: w, lines: lines, start: true, last: '\n'}
	for off := int64(0); off < size && !s.done; {
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if n == 0 {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		off += int64(n)
		s.write(buf[:n])
	}
	if s.last != '\n' {
		w.WriteString("\r\n")
	}
	_, err := w.WriteString(".\r\n")
	return err
}

type stuffer struct {
	w     *bufio.Writer
	lines int  // of the body still to come; negative: all
	start bool // at the start of a line
	empty bool // nothing but a CR since
	body  bool // the blank line has been written
	done  bool
	last  byte
}

func (s *stuffer) write(p []byte) {
	for len(p) > 0 {
		if s.body && s.lines == 0 {
			s.done = true
			return
		}
		if s.start {
			s.empty = true
			if p[0] == '.' {
				s.w.WriteByte('.')
			}
		}
		line, whole := p, false
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			line, whole = p[:i+1], true
		}
		s.empty = s.empty && len(bytes.Trim(line, "\r\n")) == 0
		s.w.Write(line)
		s.last = line[len(line)-1]
		s.start = whole
		p = p[len(line):]
		if !whole {
			return
		}
		switch {
		case !s.body:
			s.body = s.empty
		case s.lines > 0:
			s.lines--
		}
	}
}
