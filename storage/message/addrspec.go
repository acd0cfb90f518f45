package message

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// AddrSpec is one mail address, local-part@domain, as RFC 5322 3.4.1 and RFC
// 5321 4.1.2 mean it. It is the only form in which an address travels between
// rooms; the zero AddrSpec is the null reverse-path.
type AddrSpec struct {
	Local  string // without quotes and backslashes: what the address means, not how it was written
	Domain string // lower case, as given in A-labels or U-labels; "[192.0.2.1]" for a literal; empty only for <Postmaster>
}

// ErrAddress is wrapped by every error of ParseAddrSpec.
var ErrAddress = errors.New("not a mail address")

// IsZero reports whether a is the null reverse-path.
func (a AddrSpec) IsZero() bool { return a == AddrSpec{} }

// String writes a as it goes into an SMTP command or a header: the local-part
// quoted where RFC 5321 wants it.
func (a AddrSpec) String() string {
	if a.IsZero() {
		return ""
	}
	local := a.Local
	if !isDotString(local) {
		local = quoteLocal(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + a.Domain
}

// NeedsUTF8 reports whether a can only be sent with SMTPUTF8 (RFC 6531): its
// local-part is not ASCII. A domain in U-labels has an ASCII form.
func (a AddrSpec) NeedsUTF8() bool { return !isASCII(a.Local) }

// ASCIIDomain returns the domain in A-labels, in lower case.
func (a AddrSpec) ASCIIDomain() (string, error) { return ASCIIDomain(a.Domain) }

// Key is the form to compare and store addresses by: the domain in A-labels,
// the local-part in NFC and lower case. Only a host that owns the domain may
// compare local-parts that way (RFC 5321 2.4).
func (a AddrSpec) Key() string {
	domain, err := a.ASCIIDomain()
	if err != nil {
		domain = strings.ToLower(a.Domain)
	}
	return strings.ToLower(norm.NFC.String(a.Local)) + "@" + domain
}

// ASCIIDomain returns a domain name in A-labels, lower case and without a final
// dot (RFC 5891). A domain literal is returned as it is.
func ASCIIDomain(domain string) (string, error) {
	if strings.HasPrefix(domain, "[") {
		return strings.ToLower(domain), nil
	}
	domain = strings.TrimSuffix(domain, ".")
	if isASCII(domain) {
		return strings.ToLower(domain), nil
	}
	return idna.Lookup.ToASCII(norm.NFC.String(domain))
}

// ParseDomain reads a domain name and returns it as ASCIIDomain does. A domain literal is none, nor is a bare IP
// address: no top-level domain is a number (RFC 3696 2). The errors wrap ErrAddress.
func ParseDomain(s string) (string, error) {
	domain, err := parseDomain(strings.TrimSuffix(s, "."))
	if err != nil {
		return "", err
	}
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	if strings.HasPrefix(domain, "[") || strings.Trim(top, "0123456789") == "" {
		return "", addressError("is an IP address, not a domain name")
	}
	if domain, err = ASCIIDomain(domain); err != nil {
		return "", addressError(err.Error())
	}
	return domain, nil
}

// ParseAddrSpec reads one address as it stands between the angle brackets of an
// SMTP path (RFC 5321 4.1.2, RFC 6531 3.3). The domain starts after the last
// "@"; "%", "!" and quoted text in the local-part are never given a meaning. A
// source route is no part of an address: who takes paths takes it off. The errors wrap
// ErrAddress.
func ParseAddrSpec(s string) (AddrSpec, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return AddrSpec{}, addressError("has no @")
	}
	local, err := parseLocal(s[:at])
	if err != nil {
		return AddrSpec{}, err
	}
	domain, err := parseDomain(s[at+1:])
	if err != nil {
		return AddrSpec{}, err
	}
	return AddrSpec{Local: local, Domain: domain}, nil
}

func addressError(what string) error { return &addrError{what} }

type addrError struct{ what string }

func (e *addrError) Error() string { return "address " + e.what }
func (e *addrError) Unwrap() error { return ErrAddress }

// parseLocal takes a dot-string or a quoted-string and returns what it means.
func parseLocal(s string) (string, error) {
	switch {
	case s == "":
		return "", addressError("has an empty local-part")
	case len(s) > 256: // twice RFC 5321 4.5.3.1.1, quotes and UTF-8 included
		return "", addressError("has too long a local-part")
	case !utf8.ValidString(s):
		return "", addressError("is not valid UTF-8")
	}
	if s[0] == '"' {
		return unquoteLocal(s)
	}
	if !isDotString(s) {
		return "", addressError("has characters in its local-part that need quotes")
	}
	return s, nil
}

func unquoteLocal(s string) (string, error) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", addressError("has an open quote")
	}
	in := s[1 : len(s)-1]
	var out strings.Builder
	for i := 0; i < len(in); i++ {
		c := in[i]
		switch {
		case c == '\\':
			if i++; i == len(in) {
				return "", addressError("has an open quote")
			}
			c = in[i]
		case c == '"':
			return "", addressError("has a quote inside quotes")
		}
		if c < ' ' || c == 0x7f {
			return "", addressError("has a control character")
		}
		out.WriteByte(c)
	}
	if out.Len() == 0 {
		return "", addressError("has an empty local-part")
	}
	return out.String(), nil
}

func quoteLocal(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			out.WriteByte('\\')
		}
		out.WriteByte(s[i])
	}
	out.WriteByte('"')
	return out.String()
}

func parseDomain(s string) (string, error) {
	switch {
	case s == "":
		return "", addressError("has an empty domain")
	case len(s) > 255:
		return "", addressError("has too long a domain")
	case !utf8.ValidString(s):
		return "", addressError("is not valid UTF-8")
	}
	if s[0] == '[' {
		return parseLiteral(s)
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" {
			return "", addressError("has an empty label in its domain")
		}
		if len(label) > 63 && isASCII(label) {
			return "", addressError("has too long a label in its domain")
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			// An underscore is not a host name's, but mail from such domains exists.
			if c < 0x80 && !isAlnum(c) && c != '-' && c != '_' {
				return "", addressError("has a character in its domain that no domain has")
			}
		}
	}
	lower := strings.ToLower(s)
	if _, err := ASCIIDomain(lower); err != nil {
		return "", addressError("has a domain that IDNA does not allow")
	}
	return lower, nil
}

func parseLiteral(s string) (string, error) {
	if len(s) < 3 || s[len(s)-1] != ']' {
		return "", addressError("has an open domain literal")
	}
	for i := 1; i < len(s)-1; i++ {
		if c := s[i]; !isAlnum(c) && c != '.' && c != ':' && c != '-' {
			return "", addressError("has a character in its domain literal that no literal has")
		}
	}
	return s, nil
}

// isDotString reports whether s needs no quotes as a local-part: atoms joined
// by dots, UTF-8 allowed (RFC 6531 3.3).
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '.' && c < 0x80 && !isAtext(c) {
			return false
		}
	}
	return true
}

// isAtext: RFC 5322 3.2.3.
func isAtext(c byte) bool {
	return isAlnum(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
