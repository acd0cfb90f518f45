package imap

import (
	"strings"

	"facteur/imap/wire"
	"facteur/storage/message"
)

// sectionText is the last word of a section (RFC 9051 9, section-text).
type sectionText uint8

const (
	sectionAll sectionText = iota // none: BODY[] or BODY[1.2]
	sectionHeader
	sectionFields
	sectionFieldsNot
	sectionBody // TEXT
	sectionMIME
)

// section is what stands in the brackets of BODY[...] (RFC 9051 6.4.5).
type section struct {
	path   []uint32
	text   sectionText
	fields []string // in upper case, in the client's order
	set    map[string]bool
}

// Limits of a section that make sense for a message of at most 100 levels.
const (
	maxSectionPath   = 200
	maxSectionFields = 1000
)

// parseSection reads "[" section "]".
func parseSection(d *wire.Decoder) section {
	var s section
	d.Expect('[')
	for d.Err() == nil && '0' <= d.Peek() && d.Peek() <= '9' {
		n := d.Number()
		if n == 0 || len(s.path) == maxSectionPath {
			d.Fail("bad part number")
		}
		s.path = append(s.path, n)
		if !d.Take('.') {
			d.Expect(']')
			return s
		}
	}
	if len(s.path) == 0 && d.Take(']') {
		return s
	}
	switch word := d.Word(); word {
	case "HEADER":
		s.text = sectionHeader
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		s.text = sectionFields
		if word == "HEADER.FIELDS.NOT" {
			s.text = sectionFieldsNot
		}
		d.SP()
		s.fields = parseFieldNames(d)
		s.set = make(map[string]bool, len(s.fields))
		for _, name := range s.fields {
			s.set[name] = true
		}
	case "TEXT":
		s.text = sectionBody
	case "MIME":
		s.text = sectionMIME
		if len(s.path) == 0 {
			d.Fail("MIME needs a part number")
		}
	default:
		if d.Err() == nil {
			d.Fail("unknown section %s", word)
		}
	}
	d.Expect(']')
	return s
}

func parseFieldNames(d *wire.Decoder) []string {
	var names []string
	d.List(func() {
		if len(names) == maxSectionFields {
			d.Fail("too many field names")
		}
		names = append(names, strings.ToUpper(d.AString()))
	})
	if len(names) == 0 && d.Err() == nil {
		d.Fail("no field names")
	}
	return names
}

// appendSection appends a section as FETCH answers it, names of fields in upper case as
// Dovecot has them.
func appendSection(b []byte, s section, utf8OK bool) []byte {
	b = append(b, '[')
	for i, n := range s.path {
		if i > 0 {
			b = append(b, '.')
		}
		b = wire.AppendNumber(b, n)
	}
	if len(s.path) > 0 && s.text != sectionAll {
		b = append(b, '.')
	}
	b = append(b, [...]string{"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"}[s.text]...)
	if s.fields != nil {
		sep := " ("
		for _, name := range s.fields {
			b = append(b, sep...)
			b = wire.AppendAString(b, name, utf8OK)
			sep = " "
		}
		b = append(b, ')')
	}
	return append(b, ']')
}

// findPart follows part numbers down the tree (RFC 9051 6.4.5). A part that is not a
// multipart has one part, its body; numbers after a message/rfc822 count in the
// message that it holds. nil: there is no such part.
func findPart(root *message.Part, path []uint32) *message.Part {
	p, body := root, false // body: the number before meant that of p
	for i, n := range path {
		switch {
		case i == 0:
		case p.IsMessage():
			if len(p.Parts) == 0 {
				return nil
			}
			p = &p.Parts[0]
		case body:
			return nil
		}
		if body = !p.IsMultipart(); body {
			if n != 1 {
				return nil
			}
			continue
		}
		if int64(n) > int64(len(p.Parts)) {
			return nil
		}
		p = &p.Parts[n-1]
	}
	return p
}

// extent is a stretch of octets of the message.
type extent struct{ from, to int64 }

// extent says which octets of the message a section is made of; for sectionFields the
// header that the fields are picked from. ok is false when there is no such part.
func (s section) extent(root *message.Part) (e extent, ok bool) {
	p := root
	if len(s.path) > 0 {
		if p = findPart(root, s.path); p == nil {
			return extent{}, false
		}
		switch s.text {
		case sectionAll:
			return extent{p.BodyStart, p.End}, true
		case sectionMIME:
			return extent{p.Start, p.BodyStart}, true
		}
		// RFC 9051 6.4.5: HEADER and TEXT of a part are those of the message it holds.
		if !p.IsMessage() || len(p.Parts) == 0 {
			return extent{}, false
		}
		p = &p.Parts[0]
	}
	switch s.text {
	case sectionAll:
		return extent{p.Start, p.End}, true
	case sectionBody:
		return extent{p.BodyStart, p.End}, true
	}
	return extent{p.Start, p.BodyStart}, true
}

// selectFields picks the fields that a HEADER.FIELDS or HEADER.FIELDS.NOT section asks for
// out of a header, with the blank line at its end. Lines that are no fields belong to
// FIELDS.NOT.
func (s section) selectFields(header []byte) []byte {
	out := make([]byte, 0, min(len(header), 4<<10))
	rest := header
	for f := range message.Fields(header) {
		rest = rest[len(f.Raw):]
		if s.set[strings.ToUpper(f.Name)] == (s.text == sectionFields) {
			out = append(out, f.Raw...)
		}
	}
	// RFC 9051 6.4.5: the blank line is always included, unless the message has none.
	return append(out, rest...)
}
