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

// Envelope holds the header fields of IMAP's ENVELOPE as they were written:
// encoded words stay encoded, the date stays text (RFC 9051 7.5.2).
type Envelope struct{}

// Part is one node of the MIME tree (RFC 2045, RFC 2046).
type Part struct{}

// Summarize reads a message once and works out its Summary. It never fails on
// what the message holds: malformed mail gets the most sensible reading. The only
// errors are those of r.
func Summarize(r io.ReaderAt, size int64) (*Summary, error) { panic("not built yet") }

// AppendBinary appends the compact form that the index keeps.
func (s *Summary) AppendBinary(b []byte) []byte { panic("not built yet") }

// ParseSummary reads the form AppendBinary wrote. An error means that the form
// is of another version, or damaged: summarize the message again.
func ParseSummary(b []byte) (*Summary, error) { panic("not built yet") }

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
func ExtractText(r io.ReaderAt, size int64, limit int) (SearchText, error) { panic("not built yet") }
