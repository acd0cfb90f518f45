package message

import (
	"bufio"
	"bytes"
	"io"
)

// KnownEncoding reports whether a Content-Transfer-Encoding (RFC 2045 6) is one that
// DecodeTransfer can decode.
func KnownEncoding(encoding string) bool {
	switch encoding {
	case "7bit", "8bit", "binary", "base64", "quoted-printable":
		return true
	}
	return false
}

// DecodeTransfer takes the transfer encoding off what r gives. Encodings we don't know
// are passed on as they are. Damaged text gives what can be made of it.
func DecodeTransfer(encoding string, r io.Reader) io.Reader {
	switch encoding {
	case "base64":
		return &base64Reader{in: bufio.NewReaderSize(r, 4<<10)}
	case "quoted-printable":
		return &qpReader{in: bufio.NewReaderSize(r, 4<<10)}
	}
	return r
}

// base64Reader passes over everything that is no base64 digit, and begins anew
// after padding: some programs put one piece after another.
type base64Reader struct {
	in   *bufio.Reader
	bits uint32
	n    uint
}

func (r *base64Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if _, err := r.in.Peek(1); err != nil {
			return 0, err
		}
		// Each digit gives less than one octet, so p can't overflow.
		buf, _ := r.in.Peek(min(r.in.Buffered(), len(p)))
		n := r.decode(p, buf)
		if _, err := r.in.Discard(len(buf)); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (r *base64Reader) decode(dst, src []byte) int {
	k := 0
	for _, c := range src {
		v, ok := base64Value(c)
		switch {
		case ok:
			r.bits = r.bits<<6 | uint32(v)
			if r.n += 6; r.n >= 8 {
				r.n -= 8
				dst[k] = byte(r.bits >> r.n)
				k++
			}
		case c == '=':
			r.n = 0
		}
	}
	return k
}

func appendBase64(dst, src []byte) []byte {
	var r base64Reader
	out := make([]byte, len(src))
	return append(dst, out[:r.decode(out, src)]...)
}

// qpReader decodes quoted-printable (RFC 2045 6.7): a line at a time, since blanks at
// its end have to go.
type qpReader struct {
	in   *bufio.Reader
	out  []byte // decoded, not handed out yet
	buf  []byte
	hold []byte // of an "=XX" that the end of the buffer split
	err  error
}

func (r *qpReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill decodes one line, or as much of it as the buffer holds.
func (r *qpReader) fill() {
	line, err := r.in.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull {
		r.err = err
	}
	if len(r.hold) > 0 {
		line = append(r.hold, line...)
		r.hold = nil
	}
	if err == bufio.ErrBufferFull {
		if i := bytes.LastIndexByte(line, '='); i >= len(line)-2 {
			r.hold = bytes.Clone(line[i:])
			line = line[:i]
		}
	}
	ending := line[len(line)-lineEnd(line):]
	text := line[:len(line)-len(ending)]
	if len(ending) > 0 || r.err != nil {
		text = bytes.TrimRight(text, " \t")
		if bytes.HasSuffix(text, []byte("=")) { // a soft line break
			text, ending = text[:len(text)-1], nil
		}
	}
	r.buf = r.buf[:0]
	for i := 0; i < len(text); i++ {
		if text[i] == '=' && i+2 < len(text) {
			if c, ok := unhex(text[i+1], text[i+2]); ok {
				r.buf = append(r.buf, c)
				i += 2
				continue
			}
		}
		r.buf = append(r.buf, text[i])
	}
	r.buf = append(r.buf, ending...)
	r.out = r.buf
}
