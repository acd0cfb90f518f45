package maildir

import (
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// os.Root opens the folder of a name, looks at it and closes it again in each call: that is
// two thirds of what a rename costs. Who changes several files, or one and syncs its folder, holds their folders
// instead. A folder is held for one batch only: another program may rename it or put another
// in its place.

// held are the folders held now.
type held struct {
	any  atomic.Int32 // how many, to leave the lock alone when there is none
	mu   sync.RWMutex
	dirs map[string]*heldDir
}

type heldDir struct {
	file  *os.File
	users int
}

// Hold opens folders for a batch. One that can't be opened is not held: then the
// call on a name in it says why.
func (r *rootFS) Hold(dirs ...string) (release func()) {
	h := &r.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dirs == nil {
		h.dirs = map[string]*heldDir{}
	}
	var mine []string
	for _, dir := range dirs {
		if d := h.dirs[dir]; d != nil {
			d.users++
		} else if f, err := r.open(dir, os.O_RDONLY|unix.O_DIRECTORY); err == nil {
			h.dirs[dir] = &heldDir{f, 1}
		} else {
			continue
		}
		mine = append(mine, dir)
	}
	h.any.Add(int32(len(mine)))
	return func() { h.release(mine) }
}

func (h *held) release(dirs []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, dir := range dirs {
		d := h.dirs[dir]
		if d.users--; d.users == 0 {
			d.file.Close()
			delete(h.dirs, dir)
		}
	}
	h.any.Add(-int32(len(dirs)))
}

// at runs call with the folder of each name and what is left of the name, if all of them
// are held.
func (h *held) at(call func(dirs [2]int, names [2]string) error, names ...string) (done bool, err error) {
	if h.any.Load() == 0 {
		return false, nil
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	var fds [2]int
	var last [2]string
	for i, name := range names {
		slash := strings.LastIndexByte(name, '/')
		d, base := h.dirs[name[:max(slash, 0)]], name[slash+1:]
		if d == nil || base == "" || base == "." || base == ".." {
			return false, nil
		}
		fds[i], last[i] = int(d.file.Fd()), base
	}
	return true, call(fds, last)
}

// dir is a folder that is held, or nil.
func (h *held) dir(name string) *os.File {
	if h.any.Load() == 0 {
		return nil
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if d := h.dirs[name]; d != nil {
		return d.file
	}
	return nil
}

// SyncDir waits for the disk with no lock: others may hold and release folders meanwhile, and a file being synced is
// closed after that.
func (r *rootFS) SyncDir(name string) error {
	if f := r.held.dir(name); f != nil {
		return f.Sync()
	}
	f, err := r.open(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (r *rootFS) Rename(from, to string) error {
	done, err := r.held.at(func(dirs [2]int, names [2]string) error {
		return renameat(dirs, names)
	}, from, to)
	// Where deliveries overlap, tmp may be held for long, and be another folder by now.
	if !done || err == unix.ENOENT {
		return r.root.Rename(from, to)
	}
	return linkError("rename", from, to, err)
}

// renameat is unix.Renameat without the two copies of the names on the heap: a command can rename thousands of files.
func renameat(dirs [2]int, names [2]string) error {
	var room [2][256]byte // with the NUL at their ends; NAME_MAX is 255
	for i, name := range names {
		if len(name) >= len(room[i]) || strings.IndexByte(name, 0) >= 0 {
			return unix.Renameat(dirs[0], names[0], dirs[1], names[1]) // which knows what to say
		}
		copy(room[i][:], name)
	}
	_, _, errno := unix.Syscall6(unix.SYS_RENAMEAT2, uintptr(dirs[0]), uintptr(unsafe.Pointer(&room[0])),
		uintptr(dirs[1]), uintptr(unsafe.Pointer(&room[1])), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (r *rootFS) Link(from, to string) error {
	done, err := r.held.at(func(dirs [2]int, names [2]string) error {
		return unix.Linkat(dirs[0], names[0], dirs[1], names[1], 0)
	}, from, to)
	if !done {
		return r.root.Link(from, to)
	}
	return linkError("link", from, to, err)
}

func (r *rootFS) Remove(name string) error {
	done, err := r.held.at(func(dirs [2]int, names [2]string) error {
		return unix.Unlinkat(dirs[0], names[0], 0)
	}, name)
	if !done {
		return r.root.Remove(name)
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

func linkError(op, from, to string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: op, Old: from, New: to, Err: err}
}
