package message

import "strings"

// AddressKind tells the members of an address list apart.
type AddressKind uint8

const (
	Mailbox    AddressKind = iota
	GroupStart             // Mailbox is the group's name
	GroupEnd
)

// Address is one member of an address list as IMAP's ENVELOPE wants it (RFC 9051
// 7.5.2): quotes, comments and folds removed, encoded words left as they are.
type Address struct {
	Kind    AddressKind
	Name    string // display name; of an address without angle brackets the last comment
	Route   string // "@a,@b" of an obsolete source route
	Mailbox string // local-part, emptyLocal for "" in quotes; empty when there was none
	Host    string // domain; empty when there was none
}

// emptyLocal is a local-part that is an empty quoted-string, which is one (RFC 5322 3.4.1).
const emptyLocal = `""`

// Local is the local-part without quotes (RFC 9051 7.5.2), and whether there is one.
func (a *Address) Local() (local string, ok bool) {
	if a.Mailbox == emptyLocal {
		return "", true
	}
	return a.Mailbox, a.Mailbox != ""
}

// ParseAddressList reads an address list (RFC 5322 3.4 and 4.4) from an unfolded
// value. What is no address gives the most sensible reading, never an error.
func ParseAddressList(s string) []Address {
	p := addressParser{lexer: lexer{s: s}}
	p.list()
	return p.out
}

type addressParser struct {
	lexer
	out      []Address
	group    bool
	noQuotes bool // a quote had no end: those from there on mean nothing
	empty    bool // the present member has an empty quoted-string
}

// quotedString reads a quoted-string. A quote without an end is passed over as if it
// weren't there.
func (p *addressParser) quotedString() string {
	start := p.i
	if !p.noQuotes {
		text, closed := p.quoted()
		if closed {
			p.empty = p.empty || text == ""
			return text
		}
		p.noQuotes = true
	}
	p.i = start + 1
	return ""
}

func (p *addressParser) list() {
	for {
		p.cfws()
		switch p.peek() {
		case 0:
			if p.end() {
				p.endGroup()
				return
			}
			p.i++
		case ',': // RFC 5322 4.4: empty members mean nothing
			p.i++
		case ';':
			p.i++
			p.endGroup()
		default:
			if !p.member() {
				p.recover()
			}
		}
	}
}

func (p *addressParser) endGroup() {
	if p.group {
		p.out = append(p.out, Address{Kind: GroupEnd})
		p.group = false
	}
}

// recover passes over what is left of a member that could not be read to its end.
func (p *addressParser) recover() {
	for p.cfws(); !p.end(); p.cfws() {
		switch p.s[p.i] {
		case ',', ';':
			return
		case '"':
			p.quotedString()
		default:
			p.i++
		}
	}
}

// member reads one mailbox, or the beginning of a group: then it returns true, and the
// group's first member comes next.
func (p *addressParser) member() (group bool) {
	p.comment, p.empty = "", false
	if p.peek() == '<' {
		p.angle("")
		return false
	}
	words, n, dots := p.phrase()
	switch c := p.peek(); {
	case c == '<':
		p.angle(words)
	case c == ':' && !p.group && !p.end():
		p.i++
		p.group = true
		p.out = append(p.out, Address{Kind: GroupStart, Mailbox: words})
		return true
	case c == '@' && (n == 1 || dots):
		a := Address{Mailbox: strings.ReplaceAll(words, " ", "")}
		if n == 1 {
			a.Mailbox = words
		}
		if words == "" && p.empty {
			a.Mailbox = emptyLocal
		}
		p.i++
		a.Host = p.domain()
		p.cfws()
		a.Name = p.comment
		p.out = append(p.out, a)
	case n == 1:
		p.out = append(p.out, Address{Mailbox: words, Name: p.comment})
	case words != "":
		p.out = append(p.out, Address{Name: words})
	}
	return false
}

