package mta

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// Body is a message's octets: in memory when small, in a spool file when large.
// It is immutable and may be read by several goroutines at once.
type Body struct {
	head   []byte // stands for the first skip octets of file
	skip   int64
	mem    []byte
	file   *os.File
	size   int64
	header int64
	unlink bool
}

// BodyBytes makes a Body of b, which it takes over.
func BodyBytes(b []byte) *Body {
	return &Body{mem: b, size: int64(len(b)), header: headerLen(b)}
}

// BodyFile makes a Body of the first size octets of an open file, of which the
// first header octets are the header block with its blank line. Close closes
// the file, and removes it when unlink is set.
func BodyFile(f *os.File, size, header int64, unlink bool) *Body {
	return &Body{file: f, size: size, header: header, unlink: unlink}
}

// Size is the number of octets.
func (b *Body) Size() int64 { return b.size }

// HeaderSize is the number of octets of the header block with the blank line
// that ends it.
func (b *Body) HeaderSize() int64 { return b.header }

// WithHeader returns a Body with another header block, blank line included, in
// front of the same content. It takes b over: only the new Body is closed.
func (b *Body) WithHeader(h []byte) *Body {
	if b.file == nil {
		content := b.mem[b.header:]
		mem := make([]byte, 0, len(h)+len(content))
		mem = append(append(mem, h...), content...)
		return &Body{mem: mem, size: int64(len(mem)), header: int64(len(h))}
	}
	n := *b
	n.head, n.header = h, int64(len(h))
	if b.head == nil { // else skip counts the file's own header already
		n.skip = b.header
	}
	n.size = b.size - b.header + n.header
	return &n
}

// ReadAt implements io.ReaderAt.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("mta: negative offset in a body")
	}
	if off >= b.size {
		return 0, io.EOF
	}
	want := len(p)
	p = p[:min(int64(want), b.size-off)]
	n := 0
	switch {
	case b.file == nil:
		n = copy(p, b.mem[off:])
	case off < int64(len(b.head)):
		n = copy(p, b.head[off:])
	}
	if n < len(p) {
		m, err := b.file.ReadAt(p[n:], off+int64(n)-int64(len(b.head))+b.skip)
		if n += m; n < len(p) {
			return n, err
		}
	}
	if n < want {
		return n, io.EOF
	}
	return n, nil
}

// Reader reads from the start; readers are independent of each other.
func (b *Body) Reader() *io.SectionReader { return io.NewSectionReader(b, 0, b.size) }

// Bytes returns all octets without a copy when they are in memory. The caller
// must not change them.
func (b *Body) Bytes() ([]byte, bool) { return b.mem, b.file == nil }

// Header reads the header block with its blank line.
func (b *Body) Header() ([]byte, error) {
	if b.file == nil {
		return b.mem[:b.header:b.header], nil
	}
	if b.head != nil {
		return b.head, nil
	}
	h := make([]byte, b.header)
	_, err := b.file.ReadAt(h, 0)
	return h, err
}

// Path is the name of the spool file that holds exactly these octets, empty when
// there is none: in memory, or with a header that is not the file's.
func (b *Body) Path() string {
	if b.file == nil || b.head != nil {
		return ""
	}
	return b.file.Name()
}

// Close releases the spool file. A Body in memory needs no Close, but may have
// one.
func (b *Body) Close() error {
	if b.file == nil {
		return nil
	}
	err := b.file.Close()
	if b.unlink {
		if rerr := os.Remove(b.file.Name()); err == nil {
			err = rerr
		}
	}
	return err
}

// headerLen finds the end of the header block: after the first empty line, or
// all of b.
func headerLen(b []byte) int64 {
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return 2
	}
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return int64(i + 4)
	}
	return int64(len(b))
}
