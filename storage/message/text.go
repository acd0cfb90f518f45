package message

import (
	"io"
	"strings"
	"unicode/utf8"
)

// SearchText is the text of a message as a person reads it, for the full-text
// index: encoded words, transfer encodings and charsets decoded, HTML without
// its tags. It holds all that SEARCH's TEXT and BODY look at, up to the limit.
type SearchText struct {
	Subject   string
	Addresses string // From, To, Cc, Bcc, Reply-To, Sender: names and addresses; then all that WriteHeaderText gives
	Body      string // as WriteText gives it
	Cut       bool   // Body lacks text that stands behind more markup than is read for it
}

// ExtractText reads the searchable text of a message, at most limit octets of
// each kind.
func ExtractText(r io.ReaderAt, size int64, limit int) (SearchText, error) {
	p := &structureParser{in: newLineReader(r, size), budget: maxText}
	defer p.in.release()
	var e Envelope
	root, _ := p.part(&e, "text", "plain", 0)
	if p.in.err != nil {
		return SearchText{}, p.in.err
	}
	var addresses, body strings.Builder
	addresses.WriteString(e.AddressText())
	t := textWriter{w: &addresses, left: int64(limit)}
	root.headerText(&t, r)
	if t.flush(); t.err != nil {
		return SearchText{}, t.err
	}
	t = textWriter{w: &body, left: int64(limit)}
	root.text(&t, r)
	t.flush()
	return SearchText{
		Subject:   clip(e.SubjectText(), limit),
		Addresses: clip(addresses.String(), limit),
		Body:      clip(body.String(), limit),
		Cut:       t.cut,
	}, t.err
}

// WriteText writes what a person can read of the body of p, which is a part of the message
// r: the text of all text parts, names of attachments, the subject and addresses of
// messages inside. It ends early with the first error of w.
func (p *Part) WriteText(w io.Writer, r io.ReaderAt) error {
	t := textWriter{w: w, left: 1 << 62}
	p.text(&t, r)
	t.flush()
	return t.err
}

// WriteHeaderText writes the fields of p's header and of the headers of all parts below as
// a person reads them, a line each. Signatures and keys, which say nothing to a person,
// are left out.
func (p *Part) WriteHeaderText(w io.Writer, r io.ReaderAt) error {
	t := textWriter{w: w, left: 1 << 62}
	p.headerText(&t, r)
	t.flush()
	return t.err
}

func (p *Part) headerText(t *textWriter, r io.ReaderAt) {
	header := make([]byte, min(p.BodyStart-p.Start, maxHeader))
	if n, err := r.ReadAt(header, p.Start); n < len(header) {
		t.fail(err)
	}
	for f := range Fields(header) {
		if t.full() {
			return
		}
		if !f.opaque() {
			t.string(f.Text())
			t.newLine()
		}
	}
	for i := range p.Parts {
		p.Parts[i].headerText(t, r)
	}
}

// Text is the whole field as a person reads it, the blanks around its colon as written.
func (f Field) Text() string { return DecodeText(unfold(f.Raw)) }

func (f Field) opaque() bool { return SignatureField(strings.ToLower(f.Name)) }

// SignatureField reports whether a field, named in lower case, holds nothing but a
// signature or a key. Such fields are not part of a message's text.
func SignatureField(name string) bool {
	switch name {
	case "dkim-signature", "x-google-dkim-signature", "arc-seal", "arc-message-signature", "autocrypt":
		return true
	}
	return false
}

// textWriter gathers text for w, at most left octets of it.
type textWriter struct {
	w    io.Writer
	buf  []byte
	left int64
	last byte
	cut  bool // some part had more markup than was read
	err  error
}

func (t *textWriter) full() bool { return t.err != nil || t.left <= 0 }

