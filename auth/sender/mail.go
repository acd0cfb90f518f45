package sender

import (
	"bytes"
	"crypto/sha256"

	"facteur/storage/message"
)

// mail is the message whose sender is looked for.
type mail struct {
	fields []field
	byName map[string][]int // places in fields
}

func newMail(header []byte) *mail {
	m := &mail{fields: splitHeader(header), byName: make(map[string][]int)}
	for i, f := range m.fields {
		m.byName[f.name] = append(m.byName[f.name], i)
	}
	return m
}

// author is the one author of the message. Lines that a generous reader could take for another From
// field spoil it (RFC 5322 3.6: there is one).
func (m *mail) author(header []byte) (message.AddrSpec, string) {
	for _, f := range m.fields {
		if f.name == "from" {
			continue
		}
		if name, _, ok := generousName(f); ok && name == "from" {
			return message.AddrSpec{}, "message has a line that looks like one more From field"
		}
	}
	return message.Author(header)
}

// signatures reads the DKIM-Signature fields from the top, ten at most.
func (m *mail) signatures() []*signature {
	var sigs []*signature
	for _, i := range m.byName["dkim-signature"] {
		if len(sigs) == maxSignatures {
			break
		}
		sigs = append(sigs, parseSignature(m.fields[i], i))
	}
	return sigs
}

// digest hashes the fields that a signature names, from the bottom up where a name occurs more than once
// (RFC 6376 5.4.2), and the signature's field itself without the value of b= (3.7).
func (m *mail) digest(s *signature) []byte {
	h := sha256.New()
	var buf []byte
	used := make(map[string]int, len(s.names))
	for _, name := range s.names {
		places := m.byName[name]
		n := used[name]
		if n < len(places) && places[len(places)-1-n] == s.field {
			n++ // the signature wasn't there when it was made
		}
		used[name] = n + 1
		if n >= len(places) || name == "" {
			continue // signed as absent
		}
		f := m.fields[places[len(places)-1-n]]
		if !s.relaxed {
			h.Write(f.raw)
			continue
		}
		buf = appendRelaxed(buf[:0], f)
		h.Write(buf)
	}
	own := withoutB(m.fields[s.field], s.tags)
	if s.relaxed {
		buf = appendRelaxed(buf[:0], own)
	} else {
		buf = append(buf[:0], own.raw...)
	}
	h.Write(bytes.TrimSuffix(buf, crlf))
	return h.Sum(nil)
}

// withoutB is a field with the value of its own b= tag taken out: of that tag, not of "b=" in another.
func withoutB(f field, tags tagList) field {
	b, _ := tags.get("b")
	start, end := f.colon+1+b.start, f.colon+1+b.end
	raw := append(append([]byte{}, f.raw[:start]...), f.raw[end:]...)
	return field{name: f.name, raw: raw, colon: f.colon}
}
