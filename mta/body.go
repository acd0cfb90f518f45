package mta

import (
	"bytes"
	"io"
	"os"
)

// Body is a message's octets as received: in memory when small, in a spool file
// when large. It is immutable and may be read by several goroutines at once.
type Body struct {
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

// ReadAt implements io.ReaderAt.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if b.file != nil {
		return io.NewSectionReader(b.file, 0, b.size).ReadAt(p, off)
	}
	return bytes.NewReader(b.mem).ReadAt(p, off)
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
	h := make([]byte, b.header)
	_, err := b.file.ReadAt(h, 0)
	return h, err
}

// Path is the spool file's name, empty for a Body in memory.
func (b *Body) Path() string {
	if b.file == nil {
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
