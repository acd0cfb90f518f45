package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name string
		m    metric
		med  []float64
		want string
	}{
		{"more is better", metric{want: 8}, []float64{900, 100}, "9.00 | 8: met"},
		{"less is better", metric{less: true, want: 5}, []float64{10, 20}, "2.00 | 5: missed"},
		{"a limit of ours", metric{unit: "ms", less: true, limit: 0.8}, []float64{0.9, 4.5}, "5.00 | 0.8 ms: missed"},
		{"a limit to reach", metric{unit: "per s", limit: 1000}, []float64{1200, 0}, "- | 1000 per s: met"},
		{"no target", metric{}, []float64{3, 2}, "1.50 | "},
	} {
		if got := verdict(c.m, c.med, true); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{9, 1, 2}); got != 2 {
		t.Errorf("of three: %v", got)
	}
	if got := median([]float64{4, 1, 2, 9}); got != 3 {
		t.Errorf("of four: %v", got)
	}
}

// A run that measures some groups, or is ended early, leaves the text and the other groups' figures.
func TestReportKeepsWhatItDidNotMeasure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	old := "# Speed\n\ntext\n\n" + mark + "\n- Machine: old\n\n### limits\n\nold limits\n\n### million\n\nold million\n\n### gone\n\nold gone\n"
	if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := newReport(t.Context(), options{runs: 3, only: regexp.MustCompile("."), dir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.fail("limits", "facteur", errors.New("no disk"))
	r.fail("append", "facteur", errors.New("no answer"))
	for range 2 { // written after each group
		if err := r.write(path); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	if !strings.HasPrefix(got, "# Speed\n\ntext\n\n"+mark) {
		t.Errorf("the text changed: %s", got)
	}
	for _, want := range []string{"no disk", "no answer", "old million"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is there %d times", want, strings.Count(got, want))
		}
	}
	for _, not := range []string{"old limits", "old gone", "Machine: old"} {
		if strings.Contains(got, not) {
			t.Errorf("%q is still there", not)
		}
	}
}
