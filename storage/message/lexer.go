package message

import "strings"

// lexer reads the tokens of structured header fields (RFC 5322 3.2, RFC 2045
// 5.1) from an unfolded value. It never goes back by more than its callers do, so
// that reading a field is linear.
type lexer struct {
	s       string
	i       int
	comment string // the last comment passed over, without its parentheses
	open    bool   // a comment had no end
}

func (l *lexer) end() bool { return l.i >= len(l.s) }

// peek returns the next octet, 0 at the end.
func (l *lexer) peek() byte {
	if l.end() {
		return 0
	}
	return l.s[l.i]
}

// skip passes over c and says whether it stood there.
func (l *lexer) skip(c byte) bool {
	if l.peek() == c && !l.end() {
		l.i++
		return true
	}
	return false
}

// cfws passes over blanks and comments (RFC 5322 3.2.2).
func (l *lexer) cfws() {
	for !l.end() {
		switch c := l.s[l.i]; {
		case isWSP(c) || c == '\r' || c == '\n':
			l.i++
		case c == '(':
			l.skipComment()
		default:
			return
		}
	}
}

// skipComment passes over one comment, which may hold others. An open one goes on
// to the end.
func (l *lexer) skipComment() {
	start := l.i + 1
	depth := 0
	for ; !l.end(); l.i++ {
		switch l.s[l.i] {
		case '\\':
			l.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				l.comment = unescape(l.s[start:l.i])
				l.i++
				return
			}
		}
	}
	l.i = len(l.s)
	l.comment, l.open = "", true
}

// quoted reads a quoted-string whose opening quote is next, and returns what it
// means. An open one goes on to the end: closed is false then.
func (l *lexer) quoted() (text string, closed bool) {
	l.i++
	start := l.i
	for ; !l.end(); l.i++ {
		switch l.s[l.i] {
		case '\\':
			l.i++
		case '"':
			text = unescape(l.s[start:l.i])
			l.i++
			return text, true
		}
	}
	l.i = len(l.s)
	return unescape(l.s[start:]), false
}

// while reads octets as long as ok says so.
func (l *lexer) while(ok func(byte) bool) string {
	start := l.i
	for !l.end() && ok(l.s[l.i]) {
		l.i++
	}
	return l.s[start:l.i]
}

// unescape removes the backslashes of quoted pairs.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// isAtomChar is atext (RFC 5322 3.2.3) and what is not ASCII (RFC 6532 3.2).
func isAtomChar(c byte) bool { return c >= 0x80 || isAtext(c) }

// isTokenChar: RFC 2045 5.1, and what is not ASCII.
func isTokenChar(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}
