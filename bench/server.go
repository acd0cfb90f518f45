package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"facteur/test/debian"
)

// server is one of the mail servers that are compared.
type server interface {
	name() string
	// version may leave files in dir.
	version(ctx context.Context, dir string) string
	// command prepares the server on data in dir; flags are those of the group.
	command(ctx context.Context, dir string, f flags) (*exec.Cmd, error)
	addresses() addresses
}

// addresses are where a started server listens.
type addresses struct {
	mx, submission, imap, imaps string
}

// flags are what a group wants of the server's set-up.
type flags struct {
	sink string // where mail for sink.test goes: host:port
	dns  string // name server to ask, with sender authentication on
}

const (
	user     = "bob@demo.test"
	password = "facteur"
)

func servers(ctx context.Context, opt options) ([]server, error) {
	bin, err := filepath.Abs(opt.facteur)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(bin); err != nil {
		return nil, fmt.Errorf("%w; build it first with: make build", err)
	}
	list := []server{&facteur{bin: bin}}
	root, err := debian.Open(ctx, "postfix", "dovecot-imapd", "dovecot-lmtpd", "strace")
	if errors.Is(err, debian.ErrUnavailable) {
		fmt.Println("# Facteur alone:", err)
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	return append(list, &postfixDovecot{root: root}), nil
}

// env is one started server and what a workload needs of it.
type env struct {
	opt    options
	dir    string
	server server
	flags  flags
	record func(metric)

	cmd   *exec.Cmd
	log   *os.File
	ready time.Duration // from start to the first answer of MX and IMAP
	disks int           // measurements of the disk so far
	peak  int64         // the most memory that usage has seen
}

// start starts the server and waits until MX and IMAP greet.
func (e *env) start(ctx context.Context) error {
	cmd, err := e.server.command(ctx, e.dir, e.flags)
	if err != nil {
		return err
	}
	if e.log, err = os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = e.log, e.log
	a := e.server.addresses()
	for _, addr := range []string{a.mx, a.submission, a.imap, a.imaps} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return fmt.Errorf("something else listens on %s already; end it first", addr)
		}
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	e.cmd = cmd
	for _, addr := range []string{a.mx, a.imap} {
		if err := waitGreeting(ctx, addr); err != nil {
			e.stop()
			return fmt.Errorf("%s did not start: %w; see %s", e.server.name(), err, e.log.Name())
		}
	}
	e.ready = time.Since(begin)
	return nil
}

// stop ends the server and waits for it.
func (e *env) stop() {
	if e.cmd == nil {
		return
	}
	for _, pid := range tree(e.cmd.Process.Pid, 1) { // unshare, under which Postfix and Dovecot run, ignores it; its child does not
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	done := make(chan struct{})
	go func() { _ = e.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = e.cmd.Process.Kill()
		<-done
	}
	e.log.Close()
	e.cmd = nil
}

// restart stops and starts the server on the same data: nothing of it is left in memory.
func (e *env) restart(ctx context.Context) error {
	e.stop()
	return e.start(ctx)
}

func waitGreeting(ctx context.Context, addr string) error {
	deadline := time.Now().Add(90 * time.Second)
	for {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			var b [1]byte
			_, err = c.Read(b[:])
			c.Close()
			if err == nil {
				return nil
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// usage is what a server's processes have used so far.
type usage struct {
	cpu time.Duration
	pss int64 // octets now
	n   int   // processes
}

// usage adds up the server's whole process tree. CPU of children that have ended counts
// once their parent has waited for them, as all of these servers do.
func (e *env) usage() usage {
	children := map[int][]int{}
	stat := map[int]time.Duration{}
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range dirs {
		pid, ppid, cpu, ok := readStat(path)
		if ok {
			children[ppid] = append(children[ppid], pid)
			stat[pid] = cpu
		}
	}
	var u usage
	var walk func(pid int)
	walk = func(pid int) {
		u.cpu += stat[pid]
		u.pss += pss(pid)
		u.n++
		for _, c := range children[pid] {
			walk(c)
		}
	}
	walk(e.cmd.Process.Pid)
	e.peak = max(e.peak, u.pss)
	return u
}

// ownCPU is what this tool's process has used so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for no reason that could happen here
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func readStat(path string) (pid, ppid int, cpu time.Duration, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return
	}
	s := string(b)
	pid, _ = strconv.Atoi(s[:strings.IndexByte(s, ' ')])
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 15 {
		return
	}
	ppid, _ = strconv.Atoi(f[1])
	for _, ticks := range f[11:15] { // utime stime cutime cstime, in 1/100 s
		n, _ := strconv.ParseInt(ticks, 10, 64)
		cpu += time.Duration(n) * 10 * time.Millisecond
	}
	return pid, ppid, cpu, true
}

func pss(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