func (t *textWriter) string(s string) {
	if t.full() || s == "" {
		return
	}
	t.left -= int64(len(s))
	t.last = s[len(s)-1]
	if t.buf = append(t.buf, s...); len(t.buf) >= 4<<10 {
		t.flush()
	}
}

func (t *textWriter) rune(r rune) {
	if t.full() {
		return
	}
	t.buf = utf8.AppendRune(t.buf, r)
	t.left -= int64(utf8.RuneLen(r))
	t.last = t.buf[len(t.buf)-1]
	if len(t.buf) >= 4<<10 {
		t.flush()
	}
}

func (t *textWriter) flush() {
	if t.err == nil && len(t.buf) > 0 {
		_, t.err = t.w.Write(t.buf)
	}
	t.buf = t.buf[:0]
}

// newLine ends a line that has something in it.
func (t *textWriter) newLine() {
	if t.last != '\n' && t.last != 0 {
		t.string("\n")
	}
}

// text writes the text of p and all parts below.
func (p *Part) text(t *textWriter, r io.ReaderAt) {
	if name := p.Filename(); name != "" {
		t.string(name)
		t.newLine()
	}
	if p.Envelope != nil {
		t.string(p.Envelope.SubjectText())
		t.newLine()
		t.string(p.Envelope.AddressText())
	}
	for i := range p.Parts {
		if t.full() {
			return
		}
		p.Parts[i].text(t, r)
	}
	if p.readable() {
		p.ownText(t, r)
		t.newLine()
	}
}

// readable reports whether p is text to a person: text of any subtype, and what is of type message and
// holds none, such as the report of a delivery (RFC 3464).
func (p *Part) readable() bool {
	return len(p.Parts) == 0 && (p.IsText() || asciiEqualFold(p.Type, "message"))
}

// ownText writes the text of a text part, HTML as people see it.
func (p *Part) ownText(t *textWriter, r io.ReaderAt) {
	in := p.Text(r)
	if t.left < 1<<40 { // markup may be most of it
		limited := &io.LimitedReader{R: in, N: 16 * t.left}
		in = limited
		defer func() { t.cut = t.cut || limited.N <= 0 }()
	}
	if asciiEqualFold(p.Subtype, "html") {
		htmlText(t, in)
		return
	}
	buf := make([]byte, 4<<10)
	for !t.full() {
		n, err := in.Read(buf)
		t.string(string(buf[:n]))
		if err != nil {
			t.fail(err)
			return
		}
	}
}

func (t *textWriter) fail(err error) {
	if t.err == nil && err != io.EOF {
		t.err = err
	}
}

// TextSize is how many octets the parts with text from p on have, encoded as they are.
func (p *Part) TextSize() int64 {
	var n int64
	if p.readable() {
		n = p.Size()
	}
	for i := range p.Parts {
		n += p.Parts[i].TextSize()
	}
	return n
}

// Decoded gives the part's body of the message r without its transfer encoding.
func (p *Part) Decoded(r io.ReaderAt) io.Reader {
	return DecodeTransfer(p.Encoding, io.NewSectionReader(r, p.BodyStart, p.Size()))
}

// Text gives a text part's body of the message r in UTF-8.
func (p *Part) Text(r io.ReaderAt) io.Reader {
	return charsetReader(p.Param("charset"), p.Decoded(r))
}

// AddressText is all addresses of the envelope, decoded, one a line.
func (e *Envelope) AddressText() string {
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
func (a Address) Text() string { return string(a.AppendText(nil)) }

// AppendText appends Text.
func (a *Address) AppendText(b []byte) []byte {
	if a.Kind == Mailbox {
		if a.Name != "" {
			b = append(append(b, DecodeText(a.Name)...), ' ')
		}
		b = append(b, '<')
	}
	b = append(b, DecodeText(a.Mailbox)...)
	if a.Host != "" {
		b = append(append(b, '@'), DecodeText(a.Host)...)
	}
	if a.Kind == Mailbox {
		b = append(b, '>')
	}
	return b
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
