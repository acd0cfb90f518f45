package differential

import (
	"bytes"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"facteur/storage/message"
)

// A long run: go test ./test/differential -run Random -random 20000 -seed 7 -timeout 1h
var (
	randomCount = flag.Int("random", 500, "how many random messages to compare")
	randomSeed  = flag.Uint64("seed", 1, "which ones: the same seed makes the same messages of the same corpus")
)

// TestRandomMail asks Dovecot and us about messages that nobody wrote. Of each difference it shows a small message
// that still makes it. Those that excuses knows are not shown, since differences.txt explains their kind.
func TestRandomMail(t *testing.T) {
	p := startPair(t)
	r := &random{t: t, pair: p, small: pair{dial(t, p.ours.name, p.ours.addr), dial(t, p.theirs.name, p.theirs.addr)}, corpus: corpus(t)}
	checkExcuses(t, r.corpus)
	r.small.must("CREATE small")
	r.small.must("SELECT small")
	for from := 0; from < *randomCount && r.shown < limit; from += 100 {
		r.mailbox(from, min(100, *randomCount-from))
	}
}

type random struct {
	t           *testing.T
	pair, small pair // small is for the messages that differences are shrunk to
	corpus      []testMessage
	shown       int
}

// mailbox fills a mailbox with the messages from a number on and compares them.
func (r *random) mailbox(from, n int) {
	name := fmt.Sprintf("random%d", from)
	r.pair.must("CREATE %s", name)
	var list []testMessage
	for i := range n {
		text := newMaker(*randomSeed, uint64(from+i), r.corpus).mail()
		r.octets(from+i, text)
		// Dovecot looks for no MIME without MIME-Version, takes no NUL and drops a bare CR at the end.
		text = bytes.TrimRight(bytes.ReplaceAll(crlf(text), []byte{0}, []byte("?")), "\r")
		text = append([]byte("MIME-Version: 1.0\r\n"), text...)
		list = append(list, testMessage{fmt.Sprintf("message %d of seed %d", from+i, *randomSeed), text})
	}
	r.pair.fill(r.t, name, list)
	r.pair.must("SELECT %s", name)
	for i, m := range list {
		r.fetch(i+1, m)
		s := summarize(r.t, m.text)
		maker := newMaker(*randomSeed, uint64(from+i), nil)
		questions := searchesFor(maker, s, m.text)
		maker.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
		for _, item := range append(questions[:min(len(questions), 6)], binaries(s)...) {
			r.check(m, item, one(r.pair.ours, name, i+1, item), one(r.pair.theirs, name, i+1, item))
		}
	}
	for _, by := range []string{"SUBJECT", "FROM", "TO", "CC", "DATE", "DISPLAYFROM", "DISPLAYTO"} {
		for i := range n - 1 {
			r.group(list, i, i+2, "SORT ("+by+") UTF-8")
		}
	}
	for i := 0; i+8 <= n; i += 8 {
		r.group(list, i, i+8, "THREAD REFERENCES UTF-8")
		r.group(list, i, i+8, "THREAD ORDEREDSUBJECT UTF-8")
	}
}

