package maildir

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// Modified base64 (RFC 3501 5.1.3) has "," where base64 has "/", and no padding.
var utf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// direct: characters that stand for themselves. A dot does not: in a folder's name
// it separates levels. Nor does a slash, which is only met in damaged names.
func direct(r rune) bool {
	return r >= ' ' && r <= '~' && r != '&' && r != '.' && r != '/'
}

// appendUTF7 appends one level in modified UTF-7. level is valid UTF-8.
func appendUTF7(b []byte, level string) []byte {
	var units []byte // UTF-16 of the characters that have to be encoded
	flush := func() {
		if len(units) > 0 {
			b = append(b, '&')
			b = utf7Base64.AppendEncode(b, units)
			b = append(b, '-')
			units = units[:0]
		}
	}
	for _, r := range level {
		switch {
		case direct(r):
			flush()
			b = append(b, byte(r))
		case r == '&':
			flush()
			b = append(b, '&', '-')
		default:
			for _, u := range utf16.AppendRune(nil, r) {
				units = append(units, byte(u>>8), byte(u))
			}
		}
	}
	flush()
	return b
}

// decodeUTF7 reads one level. It takes more than appendUTF7 writes; the caller
// compares.
func decodeUTF7(s string) (string, error) {
	var b []byte
	for s != "" {
		if s[0] != '&' {
			if !direct(rune(s[0])) {
				return "", ErrName
			}
			b, s = append(b, s[0]), s[1:]
			continue
		}
		shifted, rest, ended := strings.Cut(s[1:], "-")
		octets, err := utf7Base64.DecodeString(shifted)
		if !ended || err != nil || len(octets)%2 != 0 {
			return "", ErrName
		}
		if shifted == "" {
			b = append(b, '&')
		}
		units := make([]uint16, len(octets)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(octets[2*i:])
		}
		b, s = append(b, string(utf16.Decode(units))...), rest
	}
	return string(b), nil
}
