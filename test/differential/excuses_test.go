package differential

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"facteur/storage/message"
)

// asked is a question about a message and what both servers answered, or a piece of their answers.
type asked struct {
	text         []byte
	item         string
	ours, theirs string
}

// excuse is a kind of difference that random messages run into. shown is the beginning of the name of a message of the
// corpus that has it, and differences.txt tells of that one why we answer otherwise. What an excuse takes in is
// not compared at all, so it has to be narrow.
type excuse struct {
	item  string // what the item begins with
	shown string
	holds func(a asked) bool
}

var excuses = []excuse{
	// Types and parameters that can't be read in one way only, and what depends on them.
	{"", "101-type", func(a asked) bool { return !typesReadable(a.text) }},
	{"", "175-boundary", func(a asked) bool {
		return oddBoundary.Match(a.text) || !strict(a.text) && mentions(a.text, "boundary")
	}},
	{"", "189-boundary", func(a asked) bool { return encodedBoundary.Match(a.text) }},
	{"", "183-boundary", func(a asked) bool { return blankBoundary.Match(a.text) }},
	{"BODYSTRUCTURE", "176-parameters", func(a asked) bool { return flat(a.ours) && flat(a.theirs) && !strict(a.text) }},
	{"BODYSTRUCTURE", "176-parameters", func(a asked) bool { return a.ours == "NIL" && strings.HasPrefix(a.theirs, `("" `) }},
	{"BODYSTRUCTURE", "176-parameters", func(a asked) bool { return oddLanguage.Match(a.text) && !strings.Contains(a.ours, "(NIL") }},
	{"BODYSTRUCTURE", "177-parameters", func(a asked) bool {
		return strings.Contains(a.ours, `"charset*"`) && !strings.Contains(a.ours, `"charset"`) && strings.Contains(a.theirs, `"charset" "us-ascii"`)
	}},
	{"BODYSTRUCTURE", "177-parameters", func(a asked) bool { return mixedSections.Match(a.text) && flat(a.ours) && flat(a.theirs) }},
	{"BODYSTRUCTURE", "112-type", func(a asked) bool { return strings.EqualFold(a.ours, a.theirs) }},
	{"BODYSTRUCTURE", "171-encoding", func(a asked) bool { return a.theirs == `"7bit"` && encodings(a.text, ";") > 0 }},
	{"BODYSTRUCTURE", "178-trailing", sameWithoutBlanks},
	{"BODYSTRUCTURE", "176-parameters", func(a asked) bool { return unquoted(a.theirs) == "" && emptyField.Match(a.text) }},

	// What isn't MIME for Dovecot, or is no message for it.
	{"", "043-", func(a asked) bool { return !saysMIME(a.text) }},
	{"", "073-", func(a asked) bool { return mentions(a.text, "message/global") }},

	// Addresses that Dovecot marks as none, or passes over, and blanks around other fields.
	{"ENVELOPE", "059-", func(a asked) bool { return marks.MatchString(a.theirs) }},
	{"ENVELOPE", "179-address", func(a asked) bool { return a.theirs != "NIL" && within(a.theirs, a.ours) }},
	{"ENVELOPE", "178-trailing", func(a asked) bool { return quotedBlanks.Match(a.text) }},
	{"ENVELOPE", "178-trailing", sameWithoutBlanks},

	// Sections
	{"BODY.PEEK[HEADER.FIELDS", "002-", func(a asked) bool { return !bytes.Contains(a.text, []byte("\r\n\r\n")) }},
	{"BODY.PEEK[", "180-embedded", func(a asked) bool {
		ours, theirs := unquoted(a.ours), unquoted(a.theirs)
		return ours == theirs+"\r\n" || theirs == ours+"\r\n" || strings.HasPrefix(theirs, ours+"--")
	}},
	{"RFC822.SIZE", "167-bare-cr", func(a asked) bool { return bareCR.Match(a.text) }}, // Dovecot stores fewer
	{"B", "167-bare-cr", func(a asked) bool { return bareCR.Match(a.text) }},
	{"BINARY", "045-", func(a asked) bool { return a.theirs == "hangs up" || a.theirs == "NO" }},
	{"BINARY", "131-", func(a asked) bool { return twoEncodings.Match(a.text) }},

	// Searching: more is found where encoded words, damaged addresses and markup are read as a person reads them, and markup
	// itself is not.
	{"SEARCH", "gen-type-03-43", func(a asked) bool {
		return !strings.HasPrefix(a.item, "SEARCH SENT") && strings.HasSuffix(a.ours, "found")
	}},
	{"SEARCH", "gen-type-03-43", func(a asked) bool { return mentions(a.text, "text/html") }},
	{"SEARCH", "184-two", func(a asked) bool { return twoTypes.Match(a.text) }},
	{"SEARCH", "176-parameters", func(a asked) bool { return !strict(a.text) }},
	{"SEARCH TEXT", "188-signature", func(a asked) bool { return signatures.Match(a.text) }},
	{"SEARCH", "026-", func(a asked) bool {
		return strings.Contains(a.item, "=?") || brokenWord.Match(a.text) || otherCharset.Match(a.text)
	}},
	{"SEARCH", "gen-address-19", func(a asked) bool { return strings.ContainsAny(a.item, `"\()`) }},
	{"SEARCH SENT", "182-dates", func(a asked) bool { return !plainDate(a.text) }},

	// Order
	{"SORT", "017-", func(a asked) bool { return repeats.Match(a.text) }},
	{"SORT (DATE", "182-dates", func(a asked) bool { return !plainDate(a.text) }},
	{"SORT", "053-", func(a asked) bool { return oddAddresses(a.text) }},
	{"THREAD", "017-", func(a asked) bool { return repeats.Match(a.text) || !plainDate(a.text) }},
}

