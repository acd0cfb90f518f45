package message

import (
	"bytes"
	"iter"
	"strings"
)

// Caps of what is looked at in one header. What lies beyond is kept and served
// octet for octet, but has no meaning for the summary.
const (
	maxHeader = 256 << 10
	maxFields = 1000
)

// Field is one header field as it was written (RFC 5322 2.2).
type Field struct {
	Name string // without blanks before the colon; empty for lines that are no field
	Raw  []byte // all of it, with folds and line ends
	body int    // where the value begins in Raw
}

// Fields goes through the fields of a header in their order, up to the blank line
// or the end. A line without a colon, and one that begins with a blank where there
// is nothing to continue, is no field: it comes with an empty Name, so that all Raw
// together are the header. The Raw are parts of header.
func Fields(header []byte) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for len(header) > 0 {
			n := fieldLength(header)
			if isBlank(header[:n]) {
				return
			}
			if !yield(newField(header[:n])) {
				return
			}
			header = header[n:]
		}
	}
}

// fieldLength is the length of the first line with the lines that continue it.
func fieldLength(b []byte) int {
	n := 0
	for {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return len(b)
		}
		blank := isBlank(b[n : n+i+1])
		n += i + 1
		if blank || n == len(b) || b[n] != ' ' && b[n] != '\t' {
			return n
		}
	}
}

func newField(raw []byte) Field {
	line := raw
	if i := bytes.IndexByte(raw, '\n'); i >= 0 {
		line = raw[:i]
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || isWSP(line[0]) {
		return Field{Raw: raw, body: len(raw)}
	}
	// RFC 5322 4.5: obsolete syntax allows blanks before the colon.
	name := bytes.TrimRight(line[:colon], " \t")
	return Field{Name: string(name), Raw: raw, body: colon + 1}
}

// Is reports whether the field has that name, without regard to case.
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

// Value is the field's value unfolded (RFC 5322 2.2.3): line ends removed, blanks
// at both ends too, everything else as written. A bare CR, which RFC 5322 2.2 forbids, is a
// blank, so that it joins no two words.
func (f Field) Value() string { return unfold(f.Raw[f.body:]) }

func unfold(b []byte) string {
	b = bytes.Trim(b, " \t\r\n")
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return string(b)
	}
	var out strings.Builder
	out.Grow(len(b))
	for i, c := range b {
		switch {
		case c == '\n':
		case c != '\r':
			out.WriteByte(c)
		case b[i+1] != '\n': // b doesn't end with CR
			out.WriteByte(' ')
		}
	}
	return out.String()
}

// Values returns the unfolded values of all fields of that name.
func Values(header []byte, name string) []string {
	var values []string
	for f := range Fields(header) {
		if f.Is(name) {
			values = append(values, f.Value())
		}
	}
	return values
}

// Value returns the first field of that name, unfolded, and whether there is one.
func Value(header []byte, name string) (string, bool) {
	for f := range Fields(header) {
		if f.Is(name) {
			return f.Value(), true
		}
	}
	return "", false
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }
