package message

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// DecodeCharset returns b, which is in that charset, in UTF-8. ok is false when we don't
// know the charset, or b is not valid in it.
func DecodeCharset(name string, b []byte) (s string, ok bool) {
	switch name = cleanCharset(name); {
	case isUTF8Name(name):
		return string(b), utf8.Valid(b)
	case !isUTF7Name(name) && findCharset(name) == nil:
		return "", false
	}
	return decodeCharset(name, b), true
}

// decodeCharset returns b, which is in that charset, in UTF-8. Unknown charsets are
// read as UTF-8 where that is valid, and else as windows-1252.
func decodeCharset(name string, b []byte) string {
	if ascii(b) && !escapes(name) {
		return string(b)
	}
	out, _, err := transform.Bytes(charsetDecoder(name), b)
	if err != nil {
		out, _, _ = transform.Bytes(looseUTF8{}, b)
	}
	return string(out)
}

// charsetReader turns what r gives in that charset into UTF-8.
func charsetReader(name string, r io.Reader) io.Reader {
	decoder := charsetDecoder(name)
	if _, ok := decoder.(looseUTF8); ok {
		return &utf8Reader{in: r}
	}
	return transform.NewReader(r, decoder)
}

// utf8Reader is looseUTF8 from the first octets on that are not ASCII; most text has none.
type utf8Reader struct {
	in    io.Reader
	loose bool
}

func (r *utf8Reader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if r.loose || ascii(p[:n]) {
		return n, err
	}
	// An error that came with these octets comes again.
	r.in, r.loose = transform.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(p[:n])), r.in), looseUTF8{}), true
	return r.in.Read(p)
}

func charsetDecoder(name string) transform.Transformer {
	name = cleanCharset(name)
	if isUTF8Name(name) {
		return looseUTF8{}
	}
	if isUTF7Name(name) {
		return &utf7Decoder{}
	}
	if e := findCharset(name); e != nil {
		return e.NewDecoder()
	}
	return looseUTF8{}
}

// cleanCharset drops an RFC 2231 language suffix and quotes.
func cleanCharset(name string) string {
	name, _, _ = strings.Cut(name, "*")
	return strings.ToLower(strings.Trim(name, " \t\"'"))
}

// isUTF8Name holds for us-ascii too: mail that says so and isn't is UTF-8 or
// windows-1252.
func isUTF8Name(name string) bool {
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "utf-8", "utf8":
		return true
	}
	return false
}

// escapes reports whether ASCII octets may mean something else in the charset.
func escapes(name string) bool {
	name = cleanCharset(name)
	return strings.HasPrefix(name, "iso-2022") || strings.HasPrefix(name, "utf-16") ||
		strings.HasPrefix(name, "utf-32") || strings.HasSuffix(name, "utf-7") || strings.HasPrefix(name, "hz")
}

func findCharset(name string) encoding.Encoding {
	switch name {
	case "hz-gb-2312": // htmlindex refuses it, for browsers
		return simplifiedchinese.HZGB2312
	case "utf-16": // RFC 2781 4.3: big endian unless a mark says otherwise; browsers differ
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e
	}
	if e, err := ianaindex.IANA.Encoding(name); err == nil && e != nil {
		return e
	}
	return nil
}

// looseUTF8 passes valid UTF-8 on and reads every other octet as windows-1252.
type looseUTF8 struct{ transform.NopResetter }

func (looseUTF8) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		c := src[nSrc]
		if c < utf8.RuneSelf {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst, nSrc = nDst+1, nSrc+1
			continue
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && size == 1 {
			if !atEOF && !utf8.FullRune(src[nSrc:]) {
				return nDst, nSrc, transform.ErrShortSrc
			}
			r = charmap.Windows1252.DecodeByte(c)
		}
		if nDst+utf8.UTFMax > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isUTF7Name(name string) bool { return name == "utf-7" || name == "unicode-1-1-utf-7" }