// checkExcuses: what an excuse points to is explained.
func checkExcuses(t *testing.T, list []testMessage) {
	explained := newReport(t).explained
	for _, e := range excuses {
		found := false
		for _, m := range list {
			for _, d := range explained {
				found = found || strings.HasPrefix(m.name, e.shown) && d.name != "*" && d.matches(m.name, d.item)
			}
		}
		if !found {
			t.Errorf("differences.txt explains no message whose name begins with %s", e.shown)
		}
	}
}

func (a asked) excused() bool {
	for _, e := range excuses {
		if strings.HasPrefix(a.item, e.item) && e.holds(a) {
			return true
		}
	}
	return false
}

// compare finds a difference that has no excuse, in lists the innermost one.
func compare(a asked) (asked, bool) {
	if a.ours == a.theirs {
		return a, false
	}
	if a.item != "ENVELOPE" && a.item != "BODYSTRUCTURE" {
		return a, !a.excused()
	}
	ours, _ := parseValue(a.ours)
	theirs, _ := parseValue(a.theirs)
	return compareValues(a, ours, theirs)
}

func compareValues(a asked, ours, theirs value) (asked, bool) {
	a.ours, a.theirs = ours.text, theirs.text
	if a.ours == a.theirs {
		return a, false
	}
	if len(ours.list) != len(theirs.list) || len(ours.list) == 0 {
		return a, !a.excused()
	}
	for i, child := range ours.list {
		b := a
		if ours.isEnvelope() {
			b.item = "ENVELOPE"
			b.ours, b.theirs = child.text, theirs.list[i].text // address lists are compared as a whole
			if b.ours != b.theirs && !b.excused() {
				return b, true
			}
		} else if b, differs := compareValues(b, child, theirs.list[i]); differs {
			return b, true
		}
	}
	return a, false
}

// isEnvelope: the first words of no other list of ten are strings and its third is a list.
func (v value) isEnvelope() bool {
	return len(v.list) == 10 && v.list[0].text[0] != '(' && v.list[2].text[0] != '"'
}

