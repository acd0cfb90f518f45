package sender

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// authResults is an Authentication-Results field (RFC 8601 2.2), as far as we read it.
type authResults struct {
	id      string // authserv-id
	results []authResult
}

// authResult is one resinfo.
type authResult struct {
	method, result string // lower case
	props          map[string]string
}

var errAuthResults = errors.New("malformed Authentication-Results")

// parseAuthResults reads the value of a field. On error, what was read so far is returned: the id is what
// a trusting reader would see.
func parseAuthResults(value string) (authResults, error) {
	var ar authResults
	l := arLexer{s: value}
	ar.id = l.word()
	if ar.id == "" {
		return ar, errAuthResults
	}
	l.word() // the version, if there is one
	for l.skip(';') {
		if l.atEnd() {
			break
		}
		res, err := l.result()
		if err != nil {
			return ar, err
		}
		ar.results = append(ar.results, res)
	}
	if !l.atEnd() {
		return ar, errAuthResults
	}
	return ar, nil
}

// result reads one method, its result and its properties (RFC 8601 2.2).
func (l *arLexer) result() (authResult, error) {
	res := authResult{props: make(map[string]string)}
	res.method = strings.ToLower(l.word())
	if l.skip('/') {
		l.word() // the method's version
	}
	if l.skip('=') {
		res.result = strings.ToLower(l.word())
	}
	if res.method == "" || res.result == "" && res.method != "none" {
		return res, errAuthResults
	}
	for name := l.word(); name != ""; name = l.word() {
		if l.skip('.') {
			name += "." + l.word()
		}
		if !l.skip('=') {
			return res, errAuthResults
		}
		res.props[strings.ToLower(name)] = l.pvalue()
	}
	return res, nil
}

// arLexer goes through a value in linear time, over blanks, folds and nested comments.
type arLexer struct {
	s string
	i int
}

func (l *arLexer) cfws() {
	depth := 0
	for ; l.i < len(l.s); l.i++ {
		switch c := l.s[l.i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			l.i++
		case depth > 0 || strings.IndexByte(fws, c) >= 0:
		default:
			return
		}
	}
	l.i = min(l.i, len(l.s))
}

func (l *arLexer) atEnd() bool {
	l.cfws()
	return l.i == len(l.s)
}

func (l *arLexer) skip(c byte) bool {
	if l.atEnd() || l.s[l.i] != c {
		return false
	}
	l.i++
	return true
}

// word reads a token, dots included, or a quoted string.
func (l *arLexer) word() string { return l.token("()<>@,;:\\\"/[]?= \t\r\n") }

// pvalue reads the value of a property: an address or a path may stand there without quotes.
func (l *arLexer) pvalue() string {
	first := l.token("();\" \t\r\n")
	if l.i < len(l.s) && l.s[l.i] == '"' && first == "" || l.i < len(l.s) && l.s[l.i] == '@' {
		return first + l.token("();\" \t\r\n") // "quoted local-part"@domain
	}
	return first
}

func (l *arLexer) token(ends string) string {
	if l.atEnd() {
		return ""
	}
	if l.s[l.i] == '"' {
		return l.quoted()
	}
	start := l.i
	for l.i < len(l.s) && strings.IndexByte(ends, l.s[l.i]) < 0 {
		l.i++
	}
	return l.s[start:l.i]
}

