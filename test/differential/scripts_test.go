package differential

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testScripts plays each testdata/*.imap to both servers and compares what they answer to each command.
// A script's line is "A: command", with A and B for two sessions, or "A+ mailbox subject", which appends
// a message.
func testScripts(t *testing.T, p pair, rep *report) {
	files, err := filepath.Glob("testdata/*.imap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sessions := map[byte]pair{}
		for _, line := range strings.Split(string(script), "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			s, ok := sessions[line[0]]
			if !ok {
				s = pair{dial(t, p.ours.name, p.ours.addr), dial(t, p.theirs.name, p.theirs.addr)}
				sessions[line[0]] = s
			}
			command := strings.TrimSpace(line[2:])
			if line[1] == '+' {
				mailbox, subject, _ := strings.Cut(command, " ")
				text := "From: alice@example.org\r\nSubject: " + subject + "\r\n\r\ntext\r\n"
				command = fmt.Sprintf("APPEND %s {%d+}\r\n%s", mailbox, len(text), text)
			}
			rep.compare(filepath.Base(file), line, exchange(s.ours, command), exchange(s.theirs, command))
		}
		for _, s := range sessions {
			s.ours.c.Close()
			s.theirs.c.Close()
		}
	}
}

// exchange gives a command and returns what came back, a response a line. The order of the untagged
// ones is left out where no client can depend on it, and so are texts for people.
func exchange(r *raw, command string) string {
	untagged, tagged, err := r.do("%s", command)
	if err != nil && r.name == "dovecot" {
		*r = *dial(r.t, r.name, r.addr)
		return "hangs up"
	}
	if err != nil {
		r.t.Fatalf("%s: %s: %v", r.name, command, err)
	}
	var lines []string
	for _, line := range untagged {
		if line = comparable(line); line != "" {
			lines = append(lines, line)
		}
	}
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, " EXPUNGE") }) {
		slices.Sort(lines) // the order of EXPUNGE and EXISTS has a meaning
	}
	return strings.Join(append(lines, withoutText(tagged)), "\n        ")
}

var (
	// codes are the response codes with numbers that each server chooses for itself.
	codes = regexp.MustCompile(`\[(UIDVALIDITY|APPENDUID|COPYUID) \d+`)
	// commonCodes are those that both servers have to send. Others are hints (RFC 5530 1, RFC 8474 4).
	commonCodes = regexp.MustCompile(`^\[(UIDVALIDITY|UIDNEXT|UNSEEN|PERMANENTFLAGS|READ-|APPENDUID|COPYUID|TRYCREATE)`)
	// ownCodes are those that only one of the servers sends, for an extension that the other lacks.
	ownCodes = regexp.MustCompile(`^\* OK \[(HIGHESTMODSEQ|NOMODSEQ|MAILBOXID|CLOSED)`)
)

// comparable rewrites an untagged response; empty: nothing to compare.
func comparable(line string) string {
	switch word := strings.Fields(line)[1]; {
	case ownCodes.MatchString(line):
		return ""
	case word == "OK" || word == "NO" || word == "BAD" || word == "BYE":
		return "* " + withoutText(strings.TrimPrefix(line, "* "))
	case word == "LIST" || word == "LSUB":
		return comparableList(normalize(line))
	case word == "STATUS":
		line = normalize(line)
		open := strings.LastIndexByte(line, '(')
		return line[:open] + sortedPairs(line[open:])
	case word == "FLAGS":
		return "* FLAGS " + sortedFlags(strings.TrimPrefix(line, "* FLAGS "))
	case strings.Contains(line, " FETCH ("):
		for _, f := range parseFetched([]string{line}) {
			delete(f.items, "MODSEQ")
			return fmt.Sprintf("* %d FETCH %v", f.n, f.items)
		}
	}
	return line
}

// withoutText keeps a status response's condition and code.
func withoutText(s string) string {
	condition, rest, _ := strings.Cut(s, " ")
	if !strings.HasPrefix(rest, "[") {
		return condition
	}
	code := codes.ReplaceAllString(rest[:strings.IndexByte(rest, ']')+1], "[$1 n")
	if !commonCodes.MatchString(code) {
		return condition
	}
	if list, ok := strings.CutPrefix(code, "[PERMANENTFLAGS "); ok {
		code = "[PERMANENTFLAGS " + sortedFlags(strings.TrimSuffix(list, "]")) + "]"
	}
	return condition + " " + code
}

// comparableList: the attributes' order means nothing, and who tells of special uses is an extension's business.
func comparableList(line string) string {
	open, end := strings.IndexByte(line, '('), strings.IndexByte(line, ')')
	attributes := strings.Fields(line[open+1 : end])
	for i, a := range attributes {
		attributes[i] = strings.ToLower(a)
	}
	attributes = slices.DeleteFunc(attributes, func(a string) bool { return a == "\\unmarked" || a == "\\marked" })
	slices.Sort(attributes)
	fields := strings.SplitN(line[end+2:], " ", 2)
	return line[:open] + "(" + strings.Join(attributes, " ") + ") " + fields[0] + " " + strings.Trim(fields[1], `"`)
}

// sortedPairs sorts "(NAME value NAME value)".
func sortedPairs(list string) string {
	words := strings.Fields(strings.Trim(list, "()"))
	var pairs []string
	for i := 0; i+1 < len(words); i += 2 {
		if words[i] == "UIDVALIDITY" || words[i] == "HIGHESTMODSEQ" {
			words[i+1] = "n"
		}
		pairs = append(pairs, words[i]+" "+words[i+1])
	}
	slices.Sort(pairs)
	return "(" + strings.Join(pairs, " ") + ")"
}