var (
	typeField       = field("content-type")
	disposition     = field("content-disposition")
	dateField       = field("date")
	oddLanguage     = regexp.MustCompile(`(?i)\ncontent-language[ \t]*:(.|\r\n[ \t])*([^\sa-z0-9,-]|[a-z] +[a-z])`)
	oddBoundary     = regexp.MustCompile(`(?i)boundary\s*=\s*(""|;|\r|$|"?[^\s"]{71,})`)
	mixedSections   = regexp.MustCompile(`(?i)\*[0-9]+\*\s*=`)
	blankBoundary   = regexp.MustCompile(`(?i)boundary\s*=\s*"[^"]*[ \t]"`)
	encodedBoundary = regexp.MustCompile(`(?i)boundary\*([0-9]+\*)?\s*=`)
	brokenWord      = regexp.MustCompile(`=\?[^?\s]*\?[^?]*\?[^?\s]*(\?[^=]|[^\x21-\x7e])`)
	emptyField      = regexp.MustCompile(`(?im)^content-(id|description|md5|location)[ \t]*:\s*$`)
	version         = regexp.MustCompile(`(?im)^mime-version[ \t]*:.*1\.0`)
	twoEncodings    = twice("content-transfer-encoding")
	twoTypes        = twice("content-type")
	signatures      = regexp.MustCompile(`(?im)^(dkim-signature|x-google-dkim-signature|arc-seal|arc-message-signature|autocrypt)[ \t]*:`)
	marks           = regexp.MustCompile(`SYNTAX_ERROR|INVALID_ROUTE|MISSING_`)
	quotedBlanks    = regexp.MustCompile(`"[ \t]*"|"[ \t]|[ \t]"`)
	bareCR          = regexp.MustCompile(`\r([^\n]|$)`)
	otherCharset    = regexp.MustCompile(`(?i)charset\*?="?(utf-8'')?(hz|iso-2022|utf-7|utf-16|gb)`)
	repeats         = twice("(?:subject|from|to|cc|date)")
	plain           = regexp.MustCompile(`(?i)^\s*((mon|tue|wed|thu|fri|sat|sun)\s*,\s*)?[0-9]{1,2}\s+(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\s+([0-9]{4}|[0-9]{2})\s+` +
		`[0-9][0-9]:[0-9][0-9](:[0-9][0-9])?\s+([+-][0-9]{4}|GMT|UT|[ECMP][SD]T)\s*(\([^()]*\))?\s*$`)
)

// twice finds two fields of such names in one header.
func twice(names string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\n` + names + `[ \t]*:(?:[^\n\x00]|\n[^\r\x00])*\n` + names + `[ \t]*:`)
}

// field finds fields of that name in headers anywhere in a message.
func field(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?im)^` + name + `[ \t]*:((?:\r\n[ \t]|.)*)`)
}

// The grammar of types and parameters (RFC 2045 5.1, RFC 2231 7), but for comments in comments.
const (
	cfws      = `(?:\s|\((?:[^()\\]|\\.)*\))*`
	char      = `[^\x00-\x20()<>@,;:\\"/\[\]?=\x7f]`
	token     = char + `+`
	attribute = `[^\x00-\x20()<>@,;:\\"/\[\]?=*'%\x7f]+(?:\*(?:0|[1-9][0-9]*))?\*?`
	params    = `(?:;` + cfws + attribute + cfws + `=` + cfws + `(?:` + token + `|"(?:[^"\\]|\\.)*")` + cfws + `)*$`
	mediaType = `^` + cfws + token + cfws + `/` + cfws + token + cfws
)

var (
	readableType      = regexp.MustCompile(mediaType + `(;|$)`)
	strictType        = regexp.MustCompile(mediaType + params)
	strictDisposition = regexp.MustCompile(`^` + cfws + token + cfws + params)
	section           = regexp.MustCompile(`;` + cfws + `([^\x00-\x20;=*]+)(\*[0-9]*)`)
)

