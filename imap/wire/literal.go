package wire

import (
	"bytes"
	"io"
	"strconv"
)

// LiteralHeader is what stands in braces in front of a literal's octets.
type LiteralHeader struct {
	Size    int64
	NonSync bool // "+": the octets follow without being asked for (RFC 7888)
	Binary  bool // "~": literal8, octets with NUL (RFC 3516)
}

// atLiteral8 reports whether "~{" comes next: "~" may also begin an atom.
func (d *Decoder) atLiteral8() bool {
	if d.Peek() != '~' {
		return false
	}
	b, err := d.br.Peek(2)
	return err == nil && b[1] == '{'
}

// AtLiteral reports whether a literal comes next.
func (d *Decoder) AtLiteral() bool { return d.Peek() == '{' || d.atLiteral8() }

// Header reads the header of a literal. Nothing has been promised to the client yet:
// Literal asks for the octets; any error before that makes Skip do what is right.
func (d *Decoder) Header() LiteralHeader {
	var h LiteralHeader
	h.Binary = d.Take('~')
	d.Expect('{')
	h.Size = int64(d.Number64())
	h.NonSync = d.Take('+')
	d.Expect('}')
	if d.Take('\r') && d.Peek() != '\n' {
		d.Fail("CR without LF")
	}
	if d.Expect('\n'); d.err == nil {
		d.pending = &h
	}
	return h
}

// Refuse records a TooBigError.
func (d *Decoder) Refuse(h LiteralHeader) { d.fail(&TooBigError{h.Size}) }

// Literal asks for the octets of a literal and returns them as a stream, which
// is good until the next call to the Decoder; what was not read of it is skipped. The
// octets don't count as part of the line.
func (d *Decoder) Literal(h LiteralHeader) io.Reader {
	if d.err == nil && !h.NonSync {
		if err := d.more(); err != nil {
			d.fail(err)
		}
	}
	if d.err != nil {
		return bytes.NewReader(nil)
	}
	d.pending = nil
	d.literal = &io.LimitedReader{R: d.br, N: h.Size}
	return &literalReader{d: d, r: d.literal}
}

// literalReader reports an end before the announced size as an error, and has the
// Decoder remember it.
type literalReader struct {
	d *Decoder
	r *io.LimitedReader
}

func (l *literalReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if err == io.EOF && l.r.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		l.d.fail(err)
	}
	return n, err
}

// drainLiteral reads what nobody wanted of a stream.
func (d *Decoder) drainLiteral() {
	if _, err := io.Copy(io.Discard, &literalReader{d, d.literal}); err == nil {
		d.literal = nil
	}
}

// shortLiteral reads a literal into memory.
func (d *Decoder) shortLiteral() string {
	h := d.Header()
	if d.err != nil {
		return ""
	}
	if h.Size > d.limits.Literal || h.Size > int64(d.left) {
		d.Refuse(h)
		return ""
	}
	d.left -= int(h.Size)
	b := make([]byte, h.Size)
	if _, err := io.ReadFull(d.Literal(h), b); err != nil {
		d.fail(eof(err))
		return ""
	}
	d.literal = nil
	if !h.Binary && bytes.IndexByte(b, 0) >= 0 {
		d.Fail("NUL in a literal")
		return ""
	}
	return string(b)
}

// trailingLiteral reads the literal header that a line ends with, if it does.
func trailingLiteral(line []byte) (size int64, nonSync, ok bool) {
	line = bytes.TrimRight(line, "\r\n")
	if !bytes.HasSuffix(line, []byte("}")) {
		return 0, false, false
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return 0, false, false
	}
	digits, nonSync := bytes.CutSuffix(line[open+1:len(line)-1], []byte("+"))
	n, err := strconv.ParseUint(string(digits), 10, 63)
	return int64(n), nonSync, err == nil
}
