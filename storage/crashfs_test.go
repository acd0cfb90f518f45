package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"facteur/storage/maildir"
)

// fastDir is a temporary folder in memory where the system has one: the crash tests make
// and remove thousands of files, and simulate the disk anyway.
func fastDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "storage-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var errCrash = errors.New("crashed")

// crashDisk is what a disk is sure to hold: what was synced. Files are known by their inode
// numbers; a link in keep holds each, so that no number comes twice.
type crashDisk struct {
	t     testing.TB
	root  string
	keep  string
	left  int // steps until the crash
	dirs  map[uint64]map[string]uint64
	files map[uint64][]byte
	times map[uint64]time.Time
}

func newCrashDisk(t testing.TB, root string, steps int) *crashDisk {
	d := &crashDisk{t: t, root: root, keep: fastDir(t), left: steps,
		dirs: map[uint64]map[string]uint64{}, files: map[uint64][]byte{}, times: map[uint64]time.Time{}}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return d.syncedDir(path)
		}
		return d.syncedFile(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func inode(path string) (uint64, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	return st.Sys().(*syscall.Stat_t).Ino, nil
}

func (d *crashDisk) syncedDir(path string) error {
	ino, err := inode(path)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	d.dirs[ino] = map[string]uint64{}
	for _, e := range entries {
		if n, err := inode(filepath.Join(path, e.Name())); err == nil {
			d.dirs[ino][e.Name()] = n
			if e.IsDir() && d.dirs[n] == nil {
				d.dirs[n] = map[string]uint64{} // it is there, with nothing sure in it
			}
		}
	}
	return nil
}

func (d *crashDisk) syncedFile(path string) error {
	ino, err := inode(path)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	st, _ := os.Stat(path)
	d.files[ino], d.times[ino] = data, st.ModTime()
	err = os.Link(path, filepath.Join(d.keep, filepath.Base(path)+maildir.NewUnique()))
	return err
}

// step counts one change of the disk; after the last nothing works any more.
func (d *crashDisk) step() error {
	if d.left <= 0 {
		return errCrash
	}
	d.left--
	return nil
}

// powerCut writes what is sure to be there into a new folder. SQLite's files don't go
// through here: they are taken as they are, or left out.
func (d *crashDisk) powerCut(to string, withIndex bool) {
	d.t.Helper()
	ino, err := inode(d.root)
	if err != nil {
		d.t.Fatal(err)
	}
	d.write(ino, d.root, to, withIndex, map[uint64]string{})
}

func (d *crashDisk) write(ino uint64, from, to string, withIndex bool, written map[uint64]string) {
	if err := os.MkdirAll(to, 0o700); err != nil {
		d.t.Fatal(err)
	}
	for name, n := range d.dirs[ino] {
		if _, ok := d.dirs[n]; ok {
			d.write(n, filepath.Join(from, name), filepath.Join(to, name), withIndex, written)
			continue
		}
		if isIndexFile(name) {
			continue
		}
		path := filepath.Join(to, name)
		if first := written[n]; first != "" { // two names of one file
			if err := os.Link(first, path); err != nil {
				d.t.Fatal(err)
			}
			continue
		}
		written[n] = path
		if err := os.WriteFile(path, d.files[n], 0o600); err != nil {
			d.t.Fatal(err)
		}
		os.Chtimes(path, d.times[n], d.times[n])
	}
	if matches, _ := filepath.Glob(filepath.Join(from, indexFile+"*")); withIndex {
		for _, path := range matches {
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(filepath.Join(to, filepath.Base(path)), data, 0o600)
			}
			if err != nil {
				d.t.Fatal(err)
			}
		}
	}
}

func isIndexFile(name string) bool {
	return name == indexFile || name == indexFile+"-wal" || name == indexFile+"-shm"
}

// lazyFS syncs nothing, so that many restarts take little time.
type lazyFS struct{ maildir.FS }

type lazyFile struct{ maildir.File }

func openLazy(path string) (maildir.FS, error) {
	fsys, err := maildir.OpenFS(path)
	return lazyFS{fsys}, err
}

func (lazyFS) SyncDir(string) error { return nil }
func (lazyFile) Sync() error        { return nil }

func (l lazyFS) Create(name string) (maildir.File, error) {
	f, err := l.FS.Create(name)
	return lazyFile{f}, err
}

// crashFS is an FS whose changes are steps.
type crashFS struct {
	maildir.FS
	d    *crashDisk
	path string
}

func (d *crashDisk) open(path string) (maildir.FS, error) {
	fsys, err := openLazy(path)
	return &crashFS{fsys, d, path}, err
}

func (c *crashFS) do(f func() error) error {
	if err := c.d.step(); err != nil {
		return err
	}
	return f()
}

func (c *crashFS) Rename(from, to string) error {
	return c.do(func() error { return c.FS.Rename(from, to) })
}
func (c *crashFS) Link(from, to string) error {
	return c.do(func() error { return c.FS.Link(from, to) })
}
func (c *crashFS) Remove(name string) error {
	return c.do(func() error { return c.FS.Remove(name) })
}
func (c *crashFS) RemoveAll(name string) error {
	return c.do(func() error { return c.FS.RemoveAll(name) })
}
func (c *crashFS) Mkdir(name string) error {
	return c.do(func() error { return c.FS.Mkdir(name) })
}
func (c *crashFS) SyncDir(name string) error {
	return c.do(func() error {
		if err := c.FS.SyncDir(name); err != nil {
			return err
		}
		return c.d.syncedDir(filepath.Join(c.path, name))
	})
}

func (c *crashFS) Create(name string) (maildir.File, error) {
	if err := c.d.step(); err != nil {
		return nil, err
	}
	f, err := c.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return &crashFile{f, c, name}, nil
}

type crashFile struct {
	maildir.File
	c    *crashFS
	name string
}

func (f *crashFile) Write(p []byte) (int, error) {
	if err := f.c.d.step(); err != nil {
		n, _ := f.File.Write(p[:len(p)/2]) // half of it got through
		return n, err
	}
	return f.File.Write(p)
}

func (f *crashFile) Sync() error {
	return f.c.do(func() error {
		if err := f.File.Sync(); err != nil {
			return err
		}
		return f.c.d.syncedFile(filepath.Join(f.c.path, f.name))
	})
}
