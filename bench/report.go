package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// metric is one figure of one run.
type metric struct {
	name  string
	unit  string
	value float64
	less  bool    // less is better
	want  float64 // the ratio Facteur is to reach, 0: none; for unit figures see limit
	limit float64 // the value that Facteur must not go beyond, 0: none
}

// report collects the metrics of all runs and prints medians.
type report struct {
	opt     options
	servers []server
	groups  []string
	order   map[string][]string // group -> metric names in order of appearance
	shape   map[string]metric   // group/name -> its unit and targets
	values  map[string][]float64
	faults  map[string][]string
	about   string // the machine and the versions, as a list
}

func newReport(ctx context.Context, opt options, servers []server) (*report, error) {
	dir := filepath.Join(opt.dir, "version")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	about := fmt.Sprintf("- Machine: %s\n", machine())
	for _, s := range servers {
		about += fmt.Sprintf("- %s: %s\n", s.name(), s.version(ctx, dir))
	}
	about += fmt.Sprintf("- Load tool: %s, on the same machine\n", runtime.Version())
	return &report{opt: opt, servers: servers, order: map[string][]string{}, shape: map[string]metric{},
		values: map[string][]float64{}, faults: map[string][]string{}, about: about}, nil
}

func (r *report) add(group, server string, m metric) {
	if !slices.Contains(r.groups, group) {
		r.groups = append(r.groups, group)
	}
	if !slices.Contains(r.order[group], m.name) {
		r.order[group] = append(r.order[group], m.name)
	}
	r.shape[group+"/"+m.name] = m
	key := group + "/" + m.name + "/" + server
	r.values[key] = append(r.values[key], m.value)
}

func (r *report) fail(group, server string, err error) {
	if !slices.Contains(r.groups, group) {
		r.groups = append(r.groups, group)
	}
	r.faults[group] = append(r.faults[group], server+": "+err.Error())
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

// print writes one group's table in Markdown.
func (r *report) print(w io.Writer, group string) {
	fmt.Fprintf(w, "\n### %s\n\n%s, %s, `%s`\n\n| workload | unit |", group, time.Now().Format("2006-01-02"), r.runs(group), r.command())
	for _, s := range r.servers {
		fmt.Fprintf(w, " %s |", s.name())
	}
	fmt.Fprintf(w, " ratio | target |\n|---|---|%s---|---|\n", strings.Repeat("---:|", len(r.servers)))
	for _, name := range r.order[group] {
		m := r.shape[group+"/"+name]
		fmt.Fprintf(w, "| %s | %s |", name, m.unit)
		var med []float64
		for _, s := range r.servers {
			v := r.values[group+"/"+name+"/"+s.name()]
			if len(v) == 0 {
				fmt.Fprint(w, " - |")
				med = append(med, 0)
				continue
			}
			med = append(med, median(v))
			fmt.Fprintf(w, " %s |", figure(median(v)))
		}
		fmt.Fprintf(w, " %s |\n", verdict(m, med, len(r.values[group+"/"+name+"/"+r.servers[0].name()]) > 0))
	}
	for _, f := range r.faults[group] {
		fmt.Fprintf(w, "\nfailed: %s\n", f)
	}
}

// runs says of how many runs a group's figures are.
func (r *report) runs(group string) string {
	n := 0
	for key, v := range r.values {
		if strings.HasPrefix(key, group+"/") {
			n = max(n, len(v))
		}
	}
	if n == 1 {
		return "one run"
	}
	return fmt.Sprintf("medians of %d alternating runs", n)
}

// verdict gives the ratio, above 1 where Facteur is better, and how it stands to the target.
func verdict(m metric, med []float64, measured bool) string {
	ratio := 0.0
	if len(med) > 1 && med[0] > 0 && med[1] > 0 {
		ratio = med[0] / med[1]
		if m.less {
			ratio = 1 / ratio
		}
	}
	shown := "-"
	if ratio > 0 {
		shown = fmt.Sprintf("%.2f", ratio)
	}
	met := func(ok bool) string {
		if ok {
			return "met"
		}
		return "missed"
	}
	switch {
	case m.want > 0 && ratio > 0:
		return fmt.Sprintf("%s | %g: %s", shown, m.want, met(ratio >= m.want))
	case m.limit > 0 && measured:
		ok := med[0] >= m.limit
		if m.less {
			ok = med[0] <= m.limit
		}
		return fmt.Sprintf("%s | %g %s: %s", shown, m.limit, m.unit, met(ok))
	}
	return shown + " | "
}

func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// mark parts the text of a report file, which is a person's and stays, from the figures.
const mark = "<!-- figures: written by make bench, do not edit below -->\n"

// write puts the groups measured so far into the report file, and leaves what is there of other groups.
func (r *report) write(path string) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	text, figures, _ := strings.Cut(string(old), mark)
	before := sections(figures)
	var b strings.Builder
	b.WriteString(text + mark + "\n" + r.about)
	all := r.opt
	all.quick, all.million = false, true
	for _, g := range groups(all) {
		if slices.Contains(r.groups, g.name) {
			r.print(&b, g.name)
		} else if s := before[g.name]; s != "" {
			b.WriteString("\n" + s)
		}
	}
	// Written beside and renamed, so that a run that is ended here loses nothing.
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// sections finds the groups' tables in the figures of a report file.
func sections(figures string) map[string]string {
	found := map[string]string{}
	for i, s := range strings.Split(figures, "\n### ") {
		name, _, _ := strings.Cut(s, "\n")
		if i > 0 {
			found[name] = "### " + strings.TrimRight(s, "\n") + "\n"
		}
	}
	return found
}

// command is how this run was started, without what is only of its machine: folders, and which binary.
func (r *report) command() string {
	var args []string
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "facteur", "dir", "keep", "out":
		case "quick", "million":
			args = append(args, "-"+f.Name)
		default:
			args = append(args, "-"+f.Name, f.Value.String())
		}
	})
	switch list := strings.Join(args, " "); list {
	case "-quick":
		return "make bench-quick"
	case "":
		return "make bench"
	case "-million -only ^million$":
		return "make bench-million"
	default:
		return "go run ./bench " + list
	}
}

func machine() string {
	cpu := "unknown processor"
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "model name"); ok {
			cpu = strings.Trim(rest, " \t:\n")
			break
		}
	}
	kernel, _ := exec.Command("uname", "-sr").Output()
	fs := "unknown file system"
	df, _ := exec.Command("df", "--output=fstype", ".").Output()
	if f := strings.Fields(string(df)); len(f) == 2 { // a heading, and what we ask for
		fs = f[1]
	}
	return fmt.Sprintf("%d cores of %s, %s, %s", runtime.NumCPU(), cpu, strings.TrimSpace(string(kernel)), fs)
}
