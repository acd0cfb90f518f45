package sender

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// spfRecord is an SPF record whose syntax has been checked as a whole (RFC 7208 4.6: an error
// anywhere spoils it, also behind a mechanism that would match).
type spfRecord struct {
	terms    []spfTerm
	redirect string // domain-spec; empty: none
	exp      string
}

// spfTerm is one directive.
type spfTerm struct {
	result       string // of a match, by its qualifier
	mechanism    string // lower case
	domain       string // domain-spec; empty: the domain being checked
	network      netip.Prefix
	cidr4, cidr6 int
	text         string
}

var spfQualifiers = map[byte]string{'+': SPFPass, '-': SPFFail, '~': SPFSoftFail, '?': SPFNeutral}

// parseSPF reads the text of a record that begins with "v=spf1".
func parseSPF(text string) (spfRecord, error) {
	var rec spfRecord
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return rec, fmt.Errorf("octet 0x%02x in the record", text[i])
		}
	}
	for i, text := range strings.Split(text, " ") {
		if i == 0 || text == "" {
			continue // the version, and runs of spaces
		}
		end := strings.IndexAny(text, ":/=")
		if end >= 0 && text[end] == '=' {
			if err := rec.addModifier(text[:end], text[end+1:]); err != nil {
				return rec, fmt.Errorf("%q: %w", text, err)
			}
			continue
		}
		term, err := parseMechanism(text)
		if err != nil {
			return rec, fmt.Errorf("%q: %w", text, err)
		}
		rec.terms = append(rec.terms, term)
	}
	return rec, nil
}

func (rec *spfRecord) addModifier(name, value string) error {
	// RFC 7208 12: name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isAlpha(c) && (i == 0 || !isDigit(c) && strings.IndexByte("-_.", c) < 0) {
			return errors.New("bad name of a modifier")
		}
	}
	var to *string
	switch strings.ToLower(name) {
	case "":
		return errors.New("a modifier without a name")
	case "redirect":
		to = &rec.redirect
	case "exp":
		to = &rec.exp
	default:
		return checkMacros(value, false)
	}
	if *to != "" {
		return errors.New("comes twice")
	}
	*to = value
	return checkDomainSpec(value)
}

func parseMechanism(text string) (spfTerm, error) {
	t := spfTerm{result: SPFPass, text: text, cidr4: 32, cidr6: 128}
	if r, ok := spfQualifiers[text[0]]; ok {
		t.result = r
		text = text[1:]
	}
	end := strings.IndexAny(text, ":/")
	if end < 0 {
		end = len(text)
	}
	t.mechanism = strings.ToLower(text[:end])
	rest := text[end:]
	var err error
	switch t.mechanism {
	case "all":
		if rest != "" {
			err = errors.New("takes no argument")
		}
		return t, err
	case "ip4", "ip6":
		t.network, err = parseNetwork(t.mechanism, rest)
		return t, err
	case "a", "mx":
		if rest, err = t.cutCIDR(rest); err != nil {
			return t, err
		}
	case "include", "exists":
		if rest == "" {
			return t, errors.New("lacks its domain")
		}
	case "ptr":
	default:
		return t, errors.New("no such mechanism")
	}
	if rest == "" {
		return t, nil
	}
	if rest[0] != ':' {
		return t, errors.New("bad argument")
	}
	t.domain = rest[1:]
	return t, checkDomainSpec(t.domain)
}

// parseNetwork reads ":ADDRESS[/LENGTH]".
func parseNetwork(mechanism, s string) (netip.Prefix, error) {
	addrText, lenText, hasLen := strings.Cut(strings.TrimPrefix(s, ":"), "/")
	addr, err := netip.ParseAddr(addrText)
	if err != nil || s[0] != ':' || addr.Zone() != "" || addr.Is4() != (mechanism == "ip4") {
		return netip.Prefix{}, errors.New("bad address")
	}
	bits := addr.BitLen()
	if hasLen {
		if bits, err = parseCIDR(lenText, bits); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(addr, bits).Masked(), nil
}

// cutCIDR takes "/24", "//64" or "/24//64" off the end (dual-cidr-length, RFC 7208 5.6).
func (t *spfTerm) cutCIDR(s string) (string, error) {
	var err error
	if i := strings.LastIndex(s, "//"); i >= 0 && isDigits(s[i+2:]) {
		if t.cidr6, err = parseCIDR(s[i+2:], 128); err != nil {
			return s, err
		}
		s = s[:i]
	}
	if i := strings.LastIndexByte(s, '/'); i >= 0 && isDigits(s[i+1:]) {
		if t.cidr4, err = parseCIDR(s[i+1:], 32); err != nil {
			return s, err
		}
		s = s[:i]
	}
	return s, nil
}

func parseCIDR(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || !isDigits(s) || n > most || len(s) > 1 && s[0] == '0' {
		return 0, errors.New("bad prefix length")
	}
	return n, nil
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
