package imap

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDialogues plays testdata/*.imap against the engine over a real store. A line is
//
//	# a comment
//	A: a1 SELECT INBOX        session A sends a line; |text| in it is a literal
//	A+ text\r\n               session A sends octets, escapes as in Go, no line end added
//	A< * 1 EXISTS             the next response that A gets
//	A<~ a1 OK ...             a response that A gets, whatever comes before it
//	A! connect                A connects without logging in
//	A! close                  the server has closed A's connection
//	! deliver INBOX text      the MTA delivers a message
//
// A session that hasn't been seen before connects and logs in. In responses "..." stands
// for anything, and <name> for anything without a blank, the same at every place; it may
// be used in commands afterwards. Line ends of literals are written \r\n.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.imap")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".imap"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, file, string(text))
		})
	}
}

// player plays one dialogue.
type player struct {
	t     *testing.T
	h     *house
	where string
	named map[string]*client
	vars  map[string]string
}

func play(t *testing.T, file, text string) {
	p := &player{t: t, h: newHouse(t, nil), named: make(map[string]*client), vars: make(map[string]string)}
	for i, line := range strings.Split(text, "\n") {
		p.where = fmt.Sprintf("%s:%d", file, i+1)
		if line = strings.TrimRight(line, " \t\r"); line == "" || line[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "! deliver "); ok {
			mailbox, text, _ := strings.Cut(rest, " ")
			p.h.deliver(mailbox, p.unescape(text))
			continue
		}
		p.line(line)
	}
}

var dialogueLine = regexp.MustCompile(`^([A-Z])(:|\+|<~|<|!)(?: (.*))?$`)

func (p *player) line(line string) {
	m := dialogueLine.FindStringSubmatch(line)
	if m == nil {
		p.t.Fatalf("%s: not a line of a dialogue: %s", p.where, line)
	}
	name, text := m[1], m[3]
	if m[2] == "!" && text == "connect" {
		p.named[name] = p.h.dial()
		return
	}
	c := p.named[name]
	if c == nil {
		c = p.h.login()
		p.named[name] = c
	}
	switch m[2] {
	case "!":
		c.ended()
	case ":":
		c.send(p.command(text) + "\r\n")
	case "+":
		c.send(p.unescape(p.fill(text)))
	case "<":
		p.want(c, text, false)
	case "<~":
		p.want(c, text, true)
	}
}

var (
	variable = regexp.MustCompile(`<[a-z][a-z0-9]*>`)
	literal  = regexp.MustCompile(`\|([^|]*)\|`)
)

// fill puts the values in the place of <name>.
func (p *player) fill(text string) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		if value, ok := p.vars[v]; ok {
			return value
		}
		return v
	})
}

// command turns |text| into a literal.
func (p *player) command(text string) string {
	return literal.ReplaceAllStringFunc(p.fill(text), func(l string) string {
		l = p.unescape(l[1 : len(l)-1])
		return fmt.Sprintf("{%d+}\r\n%s", len(l), l)
	})
}

func (p *player) unescape(s string) string {
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		p.t.Fatalf("%s: %v", p.where, err)
	}
	return s
}

// want reads a response and compares it; with skip others may come before.
func (p *player) want(c *client, pattern string, skip bool) {
	re, names := p.compile(pattern)
	var seen []string
	for {
		got, err := c.tryRead()
		got = strings.ReplaceAll(got, "\r\n", `\r\n`)
		seen = append(seen, got)
		if m := re.FindStringSubmatch(got); err == nil && m != nil {
			for i, name := range names {
				p.vars[name] = m[i+1]
			}
			return
		}
		if err != nil || !skip {
			p.t.Fatalf("%s: got  %s\nwant %s (%v)", p.where, strings.Join(seen, "\n     "), pattern, err)
		}
	}
}

// compile turns a pattern into an expression, and names what it captures.
func (p *player) compile(pattern string) (*regexp.Regexp, []string) {
	var names []string
	quoted := regexp.QuoteMeta(p.fill(pattern))
	quoted = strings.ReplaceAll(quoted, `\.\.\.`, `.*`)
	quoted = variable.ReplaceAllStringFunc(quoted, func(v string) string {
		names = append(names, v)
		return `([^ \])]+)`
	})
	return regexp.MustCompile("^(?s:" + quoted + ")$"), names
}
