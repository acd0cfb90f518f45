package wire

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// text is a string or a slice of octets.
type text interface{ ~string | ~[]byte }

// AppendString appends s as a quoted string where that can hold it, or else as a
// literal. utf8OK says that the client takes UTF-8 in quoted strings (RFC 9051 4.3,
// RFC 9755 3); s is then valid UTF-8 or becomes a literal all the same.
func AppendString[T text](b []byte, s T, utf8OK bool) []byte {
	quotable, plain, ascii := len(s) <= maxQuoted, true, true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0x80:
			ascii = false
		case c == '"' || c == '\\':
			plain = false
		case c == 0 || c == '\r' || c == '\n':
			quotable = false
		}
	}
	if !quotable || !ascii && (!utf8OK || !utf8.ValidString(string(s))) {
		return appendLiteral(b, s)
	}
	b = append(b, '"')
	if plain {
		return append(append(b, s...), '"')
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// maxQuoted is the longest quoted string sent: clients have been seen with line
// buffers of 8 KiB.
const maxQuoted = 4096

// AppendNString is AppendString, or NIL when ok is false.
func AppendNString[T text](b []byte, s T, ok, utf8OK bool) []byte {
	if !ok {
		return append(b, "NIL"...)
	}
	return AppendString(b, s, utf8OK)
}

// appendLiteral appends s as a literal.
func appendLiteral[T text](b []byte, s T) []byte {
	b = AppendLiteralHeader(b, int64(len(s)), false)
	return append(b, s...)
}

// AppendLiteralHeader appends what stands in front of a literal's octets; as literal8
// with binary.
func AppendLiteralHeader(b []byte, size int64, binary bool) []byte {
	if binary {
		b = append(b, '~')
	}
	b = append(b, '{')
	b = strconv.AppendInt(b, size, 10)
	return append(b, "}\r\n"...)
}

// AppendAString appends s as an atom where it is one, or else as AppendString does.
func AppendAString(b []byte, s string, utf8OK bool) []byte {
	atom := s != "" && !strings.EqualFold(s, "NIL")
	for i := 0; i < len(s) && atom; i++ {
		atom = isAtomChar(s[i])
	}
	if atom {
		return append(b, s...)
	}
	return AppendString(b, s, utf8OK)
}

// AppendMailbox appends a mailbox name given in UTF-8: in modified UTF-7 unless utf8OK.
func AppendMailbox(b []byte, name string, utf8OK bool) []byte {
	if utf8OK {
		return AppendAString(b, name, true)
	}
	return AppendAString(b, string(AppendUTF7(nil, name)), false)
}

// AppendNumber appends a number.
func AppendNumber[T ~uint32 | ~uint64 | ~int64 | ~int](b []byte, n T) []byte {
	return strconv.AppendInt(b, int64(n), 10)
}
