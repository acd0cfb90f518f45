package message

import "io"

// Summary is what is worked out once, when a message is stored, so that no FETCH
// has to open the file for it: the envelope, the MIME structure with the
// offsets of every part, and the preview text (RFC 8970).
type Summary struct {
	Envelope  Envelope
	Structure *Part
	Preview   string
}

// Text is the value of a header field that may be missing: IMAP tells an empty
// field (Present, no Value) from a missing one.
type Text struct {
	Value   string
	Present bool
}

// Envelope holds the header fields of IMAP's ENVELOPE as they were written:
// encoded words stay encoded, the date stays text (RFC 9051 7.5.2). Only folds are
// gone. References is there for threading.
type Envelope struct {
	Date, Subject, InReplyTo, MessageID, References Text

	From, Sender, ReplyTo, To, Cc, Bcc []Address
}

// Part is one node of the MIME tree (RFC 2045, RFC 2046). A message whose fields
// say nothing has the default type filled in. Offsets count from the beginning of
// the whole message: its header with the blank line is [Start, BodyStart), its body
// [BodyStart, End), without the line end that belongs to the next boundary.
type Part struct {
	Type, Subtype string  // as written
	Params        []Param // as written, RFC 2231 continuations joined
	ID            string
	Description   string
	Encoding      string // lower case, never empty
	MD5           string
	Disposition   string // as written; empty: none
	DispParams    []Param
	Language      []string
	Location      string

	Start, BodyStart, End int64
	Lines                 int64 // of the body

	// Parts are a multipart's children, or the one embedded message of a
	// message/rfc822, which has Envelope too. Beyond the caps there are none.
	Parts    []Part
	Envelope *Envelope
}

// Param is a parameter of Content-Type or Content-Disposition. A name that ends
// with "*" has a value encoded by RFC 2231: see DecodeParam.
type Param struct{ Name, Value string }

// Size is the number of octets of the part's body.
func (p *Part) Size() int64 { return p.End - p.BodyStart }

// IsMultipart reports whether p is a multipart of any subtype.
func (p *Part) IsMultipart() bool { return asciiEqualFold(p.Type, "multipart") }

// IsText reports whether p is text of any subtype.
func (p *Part) IsText() bool { return asciiEqualFold(p.Type, "text") }

// IsMessage reports whether p is a message/rfc822 or message/global (RFC 6532 3.7).
func (p *Part) IsMessage() bool { return p.Envelope != nil }

// Param returns the value of the parameter name, decoded if it is in RFC 2231's form.
func (p *Part) Param(name string) string { return DecodeParam(p.Params, name) }

// Filename is the name that the part should be saved by, or empty.
func (p *Part) Filename() string {
	if name := DecodeParam(p.DispParams, "filename"); name != "" {
		return DecodeText(name)
	}
	return DecodeText(DecodeParam(p.Params, "name"))
}

// Summarize reads a message once and works out its Summary. It never fails on
// what the message holds: malformed mail gets the most sensible reading. The only
// errors are those of r.
func Summarize(r io.ReaderAt, size int64) (*Summary, error) {
	p := &structureParser{in: newLineReader(r, size), budget: maxText}
	defer p.in.release()
	var s Summary
	root, _ := p.part(&s.Envelope, "text", "plain", 0)
	if p.in.err != nil {
		return nil, p.in.err
	}
	s.Structure = &root
	preview, err := previewOf(r, &root)
	if err != nil {
		return nil, err
	}
	s.Preview = preview
	return &s, nil
}

// asciiEqualFold compares without regard to the case of ASCII letters only.
func asciiEqualFold(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if lowerASCII(s[i]) != lowerASCII(t[i]) {
			return false
		}
	}
	return true
}

// lowerString leaves octets that are not ASCII as they are, which strings.ToLower doesn't when they are no UTF-8.
func lowerString(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lowerASCII(c)
	}
	return string(b)
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
