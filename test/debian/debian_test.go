package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSessionLeavesTheMachineAlone runs a package's program in a private root, which writes into
// its own layer and into a shared folder.
func TestSessionLeavesTheMachineAlone(t *testing.T) {
	root, err := Open(t.Context(), "hostname")
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	shared := t.TempDir()
	s, err := root.NewSession(t.TempDir(), shared)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write("/etc/facteur-test", "from the layer\n", 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := s.Command(t.Context(), "sh", "-c", "cat /etc/facteur-test; touch /facteur-mark; touch "+shared+"/mark").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "from the layer") {
		t.Fatalf("command in the root: %v: %s", err, out)
	}
	if _, err := os.Stat("/facteur-mark"); err == nil {
		t.Error("the command changed the machine's own root")
	}
	if _, err := os.Stat(filepath.Join(shared, "mark")); err != nil {
		t.Errorf("the shared folder: %v", err)
	}
}

// TestNothingOutlivesACommand: a daemon that has left the command's session and become another user ends with it,
// whether the command is told to end or its parent dies.
func TestNothingOutlivesACommand(t *testing.T) {
	root, err := Open(t.Context(), "hostname")
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"told to end", "parent dies"} {
		t.Run(how, func(t *testing.T) {
			s, err := root.NewSession(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			daemon := fmt.Sprintf("sleep 1000.%d", os.Getpid())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cmd := s.Command(ctx, "sh", "-c", "setsid setpriv --reuid 8 --clear-groups "+daemon+" & wait")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(20 * time.Second)
			wait := func(want bool) {
				t.Helper()
				for running(t, daemon) != want {
					if time.Now().After(deadline) {
						t.Fatalf("the daemon runs: %t", !want)
					}
					time.Sleep(5 * time.Millisecond)
				}
			}
			wait(true)
			if how == "told to end" {
				cancel()
			} else if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			if err := cmd.Wait(); err == nil {
				t.Error("the command ended by itself")
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("Wait took %v", took) // until WaitDelay
			}
			if how == "told to end" && running(t, daemon) {
				t.Error("Wait returned in front of the daemon's end")
			}
			wait(false)
		})
	}
}

// running reports whether a process has this command line.
func running(t *testing.T, command string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " ") == command {
			return true
		}
	}
	return false
}