// phrase reads words (RFC 5322 3.2.5 and 4.1: dots too) and joins them by one
// blank. n counts the words; a quoted string that touches an atom is a word of its own.
// dots is true when nothing but dots stands between the words, as in a local-part.
func (p *addressParser) phrase() (text string, n int, dots bool) {
	var out strings.Builder
	dots = true
	prevDot := true
	for {
		var word string
		switch c := p.peek(); {
		case p.end():
			return out.String(), n, dots
		case c == '"':
			word = p.quotedString()
			if word == "" {
				prevDot = true
				p.cfws()
				continue
			}
		case c == '.' || isAtomChar(c):
			word = p.while(func(c byte) bool { return c == '.' || isAtomChar(c) })
		case strings.IndexByte("<:@,;", c) >= 0:
			return out.String(), n, dots
		default: // a special that has no place here: it separates words
			p.i++
			continue
		}
		if n++; n > 1 {
			if !prevDot && word[0] != '.' {
				dots = false
			}
			out.WriteByte(' ')
		}
		out.WriteString(word)
		prevDot = word[len(word)-1] == '.'
		p.cfws()
	}
}

// angle reads <[route:]addr-spec>; "<" is next.
func (p *addressParser) angle(name string) {
	p.i++
	a := Address{Name: name}
	p.cfws()
	if p.peek() == '@' {
		a.Route = p.route()
	}
	p.empty = false
	if a.Mailbox = p.local(); a.Mailbox == "" && p.empty {
		a.Mailbox = emptyLocal
	}
	if p.skip('@') {
		a.Host = p.domain()
	}
	for p.cfws(); !p.end() && strings.IndexByte(">,;", p.peek()) < 0; {
		p.i++
	}
	p.skip('>')
	p.cfws()
	p.out = append(p.out, a)
}

// route reads an obsolete source route (RFC 5322 4.4), "@a,@b:", without the blanks, comments and
// empty members that it may have.
func (p *addressParser) route() string {
	var out strings.Builder
	comma := false
	for p.cfws(); !p.end() && p.peek() != ':' && p.peek() != '>'; p.cfws() {
		if c := p.peek(); c == ',' {
			comma = out.Len() > 0
		} else {
			if comma || c == '@' && out.Len() > 0 {
				out.WriteByte(',')
			}
			out.WriteByte(c)
			comma = false
		}
		p.i++
	}
	p.skip(':')
	p.cfws()
	return out.String()
}

// local reads a local-part with its obsolete forms (RFC 5322 4.4): words and dots
// with blanks and comments between them.
func (p *addressParser) local() string {
	var out strings.Builder
	for !p.end() {
		switch c := p.peek(); {
		case c == '"':
			out.WriteString(p.quotedString())
		case c == '.' || isAtomChar(c):
			out.WriteString(p.while(func(c byte) bool { return c == '.' || isAtomChar(c) }))
		default:
			return out.String()
		}
		p.cfws()
	}
	return out.String()
}

// domain reads a dot-atom or a domain literal, blanks around the dots allowed.
func (p *addressParser) domain() string {
	p.cfws()
	if p.peek() == '[' {
		start := p.i
		p.i += literalLength(p.s[start:])
		return p.s[start:p.i]
	}
	var out strings.Builder
	for {
		out.WriteString(p.while(func(c byte) bool { return c == '.' || isAtomChar(c) }))
		mark := p.lexer
		p.cfws()
		next := p.peek()
		if out.Len() == 0 || next != '.' && (out.String()[out.Len()-1] != '.' || !isAtomChar(next)) {
			p.lexer = mark // the comment is the caller's
			return out.String()
		}
	}
}

// literalLength is the length of the domain literal that s begins with (RFC 5322 3.4.1, with the quoted pairs of 4.4). One
// that isn't closed ends where the address does.
func literalLength(s string) int {
	open := len(s)
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case ']':
			return i + 1
		case '[':
			return min(open, i)
		case '\\':
			i++
		case ',', '>':
			open = min(open, i)
		}
	}
	return open
}
