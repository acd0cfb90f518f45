package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"facteur/test/debian"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL", err)
		os.Exit(1)
	}
	fmt.Println("PASS")
}

func run(ctx context.Context, args []string) error {
	plays := map[string]func(context.Context, *stage) error{"thunderbird": thunderbird, "roundcube": roundcube}
	if len(args) != 1 || plays[args[0]] == nil {
		return fmt.Errorf("usage: go run ./test/gui thunderbird|roundcube")
	}
	dir, err := os.MkdirTemp("", "facteur-"+args[0]+"-")
	if err != nil {
		return err
	}
	s := &stage{dir: dir}
	fmt.Println("pictures and logs are in", dir)
	if err := os.Mkdir(s.path("shared"), 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(s.path("root"))
	if s.demo, err = startDemo(ctx, dir); err != nil {
		return err
	}
	defer s.demo.stop()
	return plays[args[0]](ctx, s)
}

// stage is a run's folder and the server in it.
type stage struct {
	dir  string
	demo *demo
}

func (s *stage) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// session starts a command in a private root with the packages; the folder "shared" is seen by both
// sides. The command ends with stop.
func (s *stage) session(ctx context.Context, packages []string, env []string, args ...string) (stop func(), err error) {
	root, err := debian.Open(ctx, packages...)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.path("root"), 0o755); err != nil {
		return nil, err
	}
	session, err := root.NewSession(s.path("root"), s.path("shared"))
	if err != nil {
		return nil, err
	}
	log, err := os.Create(s.path("program.log"))
	if err != nil {
		return nil, err
	}
	cmd := session.Command(ctx, args...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + s.path("shared")}, env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Kill() // and with it all that it started
		_ = cmd.Wait()
		log.Close()
	}, nil
}

// end asks a process to stop and waits until it has.
func end(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait() // how a program ends that is told to is not looked at
}

// step is one thing that the user does, and what must have come of it.
type step struct {
	what string
	do   func(context.Context) error
}

// play does steps one after the other, with a picture after each.
func play(ctx context.Context, steps []step, picture func(name string) error) error {
	for i, st := range steps {
		start := time.Now()
		err := st.do(ctx)
		if shot := picture(fmt.Sprintf("%02d", i+1)); err == nil {
			err = shot
		}
		if err != nil {
			return fmt.Errorf("%02d %s: %w", i+1, st.what, err)
		}
		fmt.Printf("ok   %02d %s (%.1fs)\n", i+1, st.what, time.Since(start).Seconds())
	}
	return nil
}

// wait asks until the answer is yes, for a minute.
func wait(ctx context.Context, what string, yes func() (bool, error)) error {
	deadline := time.Now().Add(time.Minute)
	for {
		ok, err := yes()
		if ok {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("waited in vain for %s (last error: %v)", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

var complaint = regexp.MustCompile(`(?m)^.*( [*\w]+ BAD |level=ERROR).*$`)

// noComplaints looks for BAD answers in the log that a program kept of its dialogues, and for errors in Facteur's own.
func (s *stage) noComplaints(log string) error {
	for _, log := range []string{log, s.path("facteur.log")} {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if bad := complaint.Find(text); bad != nil {
			return fmt.Errorf("%s: %s", log, bad)
		}
	}
	return nil
}
