package remote

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"facteur/storage/message"
)

// errNotEncodable is wrapped by every error of to7Bit.
var errNotEncodable = errors.New("no form in 7 bits")

const maxMIMEDepth = 100

// to7Bit re-encodes the parts of a message that hold octets over 127, for a
// server without 8BITMIME (RFC 6152 3): text parts in quoted-printable, others in
// base64. Parts without such octets stay as they are, octet for octet.
//
// It breaks DKIM signatures over the body, which RFC 6376 5.3 accepts for this
// case. What may not be changed is refused: a header in 8 bits, and parts that are
// signed. Those must not have been sent in 8 bits, and who carries them must not re-encode
// them (RFC 1847 2.1); its sender can send it again, while a recipient could only take the
// broken signature for a forged message.
func to7Bit(msg []byte) ([]byte, error) {
	return messageTo7Bit(msg, 0)
}

// messageTo7Bit makes a message a MIME one first: readers need not decode others (RFC 2045 4).
func messageTo7Bit(msg []byte, depth int) ([]byte, error) {
	if plain(msg) {
		return msg, nil
	}
	header, body := splitHeader(msg)
	return partTo7Bit(slices.Concat(withMIME(header, body), body), depth)
}

// withMIME adds what a header lacks to be that of a MIME message. A body of 8 bits without a type is text, in a
// charset that nobody has told (RFC 1428 3); what reads as UTF-8 is that.
func withMIME(header, body []byte) []byte {
	var fields string
	if _, ok := message.Value(header, "MIME-Version"); !ok {
		fields = "MIME-Version: 1.0\r\n"
	}
	if _, ok := message.Value(header, "Content-Type"); !ok {
		charset := "unknown-8bit"
		if utf8.Valid(body) {
			charset = "utf-8"
		}
		fields += "Content-Type: text/plain; charset=" + charset + "\r\n"
	}
	return addFields(header, fields)
}

func partTo7Bit(part []byte, depth int) ([]byte, error) {
	if plain(part) {
		return part, nil
	}
	header, body := splitHeader(part)
	kind, boundary := contentType(header)
	encoded := strings.ToLower(strings.TrimSpace(headerValue(header, "Content-Transfer-Encoding")))
	var out []byte
	var err error
	encoding := "7bit"
	switch {
	case !ascii(header):
		err = fmt.Errorf("%w: its header is not ASCII", errNotEncodable)
	case depth > maxMIMEDepth:
		err = fmt.Errorf("%w: its parts are nested too deep", errNotEncodable)
	case kind == "multipart/signed" || kind == "multipart/encrypted":
		err = fmt.Errorf("%w: a signed part is in 8 bits", errNotEncodable)
	case strings.HasPrefix(kind, "multipart/") && boundary != "":
		out, err = multipartTo7Bit(body, boundary, depth)
	case kind == "message/rfc822": // message/global may be encoded as a whole (RFC 6532 3.7), which spares its header
		out, err = messageTo7Bit(body, depth+1)
	case encoded == "quoted-printable" || encoded == "base64":
		err = fmt.Errorf("%w: a part says it is encoded and holds 8-bit octets", errNotEncodable)
	case strings.HasPrefix(kind, "text/"):
		encoding, out = "quoted-printable", quotedPrintable(body)
	default:
		encoding, out = "base64", base64Lines(body)
	}
	if err != nil {
		return nil, err
	}
	return append(setEncoding(header, encoding), out...), nil
}

// contentType is a part's type, and its boundary when it is a multipart. What is not understood is text (RFC 2045 5.2).
func contentType(header []byte) (kind, boundary string) {
	kind, params, err := mime.ParseMediaType(headerValue(header, "Content-Type"))
	if kind == "" && err != nil {
		return "text/plain", ""
	}
	return kind, params["boundary"]
}

// plain reports whether DATA carries b unharmed: ASCII without NUL, in lines of at
// most 998 octets that end with CRLF (RFC 5322 2.1.1, RFC 2045 2.7).
func plain(b []byte) bool {
	if !ascii(b) || bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	for len(b) > 0 {
		end := bytes.Index(b, []byte("\r\n"))
		line := b
		if end >= 0 {
			line, b = b[:end], b[end+2:]
		} else {
			b = nil
		}
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
			return false
		}
	}
	return true
}

