package message

import (
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// utf7Decoder turns UTF-7 (RFC 2152) into UTF-8: text between "+" and "-" is UTF-16
// in base64. x/text doesn't have it.
type utf7Decoder struct {
	shifted bool
	fresh   bool // "+" was the last octet
	bits    uint32
	n       uint // number of bits waiting
	high    rune // a surrogate that waits for its second half
}

func (d *utf7Decoder) Reset() { *d = utf7Decoder{} }

func (d *utf7Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for ; nSrc < len(src); nSrc++ {
		if nDst+2*utf8.UTFMax > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		c := src[nSrc]
		switch v, ok := base64Value(c); {
		case !d.shifted && c == '+':
			d.shifted, d.fresh = true, true
		case !d.shifted:
			nDst += utf8.EncodeRune(dst[nDst:], asciiOr1252(c))
		case ok:
			d.fresh = false
			d.bits, d.n = d.bits<<6|uint32(v), d.n+6
			if d.n >= 16 {
				d.n -= 16
				nDst += d.unit(dst[nDst:], rune(d.bits>>d.n&0xffff))
			}
		default:
			if d.fresh && c == '-' {
				dst[nDst] = '+'
				nDst++
			} else if c != '-' {
				nDst += utf8.EncodeRune(dst[nDst:], asciiOr1252(c))
			}
			d.Reset()
		}
	}
	return nDst, nSrc, nil
}

func (d *utf7Decoder) unit(dst []byte, r rune) int {
	if d.high != 0 {
		pair := utf16.DecodeRune(d.high, r)
		d.high = 0
		return utf8.EncodeRune(dst, pair)
	}
	if utf16.IsSurrogate(r) {
		d.high = r
		return 0
	}
	return utf8.EncodeRune(dst, r)
}

func asciiOr1252(c byte) rune {
	if c < utf8.RuneSelf {
		return rune(c)
	}
	return utf8.RuneError
}

func base64Value(c byte) (byte, bool) {
	switch {
	case 'A' <= c && c <= 'Z':
		return c - 'A', true
	case 'a' <= c && c <= 'z':
		return c - 'a' + 26, true
	case '0' <= c && c <= '9':
		return c - '0' + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	}
	return 0, false
}
