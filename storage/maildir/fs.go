package maildir

import (
	"errors"
	"io"
	"io/fs"
	"os"
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
	return &rootFS{root: root}, nil
}

type rootFS struct {
	root *os.Root
	held held
}

func (r *rootFS) Create(name string) (File, error) {
	f, err := r.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (r *rootFS) Open(name string) (*os.File, error) { return r.root.Open(name) }
func (r *rootFS) RemoveAll(name string) error        { return r.root.RemoveAll(name) }
func (r *rootFS) Mkdir(name string) error            { return r.root.Mkdir(name, 0o700) }
func (r *rootFS) Stat(name string) (fs.FileInfo, error) {
	return r.root.Stat(name)
}

func (r *rootFS) ReadDir(name string) ([]string, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (r *rootFS) SyncDir(name string) error {
	f, err := r.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (r *rootFS) Close() error { return r.root.Close() }

type osFile struct{ *os.File }

func (f osFile) SetTime(t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	err := unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOENT) { // before Linux 5.8
		err = os.Chtimes(f.Name(), t, t)
	}
	return err
}

// IsMessageName reports whether a file in new or cur is a message: hidden files are
// not.
func IsMessageName(name string) bool { return name != "" && !strings.HasPrefix(name, ".") }
