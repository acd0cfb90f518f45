package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// binary is the program, built once for all of a package's tests: linking takes seconds.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "facteur-loopback-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "facteur")
	if out, err := exec.Command("go", "build", "-tags", "sqlite_fts5", "-o", bin, "facteur/cmd/facteur").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// Main is what a package's TestMain calls: it runs the tests and removes the binary.
func Main(m *testing.M) {
	code := m.Run()
	if bin, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// Build builds the facteur binary, once.
func Build(t testing.TB) string {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// Port finds a port that is free, and so at each of the offsets from it. It lies below the ports that the
// system gives to clients: minutes may pass until it is used.
func Port(t testing.TB, offsets ...int) int {
	t.Helper()
next:
	for range 100 {
		port := 10_000 + rand.IntN(18_000)
		for _, offset := range append(offsets, 0) {
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+offset))
			if err != nil {
				continue next
			}
			ln.Close()
		}
		return port
	}
	t.Fatal("no free ports")
	return 0
}

// Shift is a value for the demo's --shift, at which all its ports are free.
func Shift(t testing.TB) int {
	t.Helper()
	const first = 2080
	return Port(t, 2110-first, 2143-first, 2465-first, 2525-first, 2587-first, 2993-first, 2995-first) - first
}

// Run starts a program, which ends with the test at the latest: asked to, or by cmd.Cancel where there is one, and
// killed if the test's own process dies.
func Run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.Cancel != nil {
			_ = cmd.Cancel()
		} else {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		_ = cmd.Wait()
	})
}
