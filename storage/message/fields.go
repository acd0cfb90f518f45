package message

import "strings"

// interpret reads from the header what Part and, for a message, Envelope hold.
func (p *structureParser) interpret(part *Part, envelope *Envelope, typ, subtype string) {
	n := 0
	for f := range Fields(p.header) {
		if n++; n > maxFields {
			break
		}
		if f.Name == "" || len(f.Name) > len("Content-Transfer-Encoding") {
			continue
		}
		name := strings.ToLower(f.Name)
		if strings.HasPrefix(name, "content-") {
			p.contentField(part, name, f)
		} else if envelope != nil {
			p.envelopeField(envelope, name, f)
		}
	}
	part.setDefaults(typ, subtype)
}

// take returns the value of f, or nothing when the message has spent what a summary
// may keep of it.
func (p *structureParser) take(f Field) string {
	p.budget -= len(f.Raw)
	if p.budget < 0 {
		return ""
	}
	return f.Value()
}

// contentField reads a field of RFC 2045, 1864, 2183, 3282 or 2557. Of fields that
// come twice the first counts, but of dispositions the last up to one with parameters, as Dovecot has it.
func (p *structureParser) contentField(part *Part, name string, f Field) {
	switch name {
	case "content-type":
		if part.Type == "" {
			part.Type, part.Subtype, part.Params = parseContentType(p.take(f))
		}
	case "content-transfer-encoding":
		if part.Encoding == "" {
			part.Encoding = parseEncoding(p.take(f))
		}
	case "content-disposition":
		if len(part.DispParams) > 0 {
			break
		}
		if disposition, params := parseDisposition(p.take(f)); disposition != "" {
			part.Disposition, part.DispParams = disposition, params
		}
	case "content-language":
		if part.Language == nil {
			part.Language = parseLanguage(p.take(f))
		}
	case "content-id":
		setFirst(&part.ID, p.take(f))
	case "content-description":
		setFirst(&part.Description, p.take(f))
	case "content-md5":
		setFirst(&part.MD5, p.take(f))
	case "content-location":
		setFirst(&part.Location, p.take(f))
	}
}

func setFirst(to *string, s string) {
	if *to == "" {
		*to = s
	}
}

// envelopeField reads a field of IMAP's ENVELOPE. Address fields that come twice add
// up, of the others the last counts, as Dovecot has it.
func (p *structureParser) envelopeField(e *Envelope, name string, f Field) {
	switch name {
	case "date":
		e.Date = Text{p.take(f), true}
	case "subject":
		e.Subject = Text{p.take(f), true}
	case "in-reply-to":
		e.InReplyTo = Text{p.take(f), true}
	case "message-id":
		e.MessageID = Text{p.take(f), true}
	case "references":
		e.References = Text{p.take(f), true}
	case "from":
		e.From = append(e.From, ParseAddressList(p.take(f))...)
	case "sender":
		e.Sender = append(e.Sender, ParseAddressList(p.take(f))...)
	case "reply-to":
		e.ReplyTo = append(e.ReplyTo, ParseAddressList(p.take(f))...)
	case "to":
		e.To = append(e.To, ParseAddressList(p.take(f))...)
	case "cc":
		e.Cc = append(e.Cc, ParseAddressList(p.take(f))...)
	case "bcc":
		e.Bcc = append(e.Bcc, ParseAddressList(p.take(f))...)
	}
}

// setDefaults fills in what the header does not say (RFC 2045 5.2, 6.1).
func (p *Part) setDefaults(typ, subtype string) {
	if p.Type == "" {
		p.Type, p.Subtype = typ, subtype
	}
	if p.Encoding == "" {
		p.Encoding = "7bit"
	}
	if !p.IsText() {
		return
	}
	for _, param := range p.Params {
		if asciiEqualFold(param.Name, "charset") || asciiEqualFold(param.Name, "charset*") {
			return
		}
	}
	p.Params = append(p.Params, Param{"charset", "us-ascii"})
}

// isMessageType: RFC 2046 5.2.1 and, for messages with UTF-8 in their headers, RFC
// 6532 3.7; RFC 9051 7.5.2 wants the structure of both.
func isMessageType(p *Part) bool {
	return asciiEqualFold(p.Type, "message") &&
		(asciiEqualFold(p.Subtype, "rfc822") || asciiEqualFold(p.Subtype, "global"))
}
