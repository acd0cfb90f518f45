package message

import (
	"io"
	"strings"
	"unicode/utf8"
)

// SearchText is the text of a message as a person reads it, for the full-text
// index: encoded words, transfer encodings and charsets decoded, HTML without
// its tags.
type SearchText struct {
	Subject   string
	Addresses string // From, To, Cc, Bcc, Reply-To, Sender: names and addresses
	Body      string
}

// ExtractText reads the searchable text of a message, at most limit octets of
// it.
func ExtractText(r io.ReaderAt, size int64, limit int) (SearchText, error) {
	p := &structureParser{in: newLineReader(r, size), budget: maxText}
	var e Envelope
	root, _ := p.part(&e, "text", "plain", 0)
	if p.in.err != nil {
		return SearchText{}, p.in.err
	}
	text := SearchText{
		Subject:   clip(DecodeText(e.Subject.Value), limit),
		Addresses: clip(e.addressText(), limit),
	}
	var body strings.Builder
	err := root.extract(&body, r, limit)
	text.Body = clip(body.String(), limit)
	return text, err
}

// extract writes the text of p and all parts below.
func (p *Part) extract(out *strings.Builder, r io.ReaderAt, limit int) error {
	if out.Len() >= limit {
		return nil
	}
	if name := p.Filename(); name != "" {
		out.WriteString(name)
		out.WriteByte('\n')
	}
	if p.Envelope != nil {
		out.WriteString(DecodeText(p.Envelope.Subject.Value))
		out.WriteByte('\n')
		out.WriteString(p.Envelope.addressText())
	}
	for i := range p.Parts {
		if err := p.Parts[i].extract(out, r, limit); err != nil {
			return err
		}
	}
	if len(p.Parts) > 0 || !p.IsText() {
		return nil
	}
	err := p.appendText(out, r, limit)
	out.WriteByte('\n')
	return err
}

// appendText writes the text of a text part, HTML as people see it.
func (p *Part) appendText(out *strings.Builder, r io.ReaderAt, limit int) error {
	text := io.LimitReader(p.Text(r), 16*int64(limit)) // markup may be most of it
	if asciiEqualFold(p.Subtype, "html") {
		return htmlText(out, text, limit)
	}
	_, err := io.Copy(out, io.LimitReader(text, int64(max(limit-out.Len(), 0))))
	return err
}

// Decoded gives the part's body of the message r without its transfer encoding.
func (p *Part) Decoded(r io.ReaderAt) io.Reader {
	return DecodeTransfer(p.Encoding, io.NewSectionReader(r, p.BodyStart, p.Size()))
}

// Text gives a text part's body of the message r in UTF-8.
func (p *Part) Text(r io.ReaderAt) io.Reader {
	return charsetReader(p.Param("charset"), p.Decoded(r))
}

// addressText is all addresses, decoded, one a line.
func (e *Envelope) addressText() string {
	var out strings.Builder
	for _, list := range [][]Address{e.From, e.To, e.Cc, e.Bcc, e.ReplyTo, e.Sender} {
		for _, a := range list {
			if a.Kind != GroupEnd {
				out.WriteString(a.Text())
				out.WriteByte('\n')
			}
		}
	}
	return out.String()
}

// Text is the address as people read it: "Name <mailbox@host>".
func (a Address) Text() string {
	spec := DecodeText(a.Mailbox)
	if a.Host != "" {
		spec += "@" + DecodeText(a.Host)
	}
	if a.Name == "" {
		return spec
	}
	return DecodeText(a.Name) + " <" + spec + ">"
}

// clip cuts s to at most limit octets, between characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
