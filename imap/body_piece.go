package imap

import (
	"bytes"
	"io"

	"facteur/storage/message"
)

// partial is "<from.length>" behind a section (RFC 9051 6.4.5): the second number is a
// length.
type partial struct{ from, length int64 }

// piece is the value of one BODY[...], BINARY[...] or RFC822 item: a stream of size
// octets. Of a part that isn't there it is empty, as Dovecot has it.
type piece struct {
	literal8 bool // it has NUL in it (RFC 3516 4.3)
	size     int64
	r        io.Reader
}

// openSection finds the octets of a section in the message c. Only the header that
// fields are picked from is read into memory.
func openSection(root *message.Part, c io.ReaderAt, s section, part *partial) (piece, error) {
	e, ok := s.extent(root)
	if !ok {
		return openBytes(nil, nil), nil
	}
	if s.text == sectionFields || s.text == sectionFieldsNot {
		header, err := readExtent(c, e)
		if err != nil {
			return piece{}, err
		}
		return openBytes(s.selectFields(header), part), nil
	}
	if part != nil {
		e.from += min(part.from, e.to-e.from) // not min of sums: both numbers may be 2^63-1
		e.to = e.from + min(part.length, e.to-e.from)
	}
	return piece{size: e.to - e.from, r: io.NewSectionReader(c, e.from, e.to-e.from)}, nil
}

func openBytes(b []byte, part *partial) piece {
	if part != nil {
		b = b[min(part.from, int64(len(b))):]
		b = b[:min(part.length, int64(len(b)))]
	}
	return piece{size: int64(len(b)), r: bytes.NewReader(b)}
}

func readExtent(c io.ReaderAt, e extent) ([]byte, error) {
	b := make([]byte, e.to-e.from)
	if n, err := c.ReadAt(b, e.from); n < len(b) {
		return nil, err
	}
	return b, nil
}
