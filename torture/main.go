package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

type options struct {
	facteur string
	dir     string
	seed    uint64
	quick   bool
}

// scenario is one way to break a server.
type scenario struct {
	name string
	what string
	run  func(ctx context.Context, t *trial) error
}

var scenarios = []scenario{
	{"kill", "kill -9 under mixed load, restart, compare", killRounds},
	{"power", "the power of the disk cut under mixed load: what was not synced is lost, databases too", powerCuts},
	{"twice", "two servers on one data folder", twoServers},
	{"damage", "databases missing, damaged, cut short, from the future", damagedDatabases},
	{"mend", "files removed, cut off and added by others: found by verify, mended by rebuild", mend},
	{"full", "a disk that is full to the last octet", fullDisk},
	{"readonly", "a disk on which ext4 finds an error and turns it read-only", readOnlyDisk},
	{"crowd", "thousands of connections, slow clients, and one that wants service", crowd},
	{"soak", "a day of mixed traffic in minutes: memory, goroutines and files stay flat", soak},
}

func main() {
	var opt options
	only := flag.String("only", ".", "run the scenarios whose name matches this `regexp`")
	flag.StringVar(&opt.facteur, "facteur", "./facteur", "the facteur `binary`")
	flag.StringVar(&opt.dir, "dir", "", "`folder` for all data (default: a new one, removed after success)")
	flag.Uint64Var(&opt.seed, "seed", 0, "repeat the run with this `seed`")
	flag.BoolVar(&opt.quick, "quick", false, "fewer rounds")
	flag.Parse()
	if err := run(opt, *only); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(opt options, only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	for _, path := range []*string{&opt.facteur, &opt.dir} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if opt.seed == 0 {
		opt.seed = uint64(time.Now().UnixNano())
	}
	made := opt.dir == ""
	if made {
		if opt.dir, err = os.MkdirTemp("", "facteur-torture-"); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("seed %d, data in %s\n", opt.seed, opt.dir)
	ran, skipped, failed, start := 0, 0, 0, time.Now()
	for _, s := range scenarios {
		if !match.MatchString(s.name) {
			continue
		}
		ran++
		begin := time.Now()
		err := trialOf(ctx, opt, s)
		if errors.Is(err, errSkip) {
			skipped++
			fmt.Printf("skip  %-9s %s: %v\n", s.name, s.what, err)
		} else if err != nil {
			failed++
			fmt.Printf("FAIL  %-9s %s: %v\n", s.name, s.what, err)
		} else {
			fmt.Printf("ok    %-9s %s (%.0f s)\n", s.name, s.what, time.Since(begin).Seconds())
		}
	}
	fmt.Printf("%d scenarios in %v: %d ok, %d skipped, %d failed; seed %d\n",
		ran, time.Since(start).Round(time.Second), ran-skipped-failed, skipped, failed, opt.seed)
	if failed > 0 {
		return fmt.Errorf("%d scenarios failed; repeat with -seed %d; data kept in %s", failed, opt.seed, opt.dir)
	}
	if made {
		return os.RemoveAll(opt.dir)
	}
	return nil
}

// trialOf runs one scenario on data of its own.
func trialOf(ctx context.Context, opt options, s scenario) error {
	dir := filepath.Join(opt.dir, s.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	at, err := freeSite()
	if err != nil {
		return err
	}
	t := &trial{site: at, opt: opt, dir: filepath.Join(dir, "data"), rnd: rand.New(rand.NewPCG(opt.seed, 0)), log: filepath.Join(dir, "log")}
	defer t.kill()
	return s.run(ctx, t)
}