func (l *arLexer) quoted() string {
	var out strings.Builder
	for l.i++; l.i < len(l.s); l.i++ {
		switch c := l.s[l.i]; c {
		case '"':
			l.i++
			return out.String()
		case '\\':
			if l.i++; l.i < len(l.s) {
				out.WriteByte(l.s[l.i])
			}
		case '\r', '\n':
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// ForgedResult reports whether a header field, as it stands in the message, is an Authentication-Results field
// that claims to be ours, in any spelling of name and id, or whose id can't be read: RFC 8601 5 wants
// it removed before we add our own.
func ForgedResult(raw []byte, ourID string) bool {
	name, value, ok := generousName(field{raw: raw})
	if !ok || name != "authenticationresults" {
		return false
	}
	ar, _ := parseAuthResults(value)
	return ar.id == "" || !utf8.ValidString(ar.id) || strings.EqualFold(labels(ar.id), labels(ourID))
}

// generousName is the name of a field as the most generous of readers might take it: unfolded, whatever
// isn't a letter left out, lower case.
func generousName(f field) (name, value string, ok bool) {
	before, after, ok := strings.Cut(string(f.raw), ":")
	if !ok || len(before) > 200 {
		return "", "", false
	}
	letters := make([]byte, 0, len(before))
	for i := 0; i < len(before); i++ {
		if isAlpha(before[i]) {
			letters = append(letters, before[i]|0x20)
		}
	}
	return string(letters), after, true
}

// resultsWriter builds an Authentication-Results field, one result a line.
type resultsWriter struct{ out []byte }

func newResults(id string) *resultsWriter {
	return &resultsWriter{out: []byte("Authentication-Results: " + pvalue(id))}
}

// result starts a resinfo.
func (w *resultsWriter) result(method, result string) {
	w.out = append(w.out, ";\r\n\t"+method+"="+result...)
}

// prop adds ptype.property=value; nothing when there is no value.
func (w *resultsWriter) prop(name, value string) {
	if value != "" {
		w.out = append(w.out, " "+name+"="+pvalue(value)...)
	}
}

func (w *resultsWriter) reason(text string) {
	if text != "" {
		w.out = append(w.out, " reason="+quote(text)...)
	}
}

func (w *resultsWriter) bytes() []byte { return append(w.out, "\r\n"...) }

// pvalue writes a value as it is when it is a token or an address of plain letters, and quoted otherwise.
// What strangers chose is in it: nothing of it may end the line or the value.
func pvalue(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("-._+@:", c) < 0 {
			return quote(s)
		}
	}
	if len(s) > maxQuoted || s == "" {
		return quote(s)
	}
	return s
}

// maxQuoted is how many octets of a stranger's choice we repeat.
const maxQuoted = 255

// quote makes a quoted string, without control characters and in valid UTF-8 (RFC 6532 3.2).
func quote(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxQuoted)], "?")
	out := []byte{'"'}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			out = append(out, '?')
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}

// authResultsField writes all that was found out (RFC 8601, RFC 9989 9.1, RFC 8617 10.1).
func (v *Verdict) authResultsField(id string) []byte {
	w := newResults(id)
	if v.IPRev.Result != "" {
		w.result("iprev", v.IPRev.Result)
		w.prop("policy.iprev", v.IPRev.Addr)
	}
	for _, spf := range []SPF{v.SPF, v.Helo} {
		if spf.Result == "" {
			continue
		}
		w.result("spf", spf.Result)
		w.reason(spf.Reason)
		if spf.Identity == "helo" {
			w.prop("smtp.helo", spf.Domain)
		} else {
			w.prop("smtp.mailfrom", spf.Sender)
		}
	}
	if len(v.DKIM) == 0 {
		w.result("dkim", ResultNone)
	}
	for _, d := range v.DKIM {
		w.result("dkim", d.Result)
		w.reason(d.Reason)
		w.prop("header.d", d.Domain)
		w.prop("header.s", d.Selector)
		w.prop("header.a", d.Algorithm)
		w.prop("header.i", d.Identity)
		w.prop("header.b", d.mark)
	}
	w.result("dmarc", v.DMARC.Result)
	w.reason(strings.Join(nonEmpty(v.DMARC.Reason, v.Fault, overridden(v.Override)), "; "))
	w.prop("header.from", v.AuthorDomain)
	w.prop("policy.dmarc", v.DMARC.Policy)
	w.result("arc", v.ARC.Result)
	w.reason(v.ARC.Reason)
	return w.bytes()
}

func overridden(reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf("policy set aside: %s", reason)
}

func nonEmpty(texts ...string) []string {
	var some []string
	for _, t := range texts {
		if t != "" {
			some = append(some, t)
		}
	}
	return some
}
