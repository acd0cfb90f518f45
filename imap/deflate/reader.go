package deflate

import (
	"errors"
	"io"
)

// ErrCorrupt is a stream that is not DEFLATE.
var ErrCorrupt = errors.New("deflate: corrupt stream")

// errShort says that a step needs more input than there is; it is taken again.
var errShort = errors.New("deflate: more input needed")

const windowSize = 32 << 10

// Reader is an io.Reader of inflated octets.
type Reader struct {
	src io.Reader
	err error // io.EOF once src has ended
	bad error // why no more can be decoded

	in bits

	step  func(*Reader) error // what comes next in the stream
	final bool                // this block is the last
	left  int                 // octets left of a stored block
	rest  bool                // a stored block has just ended, at an octet's border: so does a flush
	lit   *huffman
	dist  *huffman

	window  []byte // what was decoded last, at most windowSize and what is unread
	unread  int    // where in window the octets not yet returned begin
	scratch [512]byte
}

// NewReader returns a Reader of the DEFLATE stream src.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, step: (*Reader).blockHeader}
}

// Read returns decoded octets as soon as there are any.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if err := r.decode(); err != nil && r.unread == len(r.window) {
			return 0, err
		}
		if n := copy(p, r.window[r.unread:]); n > 0 {
			r.unread += n
			return n, nil
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
}

// decode takes steps until the input is used up, or enough output waits.
func (r *Reader) decode() error {
	if r.bad != nil {
		return r.bad
	}
	for len(r.window)-r.unread < windowSize {
		before := r.in
		err := r.step(r)
		if err == errShort {
			r.in = before
			if r.err == io.EOF {
				return io.ErrUnexpectedEOF
			}
			return r.err
		}
		if err != nil {
			r.bad = err
			return err
		}
	}
	return nil
}

// fill reads more input: whatever is there.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.err
	}
	n, err := r.src.Read(r.scratch[:])
	r.in.add(r.scratch[:n])
	if n == 0 {
		// A timeout passes; only the end of the input is remembered.
		if err == io.EOF {
			r.err = err
			return nil
		}
		return err
	}
	return nil
}

// emit keeps the window small while it grows.
func (r *Reader) emit(b ...byte) {
	if len(r.window) >= 2*windowSize && r.unread >= windowSize {
		drop := min(r.unread, len(r.window)-windowSize)
		r.window = append(r.window[:0], r.window[drop:]...)
		r.unread -= drop
	}
	r.window = append(r.window, b...)
}

// blockHeader: RFC 1951 3.2.3.
func (r *Reader) blockHeader() error {
	if r.final {
		return io.EOF
	}
	head, err := r.in.take(3)
	if err != nil {
		return err
	}
	var next func(*Reader) error
	switch head >> 1 {
	case 0:
		next = (*Reader).storedHeader
	case 1:
		r.lit, r.dist = fixedLiterals(), fixedDistances()
		next = (*Reader).symbol
	case 2:
		next = (*Reader).dynamicHeader
	default:
		return ErrCorrupt
	}
	r.final, r.step, r.rest = head&1 == 1, next, false
	return nil
}

// Rest reports whether the stream can be left here: all that has come of it is decoded and read, and ends as a flush
// does, or as the stream. A flush may come in pieces: Rest reads on until it is complete.
func (r *Reader) Rest() bool {
	for {
		err := r.decode()
		switch {
		case r.unread < len(r.window): // there is more than a flush
			return false
		case len(r.in.in) == 0 && r.in.n < 8 && (r.rest || r.bad == io.EOF):
			return true
		case err != nil || r.fill() != nil:
			return false
		}
	}
}

// storedHeader: RFC 1951 3.2.4.
func (r *Reader) storedHeader() error {
	r.in.align()
	n, err := r.in.take(16)
	if err != nil {
		return err
	}
	inverse, err := r.in.take(16)
	if err != nil {
		return err
	}
	if n != ^inverse&0xffff {
		return ErrCorrupt
	}
	r.left, r.step = int(n), (*Reader).stored
	return nil
}

