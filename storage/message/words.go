package message

import (
	"strings"
	"unicode/utf8"
)

// DecodeText returns an unstructured value, or a display name, as people read it:
// encoded words decoded (RFC 2047, RFC 2231 5), raw 8-bit text as UTF-8 where it is
// valid and else as windows-1252. The result is valid UTF-8.
func DecodeText(s string) string {
	if !strings.Contains(s, "=?") {
		if isASCII(s) || utf8.ValidString(s) {
			return s
		}
		return decodeCharset("", []byte(s))
	}
	var out strings.Builder
	var run wordRun
	for s != "" {
		start := strings.Index(s, "=?")
		if start < 0 {
			break
		}
		charset, octets, n := encodedWord(s[start:])
		if n == 0 {
			run.flush(&out)
			out.WriteString(decodeCharset("", []byte(s[:start+2])))
			s = s[start+2:]
			continue
		}
		// RFC 2047 6.2: blanks between two encoded words mean nothing.
		if between := s[:start]; !run.open || strings.Trim(between, " \t") != "" {
			run.flush(&out)
			out.WriteString(decodeCharset("", []byte(between)))
		}
		run.add(&out, charset, octets)
		s = s[start+n:]
	}
	run.flush(&out)
	out.WriteString(decodeCharset("", []byte(s)))
	return out.String()
}

// wordRun collects the octets of encoded words that follow each other in one charset:
// some programs split a character between two words.
type wordRun struct {
	open    bool
	charset string
	octets  []byte
}

func (r *wordRun) add(out *strings.Builder, charset string, octets []byte) {
	if r.open && !strings.EqualFold(r.charset, charset) {
		r.flush(out)
	}
	r.open, r.charset = true, charset
	r.octets = append(r.octets, octets...)
}

func (r *wordRun) flush(out *strings.Builder) {
	if r.open {
		out.WriteString(decodeCharset(r.charset, r.octets))
	}
	*r = wordRun{octets: r.octets[:0]}
}

// encodedWord reads one encoded word that s begins with; n is its length, 0 when there
// is none.
func encodedWord(s string) (charset string, octets []byte, n int) {
	rest := s[2:]
	charset, rest, ok := strings.Cut(rest, "?")
	if !ok || charset == "" || len(rest) < 2 || rest[1] != '?' || strings.ContainsAny(charset, " \t\"()<>") {
		return "", nil, 0
	}
	end := wordEnd(rest[2:])
	if end < 0 {
		return "", nil, 0
	}
	text := rest[2 : 2+end]
	switch rest[0] {
	case 'q', 'Q':
		octets = decodeQ(text)
	case 'b', 'B':
		octets = appendBase64(nil, []byte(text))
	default:
		return "", nil, 0
	}
	return charset, octets, len(s) - len(rest) + 2 + end + 2
}

// wordEnd finds the "?=" that ends an encoded word. A question mark inside is not
// allowed but happens; it is looked for only so far that reading stays linear.
func wordEnd(s string) int {
	i := strings.IndexByte(s, '?')
	if i < 0 || strings.HasPrefix(s[i:], "?=") {
		return i
	}
	return strings.Index(s[:min(len(s), 1000)], "?=")
}

// decodeQ: RFC 2047 4.2. Blanks inside are not allowed there, but common.
func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s):
			if b, ok := unhex(s[i+1], s[i+2]); ok {
				out = append(out, b)
				i += 2
				continue
			}
			out = append(out, c)
		default:
			out = append(out, c)
		}
	}
	return out
}
