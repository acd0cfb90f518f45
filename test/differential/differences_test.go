package differential

import (
	"os"
	"path"
	"strings"
	"testing"
)

// difference is a line of testdata/differences.txt: name, item, reason.
type difference struct {
	line            int
	name, item, why string
	used            bool
}

// report gathers differences and fails the test with those that nothing explains.
type report struct {
	t         *testing.T
	explained []*difference
	count     int
}

// limit is how many differences are shown.
const limit = 60

func newReport(t *testing.T) *report {
	t.Helper()
	b, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := &report{t: t}
	for i, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, " | ", 3)
		if len(f) != 3 || f[2] == "" {
			t.Fatalf("testdata/differences.txt:%d: want: name | item | reason", i+1)
		}
		r.explained = append(r.explained, &difference{line: i + 1, name: strings.TrimSpace(f[0]), item: strings.TrimSpace(f[1]), why: f[2]})
	}
	return r
}

// compare is told what both servers answered about an item of a message, or to a command of a script.
func (r *report) compare(name, item, ours, theirs string) {
	if ours == theirs || r.explains(name, item) {
		return
	}
	if r.count++; r.count <= limit {
		r.t.Errorf("%s | %s:\n   ours %s\ndovecot %s", name, item, clip(ours), clip(theirs))
	}
}

func (r *report) explains(name, item string) bool {
	for _, d := range r.explained {
		if d.matches(name, item) {
			d.used = true
			return true
		}
	}
	return false
}

// finish says what was left out, and which explanations explain nothing any more.
func (r *report) finish() {
	if r.count > limit {
		r.t.Errorf("and %d more differences", r.count-limit)
	}
	for _, d := range r.explained {
		if !d.used {
			r.t.Errorf("testdata/differences.txt:%d explains a difference that is no more: %s | %s", d.line, d.name, d.item)
		}
	}
}

// matches: the name is a pattern of path.Match; an item that ends in "*" stands for all that begin like it.
func (d *difference) matches(name, item string) bool {
	if ok, _ := path.Match(d.name, name); !ok {
		return false
	}
	if p, ok := strings.CutSuffix(d.item, "*"); ok {
		return strings.HasPrefix(item, p)
	}
	return d.item == item
}

func clip(s string) string {
	if len(s) > 700 {
		return s[:700] + "..."
	}
	return s
}
