package sender

import (
	"bytes"
	"strings"
)

// field is one header field as it stands in the message.
type field struct {
	name  string // lower case, without blanks before the colon; empty for a line that is no field
	raw   []byte // with folds and the final CRLF
	colon int    // where the colon stands in raw
}

// value is what follows the colon, folds and final CRLF included.
func (f field) value() []byte { return f.raw[f.colon+1:] }

// splitHeader cuts a header block into its fields. Lines end with LF, with or without CR before it. It
// goes on for as long as there are lines and gives no line a meaning that it hasn't: a
// continuation of nothing and a line without a colon become fields without a name, so that a reader
// who is more generous than we are can be noticed.
func splitHeader(header []byte) []field {
	var fields []field
	for len(header) > 0 {
		end := lineLen(header)
		if isEmptyLine(header[:end]) {
			break
		}
		for end < len(header) && (header[end] == ' ' || header[end] == '\t') {
			end += lineLen(header[end:])
		}
		fields = append(fields, newField(header[:end]))
		header = header[end:]
	}
	return fields
}

func newField(raw []byte) field {
	line := raw[:lineLen(raw)]
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || raw[0] == ' ' || raw[0] == '\t' {
		return field{raw: raw, colon: len(raw) - 1}
	}
	// RFC 5322 4.5.3: blanks before the colon are obsolete, and read.
	name := bytes.TrimRight(line[:colon], " \t\r\n")
	return field{name: strings.ToLower(string(name)), raw: raw, colon: colon}
}

func lineLen(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

func isEmptyLine(b []byte) bool {
	return len(b) == 1 && b[0] == '\n' || len(b) == 2 && b[0] == '\r' && b[1] == '\n'
}

// appendRelaxed appends a field in the relaxed canonical form (RFC 6376 3.4.2): name in lower case, unfolded,
// runs of blanks as one space, none around the colon or at the end. It ends with CRLF.
func appendRelaxed(dst []byte, f field) []byte {
	dst = append(dst, f.name...)
	dst = append(dst, ':')
	return append(appendRelaxedValue(dst, f.value()), "\r\n"...)
}

func appendRelaxedValue(dst, value []byte) []byte {
	start := len(dst)
	blank := false
	for i, c := range value {
		switch {
		case c == ' ' || c == '\t':
			blank = true
		case c == '\n' || c == '\r' && i+1 < len(value) && value[i+1] == '\n':
			// Unfolded.
		default:
			if blank && len(dst) > start {
				dst = append(dst, ' ')
			}
			blank = false
			dst = append(dst, c)
		}
	}
	return dst
}
