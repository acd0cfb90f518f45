package differential

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fetchItems are fetched of all messages at once.
var fetchItems = []string{
	"RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "ALL", "FAST", "FULL", "FLAGS", "UID",
	"BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
	"BODY.PEEK[HEADER.FIELDS (SUBJECT FROM RECEIVED X-NONE)]", "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT DATE)]",
	"BODY.PEEK[1]", "BODY.PEEK[1.MIME]", "BODY.PEEK[2]", "BODY.PEEK[2.MIME]", "BODY.PEEK[3]", "BODY.PEEK[1.1]", "BODY.PEEK[1.2]", "BODY.PEEK[1.1.1]",
	"BODY.PEEK[1.HEADER]", "BODY.PEEK[2.HEADER]", "BODY.PEEK[1.TEXT]", "BODY.PEEK[2.TEXT]", "BODY.PEEK[2.1]", "BODY.PEEK[2.2]", "BODY.PEEK[2.1.MIME]",
	"BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]", "BODY.PEEK[2.HEADER.FIELDS.NOT (SUBJECT)]", "BODY.PEEK[2.1.HEADER]", "BODY.PEEK[2.1.1]",
	"BODY.PEEK[]<0.100>", "BODY.PEEK[]<0.1>", "BODY.PEEK[]<50.100>", "BODY.PEEK[TEXT]<10.20>", "BODY.PEEK[HEADER]<20.1000>", "BODY.PEEK[1]<5.1000000>", "BODY.PEEK[]<99999999.10>",
	"BODY.PEEK[HEADER.FIELDS (SUBJECT)]<3.9>", "BODY.PEEK[1.MIME]<10.10>",
	"(BODY.PEEK[1] UID BODY.PEEK[TEXT]<0.5> RFC822.SIZE)", "(UID ENVELOPE BODY.PEEK[HEADER.FIELDS (DATE)] FLAGS)",
	"RFC822.HEADER",
	// These set \Seen, and the first response of each message says so.
	"RFC822.TEXT", "RFC822", "BODY[]", "BODY[TEXT]", "(FLAGS BODY[1])",
}

// binaryItems are fetched one by one, since Dovecot hangs up on some.
var binaryItems = []string{"BINARY.PEEK[1]", "BINARY.SIZE[1]", "BINARY.PEEK[2]", "BINARY.PEEK[1]<2.5>"}

func testFetch(t *testing.T, p pair, list []testMessage, rep *report) {
	for _, item := range fetchItems {
		p.must("STORE 1:* -FLAGS.SILENT (\\Seen)")
		ours, theirs := p.fetch("1:*", item)
		if got, want := numbers(ours), numbers(theirs); !slices.Equal(got, want) {
			t.Errorf("FETCH 1:* %s: ours answers for %v, dovecot for %v", item, got, want)
			continue
		}
		for i, got := range ours {
			want := theirs[i]
			name := list[got.n-1].name
			for _, k := range keys(got.items, want.items) {
				item := k
				if k == "BODY" {
					item = "BODYSTRUCTURE as BODY" // what explains the one explains the other
				}
				rep.compare(name, item, got.items[k], want.items[k])
			}
		}
	}
	for _, m := range ourFetch(p, len(list)) {
		if want := strconv.Quote(string(list[m.n-1].text)); m.items["BODY[]"] != want {
			t.Errorf("%s: BODY[] is not what was appended: %s", list[m.n-1].name, clip(m.items["BODY[]"]))
		}
	}
	for i, m := range list {
		for _, item := range binaryItems {
			rep.compare(m.name, item, fetchOne(p.ours, i+1, item), fetchOne(p.theirs, i+1, item))
		}
	}
}

func ourFetch(p pair, n int) []fetched {
	return parseFetched(p.ours.must("FETCH 1:%d BODY.PEEK[]", n))
}

