package wire

import (
	"strings"
	"unicode/utf8"
)

// isAtomChar: ATOM-CHAR of RFC 9051 9, which is any character but the atom-specials.
func isAtomChar(c byte) bool {
	switch c {
	case '(', ')', '{', '%', '*', '"', '\\', ']':
		return false
	}
	return c > ' ' && c < 0x7f
}

// isAStringChar adds the resp-special "]".
func isAStringChar(c byte) bool { return isAtomChar(c) || c == ']' }

// isListChar adds the wildcards.
func isListChar(c byte) bool { return isAStringChar(c) || c == '%' || c == '*' }

// isTagChar leaves out "+".
func isTagChar(c byte) bool { return isAStringChar(c) && c != '+' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// run takes octets as long as ok says so; at least one has to come.
func (d *Decoder) run(ok func(byte) bool, what string) string {
	d.spare = d.spare[:0]
	for d.err == nil {
		c := d.Peek()
		if d.err != nil || !ok(c) {
			break
		}
		d.spare = append(d.spare, c)
		d.take()
	}
	if len(d.spare) == 0 {
		d.Fail("expected %s", what)
	}
	if d.err != nil {
		return ""
	}
	return string(d.spare)
}

// Atom reads an atom.
func (d *Decoder) Atom() string { return d.run(isAtomChar, "an atom") }

// Tag reads a command's tag.
func (d *Decoder) Tag() string { return d.run(isTagChar, "a tag") }

// Keyword reads an atom that is compared without regard to case, and returns it in
// upper case.
func (d *Decoder) Keyword() string { return strings.ToUpper(d.Atom()) }

// Word reads the letters, digits, "-", "." and "_" that names of items are made
// of, in upper case. It ends at a bracket: BODY.PEEK of "BODY.PEEK[1]".
func (d *Decoder) Word() string {
	return strings.ToUpper(d.run(func(c byte) bool {
		return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_'
	}, "a name"))
}

// Number reads a number of 32 bits.
func (d *Decoder) Number() uint32 { return uint32(d.number(1<<32 - 1)) }

// Number64 reads a number of 63 bits (RFC 9051 9, mod-sequence-value).
func (d *Decoder) Number64() uint64 { return d.number(1<<63 - 1) }

func (d *Decoder) number(most uint64) uint64 {
	var n uint64
	digits := d.run(isDigit, "a number")
	for i := 0; i < len(digits); i++ {
		v := uint64(digits[i] - '0')
		if n > (most-v)/10 {
			d.Fail("number too large")
			return 0
		}
		n = n*10 + v
	}
	return n
}

// String reads a quoted string or a literal.
func (d *Decoder) String() string {
	switch d.Peek() {
	case '"':
		return d.quoted()
	case '{', '~':
		return d.shortLiteral()
	}
	d.Fail("expected a string")
	return ""
}

// AString reads an atom or a string.
func (d *Decoder) AString() string {
	if isAStringChar(d.Peek()) && !d.atLiteral8() {
		return d.run(isAStringChar, "a string")
	}
	return d.String()
}

// NString reads a string or NIL; ok is false for NIL.
func (d *Decoder) NString() (s string, ok bool) {
	if c := d.Peek(); c == '"' || c == '{' || d.atLiteral8() {
		return d.String(), d.err == nil
	}
	if s := d.Atom(); !strings.EqualFold(s, "NIL") {
		d.Fail("expected a string or NIL")
	}
	return "", false
}

// ListPattern reads the mailbox pattern of LIST, in UTF-8.
func (d *Decoder) ListPattern() string {
	if isListChar(d.Peek()) && !d.atLiteral8() {
		return d.name(d.run(isListChar, "a pattern"))
	}
	return d.name(d.String())
}

// Mailbox reads a mailbox name and returns it in UTF-8, INBOX in upper case, also as the start
// of another. A name that can't be one, because of 8-bit text where it should be modified UTF-7,
// is returned as it is: whoever looks for it finds nothing.
func (d *Decoder) Mailbox() string {
	name := d.name(d.AString())
	first, _, _ := strings.Cut(name, "/")
	if strings.EqualFold(first, "INBOX") {
		return "INBOX" + name[len(first):]
	}
	return name
}

func (d *Decoder) name(s string) string {
	if d.UTF8 {
		return s
	}
	return DecodeUTF7(s)
}

// List reads "(" item SP item ... ")"; the list may be empty. item is called in
// front of each.
func (d *Decoder) List(item func()) {
	if !d.Open() {
		return
	}
	if d.Take(')') {
		d.depth--
		return
	}
	for d.err == nil {
		item()
		if d.Close() {
			return
		}
		d.SP()
	}
}

// Open takes an opening parenthesis, which has to come next, and reports success.
func (d *Decoder) Open() bool {
	d.Expect('(')
	if d.depth++; d.depth > d.limits.Depth {
		d.Fail("too many nested parentheses")
	}
	return d.err == nil
}

// Close takes a closing parenthesis when one comes next, and tells whether it did.
func (d *Decoder) Close() bool {
	if !d.Take(')') {
		return false
	}
	d.depth--
	return true
}

// quoted reads a quoted string. 8-bit text has to be UTF-8; it is taken whether UTF-8
// has been enabled or not, since clients send passwords that way.
func (d *Decoder) quoted() string {
	d.Expect('"')
	d.spare = d.spare[:0]
	for d.err == nil {
		c := d.Peek()
		if d.err != nil {
			break
		}
		if c == '\r' || c == '\n' || c == 0 {
			d.Fail("unfinished quoted string")
			break
		}
		d.take()
		if c == '"' {
			break
		}
		if c == '\\' {
			if c = d.Peek(); c != '"' && c != '\\' {
				d.Fail("bad escape in quoted string")
				break
			}
			d.take()
		}
		d.spare = append(d.spare, c)
	}
	if d.err == nil && !utf8.Valid(d.spare) {
		d.Fail("quoted string is not valid UTF-8")
	}
	if d.err != nil {
		return ""
	}
	return string(d.spare)
}

// SASL reads the rest of a line that holds base64, or "*".
func (d *Decoder) SASL() string {
	return d.run(func(c byte) bool { return c > ' ' && c < 0x7f }, "base64")
}

// AtWords reports whether a list comes next that begins with a letter.
func (d *Decoder) AtWords() bool {
	if d.Peek() != '(' {
		return false
	}
	b, err := d.br.Peek(2)
	return err == nil && 'a' <= b[1]|0x20 && b[1]|0x20 <= 'z'
}

// TakeWord consumes an atom and the space behind it when the atom is word, in any case. It
// looks no further than word and what comes are the same.
func (d *Decoder) TakeWord(word string) bool {
	if d.Peek() == 0 {
		return false
	}
	for i := 0; i <= len(word); i++ {
		b, err := d.br.Peek(i + 1)
		if err != nil {
			return false
		}
		want := byte(' ')
		if i < len(word) {
			want = word[i]
		}
		if c := b[i]; c != want && !('a' <= c && c <= 'z' && c-'a'+'A' == want) {
			return false
		}
	}
	for range len(word) + 1 {
		d.take()
	}
	return d.err == nil
}
