package dns

import (
	"errors"
	"strconv"
	"strings"

	mdns "github.com/miekg/dns"
	"golang.org/x/net/idna"
)

var (
	errEmptyLabel = errors.New("an empty label")
	errTooLong    = errors.New("too long")
)

// wireName turns a name as mail writes it - any octets, dots between labels - into the form
// that miekg/dns asks with and compares by: A-labels, lower case, escaped, with a final dot.
func wireName(name string) (string, error) {
	if name == "" {
		return "", errEmptyLabel
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return ".", nil
	}
	if len(name) > 4*255 {
		return "", errTooLong
	}
	var out strings.Builder
	out.Grow(len(name) + 1)
	size := 1 // octets on the wire: RFC 1035 2.3.4 has 255 at most
	for label := range strings.SplitSeq(name, ".") {
		if !isASCII(label) {
			a, err := idna.Lookup.ToASCII(label)
			if err != nil {
				return "", err
			}
			label = a
		}
		size += 1 + len(label)
		switch {
		case label == "":
			return "", errEmptyLabel
		case len(label) > 63 || size > 255:
			return "", errTooLong
		}
		writeLabel(&out, label)
		out.WriteByte('.')
	}
	return out.String(), nil
}

func writeLabel(out *strings.Builder, label string) {
	for i := 0; i < len(label); i++ {
		switch c := label[i]; {
		case 'A' <= c && c <= 'Z':
			out.WriteByte(c + 'a' - 'A')
		case strings.IndexByte(` '@;()"\`, c) >= 0:
			// As miekg/dns writes it when it reads the name in an answer.
			out.WriteByte('\\')
			out.WriteByte(c)
		case c < ' ' || c > '~':
			out.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		default:
			out.WriteByte(c)
		}
	}
}

// plain is a name of an answer as mail writes it: lower case, no final dot, "" for the root.
func plain(name string) string {
	return strings.ToLower(unescape(strings.TrimSuffix(name, ".")))
}

// unescape takes the backslashes out of what miekg/dns read from the wire: \DDD is an octet, \X
// is X.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			if i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]) {
				c = (s[i+1]-'0')*100 + (s[i+2]-'0')*10 + s[i+3] - '0'
				i += 3
			} else {
				i++
				c = s[i]
			}
		}
		out = append(out, c)
	}
	return string(out)
}

func sameName(a, b string) bool { return mdns.CanonicalName(a) == mdns.CanonicalName(b) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// QuoteText writes the text of a TXT record as a zone file has it: strings of at most 255 octets (RFC 1035 3.3.14).
func QuoteText(text string) string {
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, strconv.Quote(text[:255])), text[255:]
	}
	return strings.Join(append(parts, strconv.Quote(text)), " ")
}
