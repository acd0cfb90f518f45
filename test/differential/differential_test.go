package differential

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// items are fetched of every message, each in a command of its own.
var items = []string{
	"RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE",
	"BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
	"BODY.PEEK[HEADER.FIELDS (SUBJECT FROM RECEIVED X-NONE)]", "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT DATE)]",
	"BODY.PEEK[1]", "BODY.PEEK[1.MIME]", "BODY.PEEK[2]", "BODY.PEEK[2.MIME]", "BODY.PEEK[3]", "BODY.PEEK[1.1]", "BODY.PEEK[1.2]",
	"BODY.PEEK[1.HEADER]", "BODY.PEEK[2.HEADER]", "BODY.PEEK[2.TEXT]", "BODY.PEEK[2.1]", "BODY.PEEK[2.1.MIME]", "BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]",
	"BODY.PEEK[]<0.100>", "BODY.PEEK[TEXT]<10.20>", "BODY.PEEK[1]<5.1000000>", "BODY.PEEK[]<99999999.10>",
	"RFC822.HEADER", "RFC822.TEXT", "BINARY.PEEK[1]", "BINARY.SIZE[1]",
}

// searches must find the same messages on both sides.
var searches = []string{
	"ALL", "SUBJECT test", "SUBJECT \"\"", "FROM example", "TO bob", "CC carol", "BODY the", "TEXT the", "BODY boundary", "TEXT multipart",
	"HEADER Message-ID \"\"", "HEADER Received from", "HEADER X-Nothing \"\"", "LARGER 2000", "SMALLER 300", "SENTBEFORE 1-Jan-2026", "SENTSINCE 1-Jun-2026",
	"SENTON 21-Nov-2026", "NOT SUBJECT test", "OR SUBJECT test FROM alice", "CHARSET UTF-8 SUBJECT {4+}\r\nGr\xc3\xbc", "CHARSET UTF-8 BODY {3+}\r\n\xc3\xbc ", "CHARSET UTF-8 TEXT {5+}\r\ncaf\xc3\xa9",
	"1:10 SUBJECT e", "UID 5:7", "900000:* ALL", "UNSEEN UNDELETED", "KEYWORD $Nothing", "BODY \"  \"",
}

// limit is how many differences are shown.
const limit = 60

func TestAgainstDovecot(t *testing.T) {
	corpus := messages(t)
	if len(corpus) < 300 {
		t.Fatalf("the corpus has %d messages, fewer than 300", len(corpus))
	}
	theirs := dial(t, "dovecot", startDovecot(t))
	ours := dial(t, "facteur", startFacteur(t))
	for _, m := range corpus {
		for _, r := range []*raw{ours, theirs} {
			if err := r.appendMessage("INBOX", m.text); err != nil {
				t.Fatalf("%s: APPEND %s: %v", r.name, m.name, err)
			}
		}
	}
	ours.must("SELECT INBOX")
	theirs.must("SELECT INBOX")
	explained := differences(t)
	count := 0
	differ := func(name, item, got, want string) {
		key := name + " " + item
		if why, ok := explained.match(name, item); ok {
			_ = why
			return
		}
		if count++; count <= limit {
			t.Errorf("%s:\n   ours %s\ndovecot %s", key, clip(got), clip(want))
		}
	}
	for i, m := range corpus {
		for _, item := range items {
			if got, want := fetch(ours, i+1, item), fetch(theirs, i+1, item); got != want {
				differ(m.name, item, got, want)
			}
		}
	}
	for _, s := range searches {
		if got, want := search(ours, s, corpus), search(theirs, s, corpus); got != want {
			differ("SEARCH", s, got, want)
		}
	}
	if count > limit {
		t.Errorf("and %d more differences", count-limit)
	}
	for _, e := range explained {
		if !e.used {
			t.Errorf("testdata/differences.txt:%d explains a difference that is no more: %s %s", e.line, e.name, e.item)
		}
	}
}

type testMessage struct {
	name string
	text []byte
}

// messages reads the corpus: the files that the parsers are tested with, and shapes made by generate.
func messages(t *testing.T) []testMessage {
	t.Helper()
	var list []testMessage
	files, err := filepath.Glob("../../storage/message/testdata/corpus/*.eml")
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 || bytes.IndexByte(b, 0) >= 0 {
			continue // neither server takes an empty message, nor NUL but in a literal8
		}
		list = append(list, testMessage{strings.TrimSuffix(filepath.Base(f), ".eml"), crlf(b)})
	}
	return append(list, generate()...)
}

// crlf ends all lines with CRLF: Dovecot keeps no bare LF in a Maildir, so nothing else can be compared.
func crlf(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

func fetch(r *raw, n int, item string) string {
	untagged, tagged, err := r.do("FETCH %d (%s)", n, item)
	if err != nil && r.name == "dovecot" { // it hangs up on some
		*r = *dial(r.t, r.name, r.addr)
		r.must("SELECT INBOX")
		return "hangs up"
	}
	if err != nil {
		r.t.Fatalf("%s: FETCH %d %s: %v", r.name, n, item, err)
	}
	if !strings.HasPrefix(tagged, "OK") {
		return strings.Fields(tagged)[0]
	}
	for _, line := range untagged {
		if strings.HasPrefix(line, fmt.Sprintf("* %d FETCH ", n)) {
			if item == "RFC822.TEXT" { // it sets \Seen, and where FLAGS stands is nobody's business
				for _, flags := range []string{"FLAGS (\\Seen \\Recent)", "FLAGS (\\Seen)"} {
					line = strings.Replace(strings.Replace(line, flags+" ", "", 1), " "+flags, "", 1)
				}
			}
			// \Recent is a matter of which session came first.
			return strings.Replace(normalize(line), " \\Recent", "", 1)
		}
	}
	return "nothing"
}

// search returns the names of what was found.
func search(r *raw, query string, corpus []testMessage) string {
	untagged, tagged, err := r.do("SEARCH %s", query)
	if err != nil {
		r.t.Fatalf("%s: SEARCH %s: %v", r.name, query, err)
	}
	if !strings.HasPrefix(tagged, "OK") {
		return strings.Fields(tagged)[0]
	}
	for _, line := range untagged {
		if rest, ok := strings.CutPrefix(line, "* SEARCH"); ok {
			names := strings.Fields(rest)
			for i, n := range names {
				var k int
				fmt.Sscan(n, &k)
				names[i] = corpus[k-1].name
			}
			return strings.Join(names, " ")
		}
	}
	return ""
}

// difference is a line of testdata/differences.txt: message, item (both may end in "*"), reason.
type difference struct {
	line            int
	name, item, why string
	used            bool
}

type differenceList []*difference

func differences(t *testing.T) differenceList {
	t.Helper()
	b, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list differenceList
	for i, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, " | ", 3)
		if len(f) != 3 || f[2] == "" {
			t.Fatalf("testdata/differences.txt:%d: want: message | item | reason", i+1)
		}
		list = append(list, &difference{line: i + 1, name: strings.TrimSpace(f[0]), item: strings.TrimSpace(f[1]), why: f[2]})
	}
	return list
}

func (l differenceList) match(name, item string) (string, bool) {
	for _, d := range l {
		if wild(d.name, name) && wild(d.item, item) {
			d.used = true
			return d.why, true
		}
	}
	return "", false
}

func wild(pattern, s string) bool {
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, p)
	}
	return pattern == s
}

func clip(s string) string {
	if len(s) > 700 {
		return s[:700] + "..."
	}
	return s
}
