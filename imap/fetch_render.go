package imap

import (
	"facteur/imap/wire"
	"facteur/storage"
	"facteur/storage/message"
)

// appendIndexItem appends name and value of an item whose value comes from the index.
func appendIndexItem(b []byte, item fetchItem, d *storage.Details, s *message.Summary, utf8OK bool) []byte {
	switch item.attr {
	case attrEnvelope:
		b = append(b, "ENVELOPE "...)
		b = appendEnvelope(b, &s.Envelope, utf8OK)
	case attrBody:
		b = append(b, "BODY "...)
		b = appendBody(b, s.Structure, utf8OK)
	case attrBodyStructure:
		b = append(b, "BODYSTRUCTURE "...)
		b = appendBodyStructure(b, s.Structure, utf8OK)
	case attrPreview:
		// RFC 8970 3.1: never NIL here, since it was made when the message was stored. It is
		// UTF-8 whether the client has enabled that or not; a literal can hold it.
		b = append(b, "PREVIEW "...)
		b = wire.AppendString(b, s.Preview, utf8OK)
	case attrEmailID:
		b = appendObjectID(b, "EMAILID ", d.EmailID())
	case attrThreadID:
		b = appendObjectID(b, "THREADID ", d.ThreadID())
	case attrSaveDate:
		b = append(b, "SAVEDATE "...)
		if d.Saved.IsZero() { // RFC 8514 4.2
			return append(b, "NIL"...)
		}
		b = wire.AppendDateTime(b, d.Saved)
	}
	return b
}

// appendObjectID: RFC 8474 5. Only a THREADID may be missing.
func appendObjectID(b []byte, name, id string) []byte {
	b = append(b, name...)
	if id == "" {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	b = append(b, id...)
	return append(b, ')')
}

// appendContentName appends the name under which an item with octets of the message
// is answered: BODY[1.MIME]<0>, BINARY.SIZE[2], RFC822.TEXT.
func appendContentName(b []byte, item fetchItem, utf8OK bool) []byte {
	switch item.attr {
	case attrRFC822:
		return append(b, "RFC822"...)
	case attrRFC822Header:
		return append(b, "RFC822.HEADER"...)
	case attrRFC822Text:
		return append(b, "RFC822.TEXT"...)
	case attrBinary:
		b = append(b, "BINARY"...)
	case attrBinarySize:
		b = append(b, "BINARY.SIZE"...)
	default:
		b = append(b, "BODY"...)
	}
	b = appendSection(b, item.section, utf8OK)
	if item.partial != nil {
		b = append(b, '<')
		b = wire.AppendNumber(b, item.partial.from)
		b = append(b, '>')
	}
	return b
}

// openItem opens the octets that item asks for, but for attrBinarySize, which is a
// number: binarySize.
func openItem(item fetchItem, root *message.Part, c storage.Content) (piece, error) {
	if item.whole() {
		// The message as it is, whatever the summary may say of it.
		root = &message.Part{End: c.Size()}
	}
	if item.attr == attrBinary {
		return openBinary(root, c, item.section.path, item.partial)
	}
	return openSection(root, c, item.section, item.partial)
}
