package differential

import (
	"slices"
	"strings"
	"testing"
)

// testPipelining sends commands in one piece, as phones do also behind DONE, and compares what
// comes back. The order of the answers is each server's own: Dovecot holds some tagged lines back.
func testPipelining(t *testing.T, p pair, rep *report) {
	p = pair{dial(t, p.ours.name, p.ours.addr), dial(t, p.theirs.name, p.theirs.addr)}
	for name, text := range map[string]string{
		"idle":      "p1 SELECT talks\r\np2 IDLE\r\nDONE\r\np3 NOOP\r\np4 FETCH 1 UID\r\np5 IDLE\r\nDONE\r\nlast SEARCH SUBJECT apples\r\n",
		"literals":  "p1 SELECT talks\r\np2 SEARCH SUBJECT {6+}\r\napples FROM {3+}\r\nbob\r\np3 STATUS {5+}\r\nINBOX (MESSAGES)\r\nlast NOOP\r\n",
		"ambiguous": "p1 SELECT talks\r\np2 STORE 1 +FLAGS.SILENT (\\Deleted)\r\np3 FETCH 1:2 FLAGS\r\np4 STORE 1 -FLAGS.SILENT (\\Deleted)\r\np5 SEARCH DELETED\r\np6 CLOSE\r\nlast NOOP\r\n",
		"errors":    "p1 NOSUCH\r\np2 FETCH\r\np3 SELECT nowhere\r\np4 EXAMINE talks\r\np5 FETCH 1:900 FLAGS\r\np6 FETCH 1 (NONSENSE)\r\np7 SEARCH (\r\nlast UNSELECT\r\n",
		"append":    "p1 APPEND nowhere {3+}\r\nabc\r\np2 NOOP\r\np3 APPEND \"nowhere\" (\\Seen) {4+}\r\nabcd\r\nlast NOOP\r\n",
	} {
		rep.compare("pipeline", name, p.ours.burst(text), p.theirs.burst(text))
	}
}

// burst writes text at once and reads up to the answer of the command tagged "last".
func (r *raw) burst(text string) string {
	if _, err := r.c.Write([]byte(text)); err != nil {
		r.t.Fatalf("%s: %v", r.name, err)
	}
	var lines []string
	for {
		line, err := r.response()
		if err != nil {
			r.t.Fatalf("%s: after %q: %v", r.name, lines, err)
		}
		switch {
		case strings.HasPrefix(line, "* "):
			if line = comparable(line); line == "" {
				continue
			}
		case strings.HasPrefix(line, "+"):
			line = "+"
		default:
			tag, rest, _ := strings.Cut(line, " ")
			line = tag + " " + withoutText(rest)
		}
		lines = append(lines, line)
		if strings.HasPrefix(line, "last ") {
			slices.Sort(lines)
			return strings.Join(lines, "\n        ")
		}
	}
}
