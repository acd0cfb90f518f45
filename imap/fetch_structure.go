package imap

import (
	"facteur/imap/wire"
	"facteur/storage/message"
)

// structureWriter appends the value of BODY or, extended, BODYSTRUCTURE (RFC 9051
// 7.5.2).
type structureWriter struct {
	extended bool
	utf8     bool
}

func appendBody(b []byte, p *message.Part, utf8OK bool) []byte {
	return structureWriter{utf8: utf8OK}.part(b, p)
}

func appendBodyStructure(b []byte, p *message.Part, utf8OK bool) []byte {
	return structureWriter{extended: true, utf8: utf8OK}.part(b, p)
}

func (w structureWriter) part(b []byte, p *message.Part) []byte {
	b = append(b, '(')
	if p.IsMultipart() {
		b = w.multipart(b, p)
	} else {
		b = w.single(b, p)
	}
	return append(b, ')')
}

func (w structureWriter) multipart(b []byte, p *message.Part) []byte {
	// RFC 9051 9, body-type-mpart: at least one part, and no blanks between them.
	if len(p.Parts) == 0 {
		b = w.part(b, emptyPart())
	}
	for i := range p.Parts {
		b = w.part(b, &p.Parts[i])
	}
	b = append(b, ' ')
	b = w.string(b, p.Subtype)
	if !w.extended {
		return b
	}
	b = append(b, ' ')
	b = w.params(b, p.Params)
	return w.extension(b, p)
}

// emptyPart stands for the child that a multipart without any should have.
func emptyPart() *message.Part {
	return &message.Part{
		Type: "text", Subtype: "plain", Encoding: "7bit",
		Params: []message.Param{{Name: "charset", Value: "us-ascii"}},
	}
}

func (w structureWriter) single(b []byte, p *message.Part) []byte {
	b = w.string(b, p.Type)
	b = append(b, ' ')
	b = w.string(b, p.Subtype)
	b = append(b, ' ')
	b = w.params(b, p.Params)
	b = append(b, ' ')
	b = appendOptional(b, p.ID, w.utf8)
	b = append(b, ' ')
	b = appendOptional(b, p.Description, w.utf8)
	b = append(b, ' ')
	b = w.string(b, p.Encoding)
	b = append(b, ' ')
	b = wire.AppendNumber(b, p.Size())
	switch {
	case p.IsMessage():
		b = append(b, ' ')
		b = appendEnvelope(b, p.Envelope, w.utf8)
		b = append(b, ' ')
		if len(p.Parts) > 0 {
			b = w.part(b, &p.Parts[0])
		} else { // nested too deep to be read
			b = w.part(b, emptyPart())
		}
		b = append(b, ' ')
		b = wire.AppendNumber(b, p.Lines)
	case p.IsText():
		b = append(b, ' ')
		b = wire.AppendNumber(b, p.Lines)
	}
	if !w.extended {
		return b
	}
	b = append(b, ' ')
	b = appendOptional(b, p.MD5, w.utf8)
	return w.extension(b, p)
}

// extension appends disposition, language and location.
func (w structureWriter) extension(b []byte, p *message.Part) []byte {
	b = append(b, ' ')
	if p.Disposition == "" {
		b = append(b, "NIL"...)
	} else {
		b = append(b, '(')
		b = w.string(b, p.Disposition)
		b = append(b, ' ')
		b = w.params(b, p.DispParams)
		b = append(b, ')')
	}
	b = append(b, ' ')
	b = w.languages(b, p.Language)
	b = append(b, ' ')
	return appendOptional(b, p.Location, w.utf8)
}

func (w structureWriter) languages(b []byte, tags []string) []byte {
	if len(tags) == 0 {
		return append(b, "NIL"...)
	}
	sep := byte('(')
	for _, tag := range tags {
		b = append(b, sep)
		b = w.string(b, tag)
		sep = ' '
	}
	return append(b, ')')
}

func (w structureWriter) params(b []byte, params []message.Param) []byte {
	if len(params) == 0 {
		return append(b, "NIL"...)
	}
	sep := byte('(')
	for _, p := range params {
		b = append(b, sep)
		b = w.string(b, p.Name)
		b = append(b, ' ')
		b = w.string(b, p.Value)
		sep = ' '
	}
	return append(b, ')')
}

func (w structureWriter) string(b []byte, s string) []byte {
	return wire.AppendString(b, withoutNUL(s), w.utf8)
}
