package differential

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// searches must find the same messages on both sides.
var searches = []string{
	"ALL", "SUBJECT test", "SUBJECT \"\"", "FROM example", "TO bob", "CC carol", "BCC secret", "BODY the", "TEXT the", "BODY boundary", "TEXT multipart",
	"TEXT subject", "TEXT \"from: alice\"", "TEXT charset", "BODY charset", "TEXT inner", "BODY inner", "FROM \"\"", "TO \"Doe, John\"", "FROM alice@example.org", "FROM \"<alice\"",
	"HEADER Message-ID \"\"", "HEADER Received from", "HEADER X-Nothing \"\"", "HEADER Content-Type text", "HEADER From Alice", "HEADER Subject \"\"", "LARGER 2000", "SMALLER 300",
	"SENTBEFORE 1-Jan-2026", "SENTSINCE 1-Jun-2026", "SENTON 21-Nov-2026", "SENTON 3-Feb-2026", "NOT SUBJECT test", "OR SUBJECT test FROM alice", "OR (SUBJECT test TO bob) NOT FROM alice",
	"CHARSET UTF-8 SUBJECT {4+}\r\nGr\xc3\xbc", "CHARSET UTF-8 BODY {3+}\r\n\xc3\xbc ", "CHARSET UTF-8 TEXT {5+}\r\ncaf\xc3\xa9", "CHARSET ISO-8859-1 SUBJECT {3+}\r\nGr\xfc", "CHARSET X-UNKNOWN SUBJECT x",
	"CHARSET US-ASCII SUBJECT test", "1:10 SUBJECT e", "UID 5:7", "900000:* ALL", "*:900000", "*", "900000", "300:900000", "NOT 900000:*", "UID 900000:*", "UID 900000", "2,4,900000", "UNSEEN UNDELETED", "KEYWORD $Nothing",
	"UNKEYWORD $Nothing SUBJECT test", "BODY \"  \"", "SUBJECT \"one two\"", "SUBJECT \"two lines\"", "SUBJECT \"at tabs and blanks\"", "TEXT \"note:no\"", "TEXT \"no blank behind\"", "HEADER X-Note \"blank behind\"", "BODY diagnostic", "BODY fish", "TEXT WhoWouldSearchForThat", "HEADER DKIM-Signature WhoWouldSearchForThat", "NEW", "OLD", "RECENT", "SEEN", "BEFORE 1-Jan-2026", "SINCE 1-Jan-2026", "ON 1-Jan-2026", "LARGER 0 SMALLER 100000",
	"RETURN () ALL", "RETURN (MIN MAX COUNT) SUBJECT test", "RETURN (ALL) SUBJECT test", "RETURN (MIN) SUBJECT nowhere", "RETURN (COUNT) SUBJECT nowhere", "RETURN (SAVE) SUBJECT test", "$", "NOT $",
	"SUBJECT", "LARGER x", "BEFORE 99-Jan-2020", "(SUBJECT test", "NOT", "OR ALL", "NOSUCHKEY",
}

// sorts and threads are asked of the corpus and of a mailbox of conversations.
var sorts = []string{
	"SORT (ARRIVAL) UTF-8 %s", "SORT (SIZE) UTF-8 %s", "SORT (REVERSE SIZE) UTF-8 %s", "SORT (SUBJECT) UTF-8 %s", "SORT (DATE) UTF-8 %s", "SORT (FROM) UTF-8 %s", "SORT (TO) UTF-8 %s", "SORT (CC) UTF-8 %s",
	"SORT (REVERSE DATE) UTF-8 %s", "SORT (SUBJECT REVERSE DATE) UTF-8 %s", "SORT (DISPLAYFROM) UTF-8 %s", "SORT (DISPLAYTO) UTF-8 %s", "UID SORT (SUBJECT) US-ASCII SUBJECT test %s", "SORT RETURN (MIN MAX COUNT) (SIZE) UTF-8 %s",
	"THREAD ORDEREDSUBJECT UTF-8 %s", "THREAD REFERENCES UTF-8 %s", "UID THREAD REFERENCES UTF-8 SUBJECT a %s", "THREAD REFERENCES US-ASCII SUBJECT nowhere %s",
}

func testSearch(_ *testing.T, p pair, list []testMessage, rep *report) {
	for _, s := range searches {
		ours, theirs := search(p.ours, s), search(p.theirs, s)
		a, b := byName(ours, list), byName(theirs, list)
		if a == nil || b == nil {
			rep.compare("SEARCH", s, ours, theirs)
			continue
		}
		for _, name := range a {
			if !slices.Contains(b, name) {
				rep.compare(name, "SEARCH "+s, "found", "")
			}
		}
		for _, name := range b {
			if !slices.Contains(a, name) {
				rep.compare(name, "SEARCH "+s, "", "found")
			}
		}
	}
}

// testSort leaves out what would be sorted otherwise for a reason that differences.txt gives.
func testSort(_ *testing.T, p pair, mailbox string, list []testMessage, rep *report) {
	program := "ALL"
	for i, m := range list {
		if rep.explains(m.name, "SORT") {
			program += fmt.Sprintf(" NOT %d", i+1)
		}
	}
	for _, s := range sorts {
		command := fmt.Sprintf(s, program)
		rep.compare(mailbox, s, answer(p.ours, command), answer(p.theirs, command))
	}
}

func search(r *raw, query string) string { return answer(r, "SEARCH "+query) }

// answer is the result of SEARCH, SORT or THREAD, or how the command was refused.
func answer(r *raw, command string) string {
	untagged, tagged, err := r.do("%s", command)
	if err != nil {
		r.t.Fatalf("%s: %s: %v", r.name, command, err)
	}
	if !strings.HasPrefix(tagged, "OK") {
		return strings.Fields(tagged)[0]
	}
	for _, line := range untagged {
		word := strings.Fields(line)[1]
		switch word {
		case "SEARCH", "SORT", "THREAD":
			return strings.TrimSpace(line)
		case "ESEARCH":
			_, rest, _ := strings.Cut(line, ")")
			return "* ESEARCH" + rest
		}
	}
	return "no result"
}

// byName gives what was found by its name; nil when it isn't a list of messages.
func byName(answer string, list []testMessage) []string {
	rest, ok := strings.CutPrefix(answer, "* SEARCH")
	if !ok {
		return nil
	}
	names := []string{}
	for _, n := range strings.Fields(rest) {
		var k int
		if _, err := fmt.Sscan(n, &k); err != nil || k < 1 || k > len(list) {
			return nil
		}
		names = append(names, list[k-1].name)
	}
	return names
}
