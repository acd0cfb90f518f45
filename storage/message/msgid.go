package message

import "strings"

// MessageIDs lists the message IDs of a Message-ID, In-Reply-To or References value
// (RFC 5322 3.6.4), without angle brackets. Quotes inside are taken off, so that the
// same ID is the same text (RFC 5256 2.1, normalized Message ID). Phrases between them, which
// obsolete syntax allows, are passed over.
func MessageIDs(s string) []string {
	var ids []string
	l := lexer{s: s}
	for l.cfws(); !l.end(); l.cfws() {
		switch l.peek() {
		case '<':
			if id := l.messageID(); id != "" {
				ids = append(ids, id)
			}
		case '"':
			l.quoted()
		default:
			l.i++
		}
	}
	return ids
}

// messageID reads <left@right>; "<" is next.
func (l *lexer) messageID() string {
	l.i++
	var out strings.Builder
	for !l.end() {
		switch c := l.s[l.i]; {
		case c == '>':
			l.i++
			id := out.String()
			if at := strings.IndexByte(id, '@'); at <= 0 || at == len(id)-1 {
				return ""
			}
			return id
		case c == '<':
			return ""
		case c == '"':
			text, _ := l.quoted()
			out.WriteString(text)
		case isWSP(c):
			l.i++
		default:
			out.WriteByte(c)
			l.i++
		}
	}
	return ""
}
