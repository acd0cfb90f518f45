package imap

import (
	"bytes"
	"errors"
	"io"

	"facteur/storage/message"
)

// errUnknownCTE is answered with NO [UNKNOWN-CTE] (RFC 3516 4.3).
var errUnknownCTE = errors.New("transfer encoding can't be decoded")

// maxBinaryHeld is how much decoded text is held in memory, so that it is decoded
// once. Of more, the size is found out by decoding it all in advance.
const maxBinaryHeld = 1 << 20

// openBinary gives a part without its transfer encoding (RFC 3516 4.2). Multiparts have
// none. part is the wanted range of the decoded octets.
func openBinary(root *message.Part, c io.ReaderAt, path []uint32, part *partial) (piece, error) {
	e, encoding, ok := binaryExtent(root, path)
	if !ok {
		return openBytes(nil, nil), nil
	}
	if !message.KnownEncoding(encoding) {
		return piece{}, errUnknownCTE
	}
	decode := func() io.Reader {
		return message.DecodeTransfer(encoding, io.NewSectionReader(c, e.from, e.to-e.from))
	}
	held, err := io.ReadAll(io.LimitReader(decode(), maxBinaryHeld+1))
	if err != nil {
		return piece{}, err
	}
	if len(held) <= maxBinaryHeld {
		p := openBytes(held, part)
		p.literal8 = bytes.IndexByte(held, 0) >= 0
		return p, nil
	}
	var count octetCounter
	if _, err := io.Copy(&count, decode()); err != nil {
		return piece{}, err
	}
	from, size := int64(0), count.n
	if part != nil {
		from = min(part.from, size)
		size = min(part.length, size-from)
	}
	r := decode()
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return piece{}, err
	}
	return piece{size: size, r: r, literal8: count.nul}, nil
}

// binarySize is the value of BINARY.SIZE (RFC 3516 4.2).
func binarySize(root *message.Part, c io.ReaderAt, path []uint32) (int64, error) {
	p, err := openBinary(root, c, path, nil)
	return p.size, err
}

// binaryExtent finds the part that a path names, and its transfer encoding in lower case.
func binaryExtent(root *message.Part, path []uint32) (e extent, encoding string, ok bool) {
	if len(path) == 0 {
		return extent{root.Start, root.End}, "binary", true
	}
	p := findPart(root, path)
	if p == nil {
		return extent{}, "", false
	}
	encoding = p.Encoding
	if message.KnownEncoding(encoding) && (p.IsMultipart() || p.IsMessage()) {
		encoding = "binary" // RFC 2045 6.4: of these only the parts inside are encoded
	}
	return extent{p.BodyStart, p.End}, encoding, true
}

type octetCounter struct {
	n   int64
	nul bool
}

func (c *octetCounter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	c.nul = c.nul || bytes.IndexByte(b, 0) >= 0
	return len(b), nil
}
