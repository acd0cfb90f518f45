package remote

import (
	"fmt"
	"strings"

	"facteur/storage/message"
)

// wireAddress writes an address for MAIL or RCPT. Without SMTPUTF8 a domain in
// U-labels goes out in A-labels (RFC 6531 3.2); the local-part has been looked at
// before.
func wireAddress(a message.AddrSpec, utf8 bool) string {
	if !utf8 {
		if domain, err := a.ASCIIDomain(); err == nil {
			a.Domain = domain
		}
	}
	return a.String()
}

// xtext encodes a parameter's value (RFC 3461 4).
func xtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// encodeORCPT writes "type;address" as the ORCPT parameter. An address of type
// utf-8 goes out as itself in an SMTPUTF8 session, and with \x{...} for what is
// not ASCII in any other (RFC 6533 3).
func encodeORCPT(orcpt string, utf8 bool) string {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok {
		return xtext(orcpt)
	}
	if !strings.EqualFold(kind, "utf-8") {
		return kind + ";" + xtext(addr)
	}
	var b strings.Builder
	for _, r := range addr {
		switch {
		case r >= 0x80 && utf8:
			b.WriteRune(r)
		case r >= 0x80, r <= ' ', r == 0x7f, r == '+', r == '=', r == '\\':
			fmt.Fprintf(&b, `\x{%02X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return kind + ";" + b.String()
}
