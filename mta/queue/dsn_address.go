package queue

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"facteur/storage/message"
)

// headerAddress writes an address into a header: in UTF-8, or with its domain in
// A-labels.
func headerAddress(a message.AddrSpec, utf8 bool) string {
	if !utf8 {
		if domain, err := a.ASCIIDomain(); err == nil {
			a.Domain = domain
		}
	}
	return a.String()
}

// finalRecipient is the value of Final-Recipient (RFC 3464 2.3.2; RFC 6533 3 for the
// type utf-8).
func (r *report) finalRecipient(a message.AddrSpec) string {
	if !a.NeedsUTF8() {
		return "rfc822; " + headerAddress(a, false)
	}
	if r.utf8() {
		return "utf-8; " + a.String()
	}
	return "utf-8; " + utf8AddrXtext(a.String())
}

// originalRecipient is the value of Original-Recipient: what ORCPT said, decoded.
func (r *report) originalRecipient(orcpt string) string {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok {
		return "rfc822; " + orcpt
	}
	if strings.EqualFold(kind, "utf-8") && !r.utf8() {
		addr = utf8AddrXtext(addr)
	}
	return kind + "; " + addr
}

// utf8AddrXtext writes an address of type utf-8 in ASCII (RFC 6533 3): \x{...}
// for everything that is not printable ASCII, and for "\", "+" and "=".
func utf8AddrXtext(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '+' || c == '=' {
			fmt.Fprintf(&b, `\x{%02X}`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// maxWord octets without a blank are let through; with the name of a field they still are a line (RFC 5322 2.1.1).
const maxWord = 900

// plain makes a value fit for a header field of this report: no control characters, ASCII unless the report is an
// international one, and no word that is longer than a line may be.
func (r *report) plain(s string) string {
	var b strings.Builder
	word := 0
	for _, c := range s {
		switch {
		case c < ' ' || c == 0x7f:
			c = ' '
		case c >= utf8.RuneSelf && !r.utf8():
			c = '?'
		}
		if word += utf8.RuneLen(c); c == ' ' {
			word = 0
		} else if word > maxWord {
			b.WriteByte(' ')
			word = 0
		}
		b.WriteRune(c)
	}
	return b.String()
}

// foldField writes a header field, folded at spaces near 76 octets (RFC 5322 2.2.3).
func foldField(name, value string) string {
	var b strings.Builder
	b.WriteString(name + ":")
	column := len(name) + 1
	for word := range strings.SplitSeq(value, " ") {
		if word == "" {
			continue
		}
		if column+1+len(word) > 76 && column > len(name)+1 {
			b.WriteString("\r\n")
			column = 0
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	b.WriteString("\r\n")
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
