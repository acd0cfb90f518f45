package debian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrUnavailable: this machine or user can't have a private Debian root. The text says why.
var ErrUnavailable = errors.New("no private Debian root")

// Root is the machine's root with more packages in it. Commands run in it see a
// throw-away layer on top, one for each Session.
type Root struct {
	layer string // what the packages changed: an overlay's upper folder
}

// Open installs packages into a layer that is kept in the user's cache folder, so that only the
// first call on a machine downloads anything.
func Open(ctx context.Context, packages ...string) (*Root, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it takes root", ErrUnavailable)
	}
	for _, tool := range []string{"apt-get", "unshare", "chroot"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: no %s here", ErrUnavailable, tool)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	slices.Sort(packages)
	sum := sha256.Sum256([]byte(strings.Join(packages, " ")))
	dir := filepath.Join(cache, "facteur-test", fmt.Sprintf("debian-%x", sum[:6]))
	root := &Root{layer: filepath.Join(dir, "layer")}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	done := filepath.Join(dir, "done")
	if _, err := os.Stat(done); err == nil {
		return root, nil
	}
	os.RemoveAll(root.layer) // of an installation that was broken off
	if err := probe(ctx); err != nil {
		return nil, err
	}
	if err := root.install(ctx, dir, packages); err != nil {
		return nil, err
	}
	return root, os.WriteFile(done, []byte(strings.Join(packages, "\n")+"\n"), 0o644)
}

// probe finds out whether this root may mount: in most containers it may not, or not over their own overlay.
func probe(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, "facteur-test-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if out, err := overlay(ctx, filepath.Join(dir, "layer"), filepath.Join(dir, "mount"), nil, "true").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: overlay over /: %w: %s", ErrUnavailable, err, tail(out, 500))
	}
	return nil
}

// install runs apt in the overlay, with a policy-rc.d that forbids every service start.
func (r *Root) install(ctx context.Context, dir string, packages []string) error {
	mount := filepath.Join(dir, "mount")
	script := `printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y --no-install-recommends "$@"; }
install "$@" || { apt-get update && install "$@"; }`
	cmd := overlay(ctx, r.layer, mount, nil, append([]string{"sh", "-c", script, "sh"}, packages...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: install %s: %w\n%s", ErrUnavailable, strings.Join(packages, " "), err, tail(out, 2000))
	}
	return nil
}

// Session is a throw-away copy of a Root's layer. (An overlay of two lower layers would save the
// copy, but the kernel refuses layers of which one lies inside the other.)
type Session struct {
	dir   string
	binds []string
}

// NewSession makes a session that keeps its changes below dir. Each of binds is a folder of the
// machine that is shared with it at the same path, past the overlay.
func (r *Root) NewSession(dir string, binds ...string) (*Session, error) {
	s := &Session{dir: dir, binds: binds}
	if out, err := exec.Command("cp", "-a", r.layer, s.layer()).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copy the root's layer: %w: %s", err, out)
	}
	return s, nil
}

// Resume takes up a session whose command has ended, with what it left behind.
func Resume(dir string, binds ...string) *Session { return &Session{dir: dir, binds: binds} }

func (s *Session) layer() string { return filepath.Join(s.dir, "layer") }

// Command prepares a command in the session, in a mount and PID namespace of its own: when it
// ends, or ctx does, everything that it started ends too, and Wait returns after the last. One command
// of a Session runs at a time.
//
// When our own process dies, the command ends too, unless it has become another user or is set-user-ID, since it has
// no PR_SET_PDEATHSIG any more then (prctl(2)). For such a server args is a shell that waits for it.
func (s *Session) Command(ctx context.Context, args ...string) *exec.Cmd {
	return overlay(ctx, s.layer(), filepath.Join(s.dir, "mount"), s.binds, args...)
}

// Write puts a file into the session's layer.
func (s *Session) Write(path, text string, mode os.FileMode) error {
	full := filepath.Join(s.layer(), path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(full, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(full, mode)
}

// overlay runs args chrooted into an overlay of upper over the machine's root.
func overlay(ctx context.Context, upper, mount string, binds []string, args ...string) *exec.Cmd {
	script := `set -e
upper=$1 mount=$2; shift 2
mkdir -p "$upper" "$upper.work" "$mount"
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper,workdir=$upper.work" "$mount"
mount --rbind /dev "$mount/dev"
mount -t proc proc "$mount/proc"
while [ "$1" != -- ]; do mkdir -p "$mount$1"; mount --bind "$1" "$mount$1"; shift; done; shift
exec chroot "$mount" "$@"`
	argv := []string{"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
		"sh", "-c", script, "sh", upper, mount}
	argv = append(append(append(argv, binds...), "--"), args...)
	cmd := exec.CommandContext(ctx, "unshare", argv...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return end(cmd.Process) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// end kills a namespace's first process. The kernel then kills all others, daemons with sessions of their own too, and
// unshare ends when they are gone. (Killed itself, unshare would wait for nobody.)
func end(unshare *os.Process) error {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", unshare.Pid))
	if err != nil {
		return unshare.Kill()
	}
	for _, word := range strings.Fields(string(list)) {
		if pid, err := strconv.Atoi(word); err == nil {
			return syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return unshare.Kill() // it has not started anything yet
}

// lock makes the folder and holds it against other test processes.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
