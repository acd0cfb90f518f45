package maildir

import (
	"encoding/base64"
	"unicode/utf16"
	"unicode/utf8"
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
	for i := 0; i < len(s); i++ {
		if s[i] != '&' {
			if !direct(rune(s[i])) {
				return "", ErrName
			}
			b = append(b, s[i])
			continue
		}
		end := i + 1
		for end < len(s) && s[end] != '-' {
			end++
		}
		if end == len(s) {
			return "", ErrName
		}
		if end == i+1 {
			b = append(b, '&')
			i = end
			continue
		}
		octets, err := utf7Base64.DecodeString(s[i+1 : end])
		if err != nil || len(octets)%2 != 0 {
			return "", ErrName
		}
		units := make([]uint16, len(octets)/2)
		for j := range units {
			units[j] = uint16(octets[2*j])<<8 | uint16(octets[2*j+1])
		}
		for _, r := range utf16.Decode(units) {
			b = utf8.AppendRune(b, r)
		}
		i = end
	}
	return string(b), nil
}
