package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Limits bound what one command may cost.
type Limits struct {
	Line    int   // octets of a command, those of its strings included
	Literal int64 // octets of one literal that is kept in memory
	Depth   int   // parentheses in parentheses
}

// SyntaxError is what is wrong with a command: the answer is BAD.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return e.Text }

// TooBigError is a literal over its limit.
type TooBigError struct{ Size int64 }

func (e *TooBigError) Error() string { return fmt.Sprintf("literal of %d octets is too big", e.Size) }

// ErrTooLong is a command longer than Limits.Line. The rest of it can't be told from
// the next one with certainty: end the session.
var ErrTooLong = errors.New("command line too long")

// Decoder reads commands token by token. After the first error all its methods
// return zero values; Err tells the error. It is not safe for concurrent use.
type Decoder struct {
	// UTF8 says that mailbox names are UTF-8 and not modified UTF-7 (RFC 9755, RFC 9051).
	UTF8 bool

	br      *bufio.Reader
	more    func() error // asks the client for a synchronizing literal
	limits  Limits
	left    int // octets of the line that may still come
	depth   int
	err     error
	ended   bool
	pending *LiteralHeader    // read, and neither asked for nor coming
	literal *io.LimitedReader // open stream
	spare   []byte
}

// NewDecoder returns a Decoder. more writes a continuation request to the client and
// flushes it; it is called when a synchronizing literal has been accepted.
func NewDecoder(br *bufio.Reader, more func() error) *Decoder {
	return &Decoder{br: br, more: more, ended: true}
}

// Reset has the Decoder read from br from now on.
func (d *Decoder) Reset(br *bufio.Reader) { d.br = br }

// Start begins a new command.
func (d *Decoder) Start(l Limits) {
	d.limits, d.left, d.depth = l, l.Line, 0
	d.err, d.ended, d.pending, d.literal = nil, false, nil, nil
}

// Extend lets the command be n octets longer than Limits.Line.
func (d *Decoder) Extend(n int) { d.left += n }

// Err returns the first error: a *SyntaxError, a *TooBigError, ErrTooLong, or what the
// reader or the continuation request failed with.
func (d *Decoder) Err() error { return d.err }

// Broken reports that no further command can be read.
func (d *Decoder) Broken() bool {
	var tooBig *TooBigError
	var syntax *SyntaxError
	return d.err != nil && !errors.As(d.err, &tooBig) && !errors.As(d.err, &syntax)
}

// Fail records a syntax error, unless there is an error already.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = &SyntaxError{fmt.Sprintf(format, args...)}
	}
}

func (d *Decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Peek returns the next octet without taking it: '\r' or '\n' at the end of the
// command, 0 after an error.
func (d *Decoder) Peek() byte {
	if d.err != nil {
		return 0
	}
	if d.literal != nil && d.literal.N > 0 {
		d.drainLiteral()
	}
	b, err := d.br.Peek(1)
	if err != nil {
		d.fail(eof(err))
		return 0
	}
	return b[0]
}

// take consumes the octet that Peek has just returned.
func (d *Decoder) take() {
	if d.left--; d.left < 0 {
		d.fail(ErrTooLong)
		return
	}
	d.br.Discard(1)
}

// Take consumes c when it comes next, and tells whether it did.
func (d *Decoder) Take(c byte) bool {
	if d.Peek() != c || d.err != nil {
		return false
	}
	d.take()
	return d.err == nil
}

// Expect consumes c, which has to come next.
func (d *Decoder) Expect(c byte) {
	if !d.Take(c) {
		d.Fail("expected %q", c)
	}
}

// SP consumes one space.
func (d *Decoder) SP() {
	if !d.Take(' ') {
		d.Fail("missing argument")
	}
}

// AtEnd reports whether the command's line ends here.
func (d *Decoder) AtEnd() bool {
	c := d.Peek()
	return c == '\r' || c == '\n'
}

// End consumes the end of the command. A bare LF is taken too, as Dovecot does. A space
// in front of it is tolerated.
func (d *Decoder) End() {
	for d.Take(' ') {
	}
	if d.Take('\r') && d.Peek() != '\n' {
		d.Fail("CR without LF")
	}
	if d.Take('\n') {
		d.ended = true
		return
	}
	d.Fail("too many arguments")
}

// Skip reads what is left of a command that End has not seen, after an error too, so
// that the next one can be read. Non-synchronizing literals on the way are passed over.
func (d *Decoder) Skip() error {
	if d.ended {
		return nil
	}
	if d.Broken() {
		return d.err
	}
	if h := d.pending; h != nil {
		if !h.NonSync { // refused before its octets came: the command ends here
			d.ended = true
			return nil
		}
		if err := d.discard(h.Size); err != nil {
			return err
		}
	}
	if d.literal != nil {
		if _, err := io.Copy(io.Discard, d.literal); err != nil {
			return eof(err)
		}
	}
	return d.skipLines()
}

// maxSkipped is how much of a refused non-synchronizing literal is read to keep the
// session: RFC 7888 3 leaves the choice between that and closing the connection.
const maxSkipped = 64 << 20

func (d *Decoder) discard(size int64) error {
	if size > maxSkipped {
		return &TooBigError{size}
	}
	_, err := d.br.Discard(int(size))
	return eof(err)
}

// skipLines reads to the end of the line, and on through non-synchronizing literals.
func (d *Decoder) skipLines() error {
	for {
		end, err := d.skipLine()
		if err != nil {
			return err
		}
		size, nonSync, ok := trailingLiteral(end)
		if !ok || !nonSync {
			d.ended = true
			return nil
		}
		if err := d.discard(size); err != nil {
			return err
		}
	}
}

// skipLine reads to the end of the line and returns its last octets.
func (d *Decoder) skipLine() ([]byte, error) {
	var tail []byte
	for {
		part, err := d.br.ReadSlice('\n')
		if d.left -= len(part); d.left < 0 {
			return nil, ErrTooLong
		}
		tail = append(tail, part...)
		if len(tail) > 32 {
			tail = append(tail[:0], tail[len(tail)-32:]...)
		}
		if err == nil {
			return tail, nil
		}
		if err != bufio.ErrBufferFull {
			return nil, eof(err)
		}
	}
}

// eof tells an end in the middle of a command from one between commands.
func eof(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
