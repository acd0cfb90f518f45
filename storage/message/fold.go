package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold returns s in the form in which SEARCH and SORT compare text: without case, and
// with composed and compatibility characters taken apart, character by character (in the
// spirit of i;unicode-casemap, RFC 5051). A tab, which nobody tells from a blank and which folded
// fields are full of, is one. Whatever keeps an index of text for SEARCH
// has to fold text and needle by it.
func Fold(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && foldASCII(s[i]) == s[i] {
		i++
	}
	if i == len(s) {
		return s
	}
	return string(AppendFold(make([]byte, 0, len(s)+len(s)/8), s))
}

// AppendFold appends Fold(s) to b.
func AppendFold[T string | []byte](b []byte, s T) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			b = append(b, foldASCII(c))
			i++
			continue
		}
		n := min(len(s)-i, utf8.UTFMax)
		r, size := utf8.DecodeRuneInString(string(s[i : i+n]))
		i += size
		b = appendFoldedRune(b, r)
	}
	return b
}

func foldASCII(c byte) byte {
	if c == '\t' {
		return ' '
	}
	return lowerASCII(c)
}

func appendFoldedRune(b []byte, r rune) []byte {
	r = unicode.ToLower(unicode.ToUpper(r))
	var buf [utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], r)
	d := norm.NFKD.Properties(buf[:n]).Decomposition()
	if d == nil {
		return append(b, buf[:n]...)
	}
	// What compatibility hides may have case, such as a letter in a circle.
	for len(d) > 0 {
		r, size := utf8.DecodeRune(d)
		b = utf8.AppendRune(b, unicode.ToLower(unicode.ToUpper(r)))
		d = d[size:]
	}
	return b
}