// testOctets: what Dovecot can't be asked for, because it would change it, comes back from us octet for octet.
func testOctets(t *testing.T, r *raw) {
	r.must("CREATE octets")
	for i, text := range []string{
		"Subject: bare\n\nline\nends\n", "Subject: mixed\r\n\r\none\ntwo\r\nthree\rfour", "Subject: nul\r\n\r\na\x00b\r\n", "\x00", "\n", "\r", "Subject: cr\r\rbody",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", "Subject: 8bit \xff\xfe\n\n\x80\n", ".\r\n..\r\n",
	} {
		r.must("APPEND octets ~{%d+}\r\n%s", len(text), text)
		r.must("EXAMINE octets")
		got := parseFetched(r.must("FETCH %d (BODY[] RFC822.SIZE)", i+1))
		// NUL can't be in a literal; BINARY[] has it (RFC 3516 4.3).
		if bytes.IndexByte([]byte(text), 0) >= 0 {
			got = parseFetched(r.must("FETCH %d (BINARY.PEEK[] RFC822.SIZE)", i+1))
			got[0].items["BODY[]"] = got[0].items["BINARY[]"]
		}
		if want := strconv.Quote(text); got[0].items["BODY[]"] != want || got[0].items["RFC822.SIZE"] != strconv.Itoa(len(text)) {
			t.Errorf("message %d: got %s (%s octets), appended %s", i+1, got[0].items["BODY[]"], got[0].items["RFC822.SIZE"], want)
		}
	}
}

// fetched is a FETCH response, its values normalized.
type fetched struct {
	n     int
	items map[string]string
}

func numbers(list []fetched) []int {
	var out []int
	for _, f := range list {
		out = append(out, f.n)
	}
	return out
}

// keys are the names of both, UID and others that come unasked included.
func keys(a, b map[string]string) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// fetch fetches the same from both servers.
func (p pair) fetch(set, item string) (ours, theirs []fetched) {
	a, b := p.must("FETCH %s %s", set, item)
	return parseFetched(a), parseFetched(b)
}

// fetchOne fetches one item from one server.
func fetchOne(r *raw, n int, item string) string {
	untagged, tagged, err := r.do("FETCH %d (%s)", n, item)
	if err != nil {
		if r.name != "dovecot" {
			r.t.Fatalf("%s: FETCH %d %s: %v", r.name, n, item, err)
		}
		*r = *dial(r.t, r.name, r.addr)
		r.must("SELECT INBOX")
		return "hangs up"
	}
	if !strings.HasPrefix(tagged, "OK") {
		return strings.Fields(tagged)[0]
	}
	name, _, _ := strings.Cut(strings.Replace(item, ".PEEK", "", 1), "<")
	for _, f := range parseFetched(untagged) {
		for k, v := range f.items {
			if f.n == n && strings.HasPrefix(k, name) {
				return v
			}
		}
	}
	return "nothing"
}

// parseFetched takes the FETCH responses apart: neither the order of the items nor the form of
// their strings matters. \Recent is left out, since it depends on whose session came first.
func parseFetched(untagged []string) []fetched {
	var list []fetched
	for _, line := range untagged {
		f := fetched{items: map[string]string{}}
		rest := normalize(line)
		if n, err := fmt.Sscanf(rest, "* %d FETCH ", &f.n); n != 1 || err != nil || !strings.Contains(rest, " FETCH (") {
			continue
		}
		_, rest, _ = strings.Cut(rest, "(")
		for rest != "" && rest != ")" {
			var name, value string
			name, rest = cutValue(rest)
			value, rest = cutValue(strings.TrimPrefix(rest, " "))
			rest = strings.TrimPrefix(rest, " ")
			if name == "FLAGS" {
				value = sortedFlags(value)
			}
			f.items[name] = value
		}
		list = append(list, f)
	}
	return list
}

// cutValue cuts one name, string, number or list off s, which has been normalized.
func cutValue(s string) (value, rest string) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted, err := strconv.QuotedPrefix(s[i:])
			if err != nil {
				return s, ""
			}
			i += len(quoted) - 1
		case '(', '[':
			depth++
		case ')', ']':
			if depth == 0 {
				return s[:i], s[i:]
			}
			depth--
		case ' ':
			if depth == 0 {
				return s[:i], s[i:]
			}
		}
	}
	return s, ""
}

func sortedFlags(list string) string {
	flags := strings.Fields(strings.Trim(list, "()"))
	flags = slices.DeleteFunc(flags, func(f string) bool { return f == "\\Recent" })
	slices.Sort(flags)
	return "(" + strings.Join(flags, " ") + ")"
}
