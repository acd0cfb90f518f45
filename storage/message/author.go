package message

import "strings"

// Author reads the one author of a message strictly (RFC 5322 3.6.2, RFC 9989): a
// header has to have exactly one From field, and that exactly one mailbox, since DMARC
// says something of no other. Otherwise fault says what is wrong, in words for the
// peer; it is empty when the address is good.
func Author(header []byte) (author AddrSpec, fault string) {
	value := ""
	n := 0
	for f := range Fields(header) {
		if f.Is("From") {
			value = f.Value()
			n++
		}
	}
	switch {
	case n == 0:
		return AddrSpec{}, "message has no From field"
	case n > 1:
		return AddrSpec{}, "message has more than one From field"
	case len(value) > 64<<10:
		return AddrSpec{}, "From field is too long"
	}
	p := mailboxParser{lexer{s: withoutEcho(value)}}
	return p.only()
}

// withoutEcho takes away a display name that is the address once more. Without quotes it is
// not allowed, but common, and can't be read in two ways.
func withoutEcho(s string) string {
	name, rest, ok := strings.Cut(s, "<")
	if spec, closed := strings.CutSuffix(rest, ">"); ok && closed && spec != "" && strings.EqualFold(strings.TrimRight(name, " \t"), spec) {
		return spec
	}
	return s
}

// mailboxParser reads one mailbox without guessing: what another reader could take
// for a different address is a fault.
type mailboxParser struct{ lexer }

func (p *mailboxParser) only() (AddrSpec, string) {
	for i := 0; i < len(p.s); i++ {
		if c := p.s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return AddrSpec{}, "From field has a control character"
		}
	}
	p.cfws()
	if p.end() {
		return AddrSpec{}, "From field is empty"
	}
	spec, fault := p.mailbox()
	if fault != "" {
		return AddrSpec{}, fault
	}
	switch p.cfws(); {
	case p.open:
		return AddrSpec{}, "From field has an open comment"
	case p.peek() == ',':
		return AddrSpec{}, "From field has more than one mailbox"
	case !p.end():
		return AddrSpec{}, "From field has text after its address"
	}
	a, err := ParseAddrSpec(spec)
	if err != nil {
		return AddrSpec{}, "From field: " + err.Error()
	}
	return a, ""
}

// mailbox returns the addr-spec as written, without blanks and comments.
func (p *mailboxParser) mailbox() (spec, fault string) {
	words := 0
	for {
		p.cfws()
		switch c := p.peek(); {
		case p.end():
			return "", "From field has no address"
		case c == '<':
			return p.angle()
		case c == '@' && words == 1:
			p.i = 0
			p.cfws()
			return p.addrSpec()
		case c == '@':
			return "", "From field has an address where a name should stand"
		case c == ':':
			return "", "From field has a group"
		case c == ',':
			return "", "From field has more than one mailbox"
		case c == '"':
			if _, closed := p.quoted(); !closed {
				return "", "From field has an open quote"
			}
			words++
		case c == '.' || isAtomChar(c):
			p.while(func(c byte) bool { return c == '.' || isAtomChar(c) })
			words++
		default:
			return "", "From field has a character that needs quotes"
		}
	}
}

func (p *mailboxParser) angle() (spec, fault string) {
	p.i++
	p.cfws()
	if p.peek() == '@' {
		return "", "From field has a source route"
	}
	if spec, fault = p.addrSpec(); fault != "" {
		return "", fault
	}
	if p.cfws(); !p.skip('>') {
		return "", "From field has an open angle bracket"
	}
	return spec, ""
}

func (p *mailboxParser) addrSpec() (spec, fault string) {
	start := p.i
	if p.peek() == '"' {
		if _, closed := p.quoted(); !closed {
			return "", "From field has an open quote"
		}
	} else {
		p.while(func(c byte) bool { return c == '.' || isAtomChar(c) })
	}
	local := p.s[start:p.i]
	if p.cfws(); !p.skip('@') {
		return "", "From field has no address"
	}
	p.cfws()
	start = p.i
	if p.skip('[') {
		p.while(func(c byte) bool { return c != ']' && c != '>' && !isWSP(c) })
		p.skip(']')
	} else {
		p.while(func(c byte) bool { return c == '.' || isAtomChar(c) })
	}
	return local + "@" + strings.TrimSuffix(p.s[start:p.i], "."), ""
}