func (r *Reader) stored() error {
	if r.left == 0 {
		r.step, r.rest = (*Reader).blockHeader, true
		return nil
	}
	b, err := r.in.take(8)
	if err != nil {
		return err
	}
	r.left--
	r.emit(byte(b))
	return nil
}

// codeOrder is the order of the code length codes: RFC 1951 3.2.7.
const codeOrder = "\x10\x11\x12\x00\x08\x07\x09\x06\x0a\x05\x0b\x04\x0c\x03\x0d\x02\x0e\x01\x0f"

// dynamicHeader reads the two code tables of a block: RFC 1951 3.2.7.
func (r *Reader) dynamicHeader() error {
	head, err := r.in.take(14)
	if err != nil {
		return err
	}
	nlit, ndist, ncode := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if nlit > 286 || ndist > 30 {
		return ErrCorrupt
	}
	var codeLengths [19]byte
	for i := range ncode {
		n, err := r.in.take(3)
		if err != nil {
			return err
		}
		codeLengths[codeOrder[i]] = byte(n)
	}
	codes, err := newHuffman(codeLengths[:])
	if err != nil {
		return err
	}
	lengths := make([]byte, nlit+ndist)
	for i := 0; i < len(lengths); {
		n, err := r.readLengths(codes, lengths, i)
		if err != nil {
			return err
		}
		i += n
	}
	if lengths[256] == 0 { // a block that can't end
		return ErrCorrupt
	}
	if r.lit, err = newHuffman(lengths[:nlit]); err != nil {
		return err
	}
	if r.dist, err = newHuffman(lengths[nlit:]); err != nil {
		return err
	}
	r.step = (*Reader).symbol
	return nil
}

// readLengths reads one code length, or a run of them, into lengths at i.
func (r *Reader) readLengths(codes *huffman, lengths []byte, i int) (int, error) {
	sym, err := codes.decode(&r.in)
	if err != nil {
		return 0, err
	}
	var value byte
	base, extra := 1, uint(0)
	switch {
	case sym < 16:
		value = byte(sym)
	case sym == 16:
		if i == 0 {
			return 0, ErrCorrupt
		}
		value, base, extra = lengths[i-1], 3, 2
	case sym == 17:
		base, extra = 3, 3
	default:
		base, extra = 11, 7
	}
	more, err := r.in.take(extra)
	if err != nil {
		return 0, err
	}
	n := base + int(more)
	if i+n > len(lengths) {
		return 0, ErrCorrupt
	}
	for k := range n {
		lengths[i+k] = value
	}
	return n, nil
}

// symbol decodes a literal, or a length and its distance: RFC 1951 3.2.5.
func (r *Reader) symbol() error {
	sym, err := r.lit.decode(&r.in)
	switch {
	case err != nil:
		return err
	case sym < 256:
		r.emit(byte(sym))
		return nil
	case sym == 256:
		r.step = (*Reader).blockHeader
		return nil
	case sym > 285:
		return ErrCorrupt
	}
	length, err := r.length(sym - 257)
	if err != nil {
		return err
	}
	distance, err := r.distance()
	if err != nil {
		return err
	}
	r.emit()
	if distance > len(r.window) {
		return ErrCorrupt
	}
	for range length {
		r.window = append(r.window, r.window[len(r.window)-distance])
	}
	return nil
}

func (r *Reader) length(code int) (int, error) {
	switch {
	case code < 8:
		return code + 3, nil
	case code == 28:
		return 258, nil
	}
	extra := uint(code/4 - 1)
	more, err := r.in.take(extra)
	return (4+code%4)<<extra + 3 + int(more), err
}

func (r *Reader) distance() (int, error) {
	code, err := r.dist.decode(&r.in)
	switch {
	case err != nil:
		return 0, err
	case code < 4:
		return code + 1, nil
	case code > 29:
		return 0, ErrCorrupt
	}
	extra := uint(code/2 - 1)
	more, err := r.in.take(extra)
	return (2+code%2)<<extra + 1 + int(more), err
}
