package wire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7Encoding is base64 with "," for "/" and no padding (RFC 3501 5.1.3).
var utf7Encoding = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// DecodeUTF7 reads a mailbox name in modified UTF-7. What isn't valid modified UTF-7,
// such as a bare "&" or UTF-8, is kept as it is: Thunderbird sends both.
func DecodeUTF7(s string) string {
	if strings.IndexByte(s, '&') < 0 {
		return s
	}
	var out strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			break
		}
		out.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s, '-')
		if end < 0 {
			break
		}
		text, ok := decodeShift(s[1:end])
		if !ok {
			out.WriteByte('&')
			s = s[1:]
			continue
		}
		out.WriteString(text)
		s = s[end+1:]
	}
	out.WriteString(s)
	return out.String()
}

// decodeShift decodes what stands between "&" and "-".
func decodeShift(s string) (string, bool) {
	if s == "" {
		return "&", true
	}
	b, err := utf7Encoding.Strict().DecodeString(s)
	if err != nil || len(b)%2 != 0 {
		return "", false
	}
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i < len(b); i += 2 {
		units = append(units, uint16(b[i])<<8|uint16(b[i+1]))
	}
	var out strings.Builder
	for _, r := range utf16.Decode(units) {
		if r == utf8.RuneError {
			return "", false
		}
		out.WriteRune(r)
	}
	return out.String(), true
}

// AppendUTF7 appends a mailbox name in modified UTF-7.
func AppendUTF7(b []byte, s string) []byte {
	for s != "" {
		n := 0
		for n < len(s) && s[n] >= ' ' && s[n] < 0x7f {
			n++
		}
		for _, c := range []byte(s[:n]) {
			if b = append(b, c); c == '&' {
				b = append(b, '-')
			}
		}
		s = s[n:]
		n = 0
		for n < len(s) && (s[n] < ' ' || s[n] >= 0x7f) {
			n++
		}
		if n > 0 {
			b = appendShift(b, s[:n])
			s = s[n:]
		}
	}
	return b
}

func appendShift(b []byte, s string) []byte {
	units := utf16.Encode([]rune(s))
	raw := make([]byte, 0, 2*len(units))
	for _, u := range units {
		raw = append(raw, byte(u>>8), byte(u))
	}
	b = append(b, '&')
	b = utf7Encoding.AppendEncode(b, raw)
	return append(b, '-')
}
