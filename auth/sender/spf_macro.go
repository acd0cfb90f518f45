package sender

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// errUTF8Local: RFC 8616 4, a term with the local-part in it never matches when that isn't ASCII.
var errUTF8Local = errors.New("the local-part is not ASCII")

// macro is one piece of a macro-string: literal text, or a %{...}.
type macro struct {
	text    string // literal, when letter is 0
	letter  byte   // lower case
	escape  bool   // the letter was in upper case: URL-escaped
	keep    int    // the number of parts to keep from the right; 0: all
	reverse bool
	delims  string
}

// parseMacros reads a macro-string (RFC 7208 7.1). The letters c, r and t are for explanations only.
func parseMacros(s string, explanation bool) ([]macro, error) {
	var list []macro
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return append(list, macro{text: s}), nil
		}
		if i > 0 {
			list = append(list, macro{text: s[:i]})
			s = s[i:]
		}
		if len(s) < 2 {
			return nil, errors.New("a lone %")
		}
		if text, ok := map[byte]string{'%': "%", '_': " ", '-': "%20"}[s[1]]; ok {
			list = append(list, macro{text: text})
			s = s[2:]
			continue
		}
		end := strings.IndexByte(s, '}')
		if s[1] != '{' || end < 0 {
			return nil, errors.New("a lone %")
		}
		m, err := parseMacro(s[2:end], explanation)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s[:end+1], err)
		}
		list = append(list, m)
		s = s[end+1:]
	}
	return list, nil
}

// parseMacro reads what stands in the braces: letter, digits, "r", delimiters.
func parseMacro(s string, explanation bool) (macro, error) {
	letters := "slodiphv"
	if explanation {
		letters += "crt"
	}
	if s == "" {
		return macro{}, errors.New("an empty macro")
	}
	m := macro{letter: s[0] | 0x20, escape: 'A' <= s[0] && s[0] <= 'Z', delims: "."}
	if !isAlpha(s[0]) || strings.IndexByte(letters, m.letter) < 0 {
		return m, errors.New("no such macro")
	}
	s = s[1:]
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits > 0 {
		n, err := strconv.Atoi(s[:digits])
		if err != nil {
			n = 128 // more than any name has
		}
		if n == 0 {
			return m, errors.New("zero parts to keep")
		}
		m.keep = n
		s = s[digits:]
	}
	if s != "" && s[0]|0x20 == 'r' {
		m.reverse = true
		s = s[1:]
	}
	if strings.Trim(s, ".-+,/_=") != "" {
		return m, errors.New("bad delimiter")
	}
	if s != "" {
		m.delims = s
	}
	return m, nil
}

func checkMacros(s string, explanation bool) error {
	_, err := parseMacros(s, explanation)
	return err
}

// checkDomainSpec: a macro-string that ends with a macro, or with a dot and a label that isn't a number
// (RFC 7208 7.1, domain-end and toplabel).
func checkDomainSpec(s string) error {
	list, err := parseMacros(s, false)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("an empty domain")
	}
	if list[len(list)-1].letter != 0 || strings.HasSuffix(s, "%%") || strings.HasSuffix(s, "%_") || strings.HasSuffix(s, "%-") {
		return nil
	}
	name := strings.TrimSuffix(s, ".")
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || !isLDHName(name[dot+1:]) || isDigits(name[dot+1:]) {
		return errors.New("a domain without a top-level label")
	}
	return nil
}

// expand replaces the macros of s while domain is checked.
func (c *spfCheck) expand(s, domain string, explanation bool) (string, error) {
	list, err := parseMacros(s, explanation)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, m := range list {
		if m.letter == 0 {
			out.WriteString(m.text)
			continue
		}
		if (m.letter == 's' || m.letter == 'l') && !isASCII(c.local) {
			return "", errUTF8Local
		}
		text := m.transform(c.macroValue(m.letter, domain))
		if m.escape {
			text = urlEscape(text)
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

// expandDomain expands a domain-spec to a name to ask for; without one it is domain itself. Names
// that are too long lose labels on the left (RFC 7208 7.3).
func (c *spfCheck) expandDomain(spec, domain string) (string, error) {
	if spec == "" {
		return domain, nil
	}
	name, err := c.expand(spec, domain, false)
	if err != nil {
		return "", err
	}
	name = strings.TrimSuffix(name, ".")
	for len(name) > 253 {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = rest
	}
	return name, nil
}

func (c *spfCheck) macroValue(letter byte, domain string) string {
	switch letter {
	case 's':
		return c.local + "@" + c.domain
	case 'l':
		return c.local
	case 'o':
		return c.domain
	case 'd':
		return domain
	case 'i':
		return dottedAddr(c.ip)
	case 'p':
		return c.validatedName(domain)
	case 'v':
		if c.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'h':
		return c.helo
	case 'c':
		return c.ip.String()
	case 'r':
		return c.receiver
	}
	return strconv.FormatInt(c.now.Unix(), 10) // t
}

// dottedAddr is %{i}: dotted quad, or nibbles with dots; in upper case as the published tests have them.
func dottedAddr(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	raw := ip.As16()
	nibbles := make([]string, 0, 32)
	for _, b := range raw {
		nibbles = append(nibbles, string("0123456789ABCDEF"[b>>4]), string("0123456789ABCDEF"[b&15]))
	}
	return strings.Join(nibbles, ".")
}

func (m macro) transform(s string) string {
	if m.keep == 0 && !m.reverse && m.delims == "." {
		return s
	}
	var parts []string
	for {
		i := strings.IndexAny(s, m.delims)
		if i < 0 {
			parts = append(parts, s)
			break
		}
		parts = append(parts, s[:i])
		s = s[i+1:]
	}
	if m.reverse {
		slices.Reverse(parts)
	}
	if m.keep > 0 && m.keep < len(parts) {
		parts = parts[len(parts)-m.keep:]
	}
	return strings.Join(parts, ".")
}

// urlEscape: RFC 7208 7.3 with the unreserved characters of RFC 3986 2.3.
func urlEscape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