// multipartTo7Bit re-encodes each part between the boundary's delimiter lines
// (RFC 2046 5.1.1); preamble, delimiters and epilogue stay, 8-bit octets in them
// become "?" since nobody reads those.
func multipartTo7Bit(body []byte, boundary string, depth int) ([]byte, error) {
	delimiter := []byte("--" + boundary)
	var out []byte
	start, inPart := 0, false
	flush := func(end int) error {
		chunk := body[start:end]
		if !inPart {
			out = append(out, maskNonASCII(chunk)...)
			return nil
		}
		// The CRLF before a delimiter belongs to the delimiter.
		tail := chunk[len(bytes.TrimSuffix(bytes.TrimSuffix(chunk, []byte("\n")), []byte("\r"))):]
		p, err := partTo7Bit(chunk[:len(chunk)-len(tail)], depth+1)
		out = append(append(out, p...), tail...)
		return err
	}
	for at := 0; at < len(body); {
		end := len(body)
		if i := bytes.IndexByte(body[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if line := bytes.TrimRight(body[at:end], " \t\r\n"); bytes.HasPrefix(line, delimiter) {
			last := string(line[len(delimiter):]) == "--"
			if last || len(line) == len(delimiter) {
				if err := flush(at); err != nil {
					return nil, err
				}
				out = append(out, maskNonASCII(body[at:end])...)
				start, inPart = end, !last
			}
		}
		at = end
	}
	err := flush(len(body))
	return out, err
}

func maskNonASCII(b []byte) []byte {
	if ascii(b) {
		return b
	}
	out := bytes.Clone(b)
	for i, c := range out {
		if c >= 0x80 {
			out[i] = '?'
		}
	}
	return out
}

// splitHeader cuts a part after the blank line that ends its header.
func splitHeader(part []byte) (header, body []byte) {
	if bytes.HasPrefix(part, []byte("\r\n")) {
		return part[:2], part[2:]
	}
	if i := bytes.Index(part, []byte("\r\n\r\n")); i >= 0 {
		return part[:i+4], part[i+4:]
	}
	return part, nil
}

// headerValue is the unfolded value of the first field of a name.
func headerValue(header []byte, name string) string {
	value, _ := message.Value(header, name)
	return value
}

// setEncoding returns header with its Content-Transfer-Encoding replaced.
func setEncoding(header []byte, encoding string) []byte {
	var out []byte
	n := 0
	for f := range message.Fields(header) {
		if n += len(f.Raw); !f.Is("Content-Transfer-Encoding") {
			out = append(out, f.Raw...)
		}
	}
	return addFields(append(out, header[n:]...), "Content-Transfer-Encoding: "+encoding+"\r\n")
}

// addFields puts fields before the blank line of a header. One without a blank line has no body that
// they could be about, and gets none.
func addFields(header []byte, fields string) []byte {
	const blank = "\r\n"
	if string(header) != blank && !bytes.HasSuffix(header, []byte(blank+blank)) {
		return header
	}
	return slices.Concat(header[:len(header)-len(blank)], []byte(fields+blank))
}

// quotedPrintable encodes text (RFC 2045 6.7), keeping its line ends.
func quotedPrintable(b []byte) []byte {
	const hex = "0123456789ABCDEF"
	var out []byte
	column := 0
	put := func(s ...byte) {
		if column+len(s) > 75 {
			out = append(out, "=\r\n"...)
			column = 0
		}
		out = append(out, s...)
		column += len(s)
	}
	for i, c := range b {
		rest := b[i+1:]
		lineEnds := len(rest) == 0 || bytes.HasPrefix(rest, []byte("\r\n"))
		switch {
		case c == '\r' && len(rest) > 0 && rest[0] == '\n':
		case c == '\n' && i > 0 && b[i-1] == '\r':
			out = append(out, '\r', '\n')
			column = 0
		case c > ' ' && c < 0x7f && c != '=':
			put(c)
		case (c == ' ' || c == '\t') && !lineEnds:
			put(c)
		default:
			put('=', hex[c>>4], hex[c&15])
		}
	}
	return out
}

// base64Lines encodes in lines of 76 (RFC 2045 6.8).
func base64Lines(b []byte) []byte {
	out := make([]byte, 0, len(b)*4/3+len(b)/28+4)
	for len(b) > 0 {
		n := min(57, len(b))
		out = base64.StdEncoding.AppendEncode(out, b[:n])
		out = append(out, '\r', '\n')
		b = b[n:]
	}
	return out
}
