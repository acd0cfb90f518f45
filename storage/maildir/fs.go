package maildir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// FS is what is done to an account's folder. Names are relative to it, with "/"
// between them. The one real FS is OpenFS; tests wrap it to break off after a step.
type FS interface {
	Create(name string) (File, error) // must not exist
	Open(name string) (*os.File, error)
	Rename(from, to string) error
	Link(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	Mkdir(name string) error
	ReadDir(name string) ([]string, error) // names, in no order
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error) // of a symbolic link itself
	SyncDir(name string) error
	// Hold keeps folders open for many calls in a row on names in them, until release.
	Hold(dirs ...string) (release func())
	Close() error
}

// File is a file being written.
type File interface {
	io.Writer
	io.ReaderAt
	SetTime(time.Time) error // the time of its last change, which is INTERNALDATE
	Sync() error
	Close() error
}

// OpenFS opens a folder. Nothing outside can be reached through it, whatever the names
// and symbolic links.
func OpenFS(dir string) (FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	d, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	return &rootFS{root: root, dir: d}, nil
}

type rootFS struct {
	root *os.Root
	dir  *os.File // the same folder
	held held
}

// open opens a file in one system call, where os.Root takes seven: the kernel itself sees to it
// that the name stays below the folder (openat2, Linux 5.6). What fails is left to
// os.Root: that knows what to do on an older kernel, and has the better error.
func (r *rootFS) open(name string, flags int) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	if flags&os.O_CREATE != 0 {
		how.Mode = 0o600
	}
	fd, err := unix.Openat2(int(r.dir.Fd()), name, &how)
	if err != nil {
		return r.root.OpenFile(name, flags, 0o600)
	}
	return os.NewFile(uintptr(fd), path.Join(r.root.Name(), name)), nil
}

func (r *rootFS) Create(name string) (File, error) {
	f, err := r.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (r *rootFS) Open(name string) (*os.File, error) { return r.open(name, os.O_RDONLY) }
func (r *rootFS) RemoveAll(name string) error        { return r.root.RemoveAll(name) }
func (r *rootFS) Mkdir(name string) error            { return r.root.Mkdir(name, 0o700) }
func (r *rootFS) Stat(name string) (fs.FileInfo, error) {
	return r.root.Stat(name)
}
func (r *rootFS) Lstat(name string) (fs.FileInfo, error) { return r.root.Lstat(name) }

func (r *rootFS) ReadDir(name string) ([]string, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (r *rootFS) Close() error { return errors.Join(r.dir.Close(), r.root.Close()) }

type osFile struct{ *os.File }

func (f osFile) SetTime(t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	err = unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOENT) { // before Linux 5.8
		err = os.Chtimes(f.Name(), t, t)
	}
	return err
}

// IsMessageName reports whether a file in new or cur is a message: hidden files are
// not.
func IsMessageName(name string) bool { return name != "" && !strings.HasPrefix(name, ".") }
