package message

import (
	"bufio"
	"io"
	"sync"
)

// lineReader hands out a message line by line, in one pass and with one buffer,
// whatever the length of the message or of its lines.
type lineReader struct {
	in  *bufio.Reader
	pos int64 // offset of the octet after the last piece handed out
	lf  int64 // line feeds up to pos
	err error // other than io.EOF
}

// pieceSize bounds what next hands out at once. It is more than the longest
// boundary line that we compare.
const pieceSize = 16 << 10

// pieces are the buffers of lineReaders: a delivery would make one for each message.
var pieces = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, pieceSize) }}

// newLineReader begins to read the first size octets of r. Call release at the end.
func newLineReader(r io.ReaderAt, size int64) *lineReader {
	in := pieces.Get().(*bufio.Reader)
	in.Reset(io.NewSectionReader(r, 0, size))
	return &lineReader{in: in}
}

func (l *lineReader) release() {
	l.in.Reset(nil)
	pieces.Put(l.in)
	l.in = nil
}

// next returns the next line with its line end, or a piece of it when the line is
// longer than the buffer; a line end is never cut in two. A piece without "\n" is followed by the rest of its line,
// or by the end of the message. At the end it returns nil. The slice is good until
// the next call.
func (l *lineReader) next() []byte {
	line, err := l.in.ReadSlice('\n')
	if n := len(line); err == bufio.ErrBufferFull && line[n-1] == '\r' && l.in.UnreadByte() == nil {
		line = line[:n-1] // it may belong to a line end
	}
	l.pos += int64(len(line))
	if err != nil && err != bufio.ErrBufferFull && err != io.EOF {
		l.err = err
		return nil
	}
	if len(line) == 0 {
		return nil
	}
	if line[len(line)-1] == '\n' {
		l.lf++
	}
	return line
}

// lineEnd is the length of the line end of line: 2, 1 or 0. A bare LF counts as
// one: mail that other programs put into the folder has them.
func lineEnd(line []byte) int {
	switch n := len(line); {
	case n == 0 || line[n-1] != '\n':
		return 0
	case n > 1 && line[n-2] == '\r':
		return 2
	default:
		return 1
	}
}

// isBlank reports whether line ends a header: nothing but a line end.
func isBlank(line []byte) bool { return len(line) > 0 && lineEnd(line) == len(line) }
