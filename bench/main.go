package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

type options struct {
	facteur string // the binary to measure
	dir     string
	runs    int
	quick   bool
	only    *regexp.Regexp
	servers *regexp.Regexp
	out     string
	keep    bool
	million bool
}

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start() error {
	var opt options
	only := flag.String("only", ".", "run the groups whose name matches this `regexp`")
	which := flag.String("servers", ".", "measure the servers whose name matches this `regexp`")
	flag.StringVar(&opt.facteur, "facteur", "./facteur", "the facteur `binary` to measure")
	flag.StringVar(&opt.dir, "dir", "", "`folder` for all data (default: a new one under the current folder's file system)")
	flag.IntVar(&opt.runs, "runs", 3, "alternating `runs` of each group")
	flag.BoolVar(&opt.quick, "quick", false, "smaller numbers, one run, under five minutes")
	flag.StringVar(&opt.out, "out", "", "write the figures into this Markdown `file`, after each group")
	flag.BoolVar(&opt.keep, "keep", false, "keep the data folder")
	flag.BoolVar(&opt.million, "million", false, "measure a mailbox of a million messages, too")
	flag.Parse()
	var err error
	if opt.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if opt.servers, err = regexp.Compile(*which); err != nil {
		return err
	}
	if opt.quick && opt.runs == 3 {
		opt.runs = 1
	}
	if opt.dir == "" {
		if opt.dir, err = os.MkdirTemp(".", "bench-data-"); err != nil {
			return err
		}
		if err := os.Chmod(opt.dir, 0o755); err != nil { // Postfix's and Dovecot's users have to get in
			return err
		}
		if !opt.keep {
			defer os.RemoveAll(opt.dir)
		}
	}
	if opt.dir, err = filepath.Abs(opt.dir); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, opt)
}

// run measures every chosen group: run by run, and in each run one server after the other. A workload that fails
// doesn't end it, but is an error at the end.
func run(ctx context.Context, opt options) error {
	raiseFileLimit()
	servers, err := servers(ctx, opt)
	if err != nil {
		return err
	}
	report, err := newReport(ctx, opt, servers)
	if err != nil {
		return err
	}
	failed := 0
	for _, g := range groups(opt) {
		if !opt.only.MatchString(g.name) {
			continue
		}
		for i := range opt.runs {
			if g.once && i > 0 {
				break
			}
			for _, s := range servers {
				if !opt.servers.MatchString(s.name()) || g.ours && s.name() != "facteur" {
					continue
				}
				start := time.Now()
				err := measure(ctx, opt, g, s, i, report)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				status := "ok"
				if err != nil {
					failed++
					status = err.Error()
					report.fail(g.name, s.name(), err)
				}
				fmt.Printf("# %-12s run %d  %-16s %6.1f s  %s\n", g.name, i+1, s.name(), time.Since(start).Seconds(), status)
			}
		}
		report.print(os.Stdout, g.name)
		if opt.out != "" {
			if err := report.write(opt.out); err != nil {
				return err
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d workloads failed, as said above", failed)
	}
	return nil
}

// measure starts a server on fresh data and runs one group against it.
func measure(ctx context.Context, opt options, g group, s server, i int, report *report) error {
	dir := filepath.Join(opt.dir, fmt.Sprintf("%s-%d-%s", g.name, i+1, s.name()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.limit())
	defer cancel()
	e := &env{opt: opt, dir: dir, server: s, flags: g.flags}
	e.record = func(m metric) { report.add(g.name, s.name(), m) }
	if err := e.start(ctx); err != nil {
		return err
	}
	defer e.stop()
	return g.run(ctx, e)
}

func raiseFileLimit() {
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) == nil {
		lim.Cur = lim.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim) // a low limit shows up as a failed workload
	}
}