func summarize(t *testing.T, text []byte) *message.Summary {
	s, err := message.Summarize(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// octets gives us the message as it was made, bare line ends and NUL included, and wants it back so. No question about it
// may be refused.
func (r *random) octets(n int, text []byte) {
	if len(text) == 0 {
		return
	}
	ours := r.small.ours
	ours.must("APPEND small ~{%d+}\r\n%s", len(text), text)
	ours.must("NOOP")
	got := parseFetched(ours.must("FETCH * (BINARY.PEEK[] RFC822.SIZE PREVIEW ENVELOPE BODY BODYSTRUCTURE %s)", strings.Join(sections(summarize(r.t, text)), " ")))[0].items
	if got["BINARY[]"] != strconv.Quote(string(text)) || got["RFC822.SIZE"] != strconv.Itoa(len(text)) {
		r.t.Errorf("message %d of seed %d: %s octets are not what was appended: %q", n, *randomSeed, got["RFC822.SIZE"], text)
	}
	if preview, err := strconv.Unquote(got["PREVIEW"]); err != nil || !utf8.ValidString(preview) || utf8.RuneCountInString(preview) > 200 {
		r.t.Errorf("message %d of seed %d: PREVIEW %s", n, *randomSeed, got["PREVIEW"])
	}
}

// fetch compares all that is fetched of message n, and of ours BODY[] with what was appended.
func (r *random) fetch(n int, m testMessage) {
	items := append(sections(summarize(r.t, m.text)), "ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
		"BODY.PEEK[HEADER.FIELDS (SUBJECT FROM CONTENT-TYPE)]", "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT FROM CONTENT-TYPE)]")
	a, b := r.pair.fetch(strconv.Itoa(n), "("+strings.Join(items, " ")+")")
	if len(a) != 1 || len(b) != 1 {
		r.t.Fatalf("%s: %d and %d responses", m.name, len(a), len(b))
	}
	if a[0].items["BODY[]"] != strconv.Quote(string(m.text)) {
		r.t.Errorf("%s: BODY[] is %s, appended was %q", m.name, a[0].items["BODY[]"], m.text)
	}
	for _, k := range keys(a[0].items, b[0].items) {
		item := strings.Replace(k, "BODY[", "BODY.PEEK[", 1)
		if !r.check(m, item, a[0].items[k], b[0].items[k]) && k == "BODYSTRUCTURE" {
			return // parts that are others have other sections
		}
	}
}

// sections are the sections of all parts of a message, and one of none.
func sections(s *message.Summary) []string {
	items := []string{"BODY.PEEK[]", "BODY.PEEK[9.9]"}
	walk(s.Structure, "", func(p *message.Part, path string) {
		if len(items) > 150 {
			return
		}
		items = append(items, "BODY.PEEK["+path+"]", "BODY.PEEK["+path+".MIME]")
		if p.IsMessage() {
			for _, s := range []string{"HEADER", "TEXT", "HEADER.FIELDS (SUBJECT)", "HEADER.FIELDS.NOT (SUBJECT)"} {
				items = append(items, "BODY.PEEK["+path+"."+s+"]")
			}
		}
	})
	return items
}

// binaries are fetched one by one, since Dovecot hangs up on some.
func binaries(s *message.Summary) []string {
	var items []string
	walk(s.Structure, "", func(p *message.Part, path string) {
		if len(p.Parts) == 0 && len(items) < 20 {
			items = append(items, "BINARY.PEEK["+path+"]", "BINARY.SIZE["+path+"]")
		}
	})
	return items
}

// walk goes through the parts of a message that have a number (RFC 9051 6.4.5.1), above which is that of the message.
func walk(p *message.Part, above string, f func(p *message.Part, path string)) {
	if above != "" {
		above += "."
	}
	parts := p.Parts
	if !p.IsMultipart() {
		parts = []message.Part{*p}
	}
	for i := range parts {
		child, path := &parts[i], above+strconv.Itoa(i+1)
		f(child, path)
		switch {
		case child.IsMultipart():
			walk(child, path, f)
		case child.IsMessage() && len(child.Parts) == 1:
			walk(&child.Parts[0], path, f)
		}
	}
}

// check reports a difference, unless it has an excuse.
func (r *random) check(m testMessage, item, ours, theirs string) bool {
	if _, differs := compare(asked{m.text, item, ours, theirs}); !differs {
		return true
	}
	if r.shown++; r.shown > limit {
		return false
	}
	small := r.shrink(m.text, item)
	d, _ := compare(r.ask(small, item))
	r.t.Errorf("%s | %s: shrunk to %q:\n   ours %s\ndovecot %s", m.name, d.item, small, clip(d.ours), clip(d.theirs))
	return false
}

// group compares an order of some messages.
func (r *random) group(list []testMessage, from, to int, command string) {
	var texts [][]byte
	for _, m := range list[from:to] {
		texts = append(texts, m.text)
	}
	c := fmt.Sprintf("%s %d:%d", command, from+1, to)
	m := testMessage{list[from].name, bytes.Join(texts, []byte{0})}
	r.check(m, command, relative(answer(r.pair.ours, c), from), relative(answer(r.pair.theirs, c), from))
}