func typesReadable(text []byte) bool {
	for _, v := range values(typeField, text) {
		if !readableType.Match(v) {
			return false
		}
	}
	return true
}

// strict reports whether all parameters keep to the grammar, and sections of one (RFC 2231 3) are there once and under
// one name.
func strict(text []byte) bool {
	if bytes.Contains(text, []byte("\\\r\n")) { // a fold inside a quoted pair
		return false
	}
	for re, fields := range map[*regexp.Regexp][][]byte{strictType: values(typeField, text), strictDisposition: values(disposition, text)} {
		for _, v := range fields {
			if !re.Match(v) {
				return false
			}
			seen := map[string]bool{}
			for _, s := range section.FindAllSubmatch(v, -1) {
				written := string(s[1])
				name := strings.ToLower(written)
				key := name + string(s[2])
				if seen[key] || seen[name+"*"] || key == name+"*" && seen[name] || seen[name] && !seen[written+" as written"] {
					return false
				}
				seen[name], seen[key], seen[written+" as written"] = true, true, true
			}
		}
	}
	return true
}

// saysMIME reports whether all messages inside one have a MIME-Version.
func saysMIME(text []byte) bool {
	for _, m := range bytes.Split(text, []byte{0}) {
		s, err := message.Summarize(bytes.NewReader(m), int64(len(m)))
		if err != nil {
			return false
		}
		says := true
		walk(s.Structure, "", func(p *message.Part, _ string) {
			if p.IsMessage() && len(p.Parts) == 1 {
				says = says && version.Match(m[p.Parts[0].Start:p.Parts[0].BodyStart])
			}
		})
		if !says {
			return false
		}
	}
	return true
}

func values(re *regexp.Regexp, text []byte) (list [][]byte) {
	for _, m := range re.FindAllSubmatch(text, -1) {
		list = append(list, bytes.ReplaceAll(m[1], []byte("\r\n"), nil))
	}
	return list
}

func mentions(text []byte, word string) bool {
	return bytes.Contains(bytes.ToLower(text), []byte(word))
}

// encodings counts the Content-Transfer-Encoding fields with that in them.
func encodings(text []byte, with string) (n int) {
	for _, v := range values(field("content-transfer-encoding"), text) {
		if bytes.Contains(v, []byte(with)) {
			n++
		}
	}
	return n
}

// dated reports whether there is a date that can be read; plainDate, of one or more messages, whether each has one
// that keeps to RFC 5322 3.3 and is in the calendar.
func dated(text []byte) bool {
	_, ok := message.ParseDate(headerDate(text))
	return ok
}

func plainDate(text []byte) bool {
	for _, m := range bytes.Split(text, []byte{0}) {
		head, _, _ := bytes.Cut(m, []byte("\r\n\r\n"))
		if all := values(dateField, head); len(all) != 1 || !plain.Match(all[0]) || !dated(m) {
			return false
		}
	}
	return true
}

func headerDate(text []byte) string {
	date, _ := message.Value(text, "Date")
	return date
}

// oddAddresses reports whether an address of one of the messages lacks a part, or is quoted or commented on: Dovecot
// reads some of those as none.
func oddAddresses(text []byte) bool {
	for _, m := range bytes.Split(text, []byte{0}) {
		for _, name := range []string{"From", "To", "Cc"} {
			for _, v := range message.Values(m, name) {
				if strings.ContainsAny(v, `"()\[]:;`) || strings.Contains(v, "=?") || strings.Count(v, "@") != strings.Count(v, ",")+1 || strings.ContainsAny(v, "<>") && !angles.MatchString(v) {
					return true
				}
			}
		}
	}
	return false
}

var angles = regexp.MustCompile(`^([^<>,]*<[^<>,@ ]+@[^<>,@ ]+>\s*,?\s*)*$`)
