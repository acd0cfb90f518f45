package smtpd

import (
	"bytes"
	"iter"
	"strings"
)

// field is one header field as it was written, folds and CRLF included.
type field struct {
	name []byte // without blanks around it; empty when the line is no field
	raw  []byte
}

// is compares names as RFC 5322 does, without regard to case.
func (f field) is(name string) bool {
	return len(f.name) == len(name) && strings.EqualFold(string(f.name), name)
}

// value is what stands after the colon, as written.
func (f field) value() []byte { return f.raw[bytes.IndexByte(f.raw, ':')+1:] }

// fields goes through a header block, up to its blank line. It is kinder than message.Fields, since it
// looks for what must not pass: a blank or fold before the colon, or before the name, belongs to no
// name (RFC 5322 4.5.3 lets old programs write some), but other readers take it for a field, so we do.
func fields(header []byte) iter.Seq[field] {
	return func(yield func(field) bool) {
		for len(header) > 0 && !bytes.HasPrefix(header, []byte("\r\n")) {
			end := 0
			for {
				i := bytes.IndexByte(header[end:], '\n')
				if i < 0 {
					end = len(header)
					break
				}
				end += i + 1
				if end == len(header) || header[end] != ' ' && header[end] != '\t' {
					break
				}
			}
			f := field{raw: header[:end]}
			if i := bytes.IndexByte(f.raw, ':'); i >= 0 {
				f.name = bytes.Trim(f.raw[:i], " \t\r\n")
			}
			if !yield(f) {
				return
			}
			header = header[end:]
		}
	}
}

// without returns the header without the fields that drop wants to go: header itself when it
// wants none.
func without(header []byte, drop func(field) bool) []byte {
	var out []byte
	kept, pos := 0, 0 // header[:kept] is in out
	for f := range fields(header) {
		if drop(f) {
			out = append(out, header[kept:pos]...)
			kept = pos + len(f.raw)
		}
		pos += len(f.raw)
	}
	if kept == 0 {
		return header
	}
	return append(out, header[kept:]...)
}

// forged reports fields that only we may write: they say what we found out about a message, and
// users' filters believe them.
func (s *Server) forged(f field) bool {
	switch {
	case f.is("Return-Path"): // RFC 5321 4.4: put in at final delivery, by us
		return true
	case s.ForgedResult(f.raw, s.Hostname):
		return true
	}
	const own = "X-Facteur-"
	return len(f.name) > len(own) && strings.EqualFold(string(f.name[:len(own)]), own)
}
