package deflate

// bits is the input as bits, lowest first. It is a value: a copy of it is a place to
// come back to, as long as nothing has been added since.
type bits struct {
	in  []byte
	acc uint64
	n   uint // bits in acc
}

func (b *bits) add(p []byte) {
	// A new slice, of what is left only: earlier copies of b stay good.
	b.in = append(append(make([]byte, 0, len(b.in)+len(p)), b.in...), p...)
}

// take takes n bits, at most 16.
func (b *bits) take(n uint) (uint32, error) {
	for b.n < n {
		if len(b.in) == 0 {
			return 0, errShort
		}
		b.acc |= uint64(b.in[0]) << b.n
		b.in, b.n = b.in[1:], b.n+8
	}
	v := uint32(b.acc & (1<<n - 1))
	b.acc >>= n
	b.n -= n
	return v, nil
}

// align drops the bits up to the next octet.
func (b *bits) align() {
	b.acc >>= b.n % 8
	b.n -= b.n % 8
}

const maxCodeLength = 15

// huffman is a canonical code: how many codes there are of each length, and the symbols
// in the order of their codes (RFC 1951 3.2.2).
type huffman struct {
	counts  [maxCodeLength + 1]uint16
	symbols []uint16
}

// newHuffman builds a code from the lengths of its symbols. Too many codes are an error;
// too few are not: a block with one distance has half a code.
func newHuffman(lengths []byte) (*huffman, error) {
	h := &huffman{symbols: make([]uint16, len(lengths))}
	for _, n := range lengths {
		h.counts[n]++
	}
	left := 1
	for n := 1; n <= maxCodeLength; n++ {
		if left = left<<1 - int(h.counts[n]); left < 0 {
			return nil, ErrCorrupt
		}
	}
	var next [maxCodeLength + 2]uint16
	for n := 1; n <= maxCodeLength; n++ {
		next[n+1] = next[n] + h.counts[n]
	}
	for sym, n := range lengths {
		if n > 0 {
			h.symbols[next[n]] = uint16(sym)
			next[n]++
		}
	}
	return h, nil
}

// decode reads one symbol, bit by bit: commands are short, and messages that are
// uploaded are bound by the network.
func (h *huffman) decode(b *bits) (int, error) {
	code, first, index := 0, 0, 0
	for n := 1; n <= maxCodeLength; n++ {
		bit, err := b.take(1)
		if err != nil {
			return 0, err
		}
		code |= int(bit)
		count := int(h.counts[n])
		if code-first < count {
			return int(h.symbols[index+code-first]), nil
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, ErrCorrupt
}

// fixedLiterals and fixedDistances: RFC 1951 3.2.6.
func fixedLiterals() *huffman {
	lengths := make([]byte, 288)
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	return mustHuffman(lengths)
}

func fixedDistances() *huffman {
	lengths := make([]byte, 30)
	for i := range lengths {
		lengths[i] = 5
	}
	return mustHuffman(lengths)
}

func mustHuffman(lengths []byte) *huffman {
	h, err := newHuffman(lengths)
	if err != nil {
		panic(err) // the fixed codes are right
	}
	return h
}
