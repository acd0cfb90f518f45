package admin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock is the right to open a data folder. The kernel lets go of it when the
// process ends, however it ends.
type Lock struct{ f *os.File }

// ErrLocked is wrapped by the error of TakeLock when another process holds the folder.
var ErrLocked = errors.New("data folder is in use")

// TakeLock takes the folder for this process, or says who has it. what is told to
// those who come later: "facteur serve". The folder is created when missing.
func TakeLock(dir, what string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		holder, _ := io.ReadAll(io.LimitReader(f, 200))
		return nil, fmt.Errorf("%w: %s is held by %s", ErrLocked, dir, orUnknown(strings.TrimSpace(string(holder))))
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%s, process %d\n", what, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	return &Lock{f}, nil
}

func orUnknown(s string) string {
	if s == "" {
		return "another process"
	}
	return s
}

// Release gives the folder back. The file stays: removing it would let two
// processes lock two files of one name.
func (l *Lock) Release() error { return l.f.Close() }
