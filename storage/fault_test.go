package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"syscall"
	"testing"

	"facteur/storage/maildir"
)

// faultFS is a disk on which one step fails, and none after it.
type faultFS struct {
	maildir.FS
	left  *int // steps until the fault; below 0: none
	fault error
}

func (f *faultFS) step(name string) error {
	*f.left--
	if *f.left == 0 {
		return &fs.PathError{Op: "fault", Path: name, Err: f.fault}
	}
	return nil
}

func (f *faultFS) do(name string, call func() error) error {
	if err := f.step(name); err != nil {
		return err
	}
	return call()
}

func (f *faultFS) Rename(from, to string) error {
	return f.do(from, func() error { return f.FS.Rename(from, to) })
}
func (f *faultFS) Link(from, to string) error {
	return f.do(from, func() error { return f.FS.Link(from, to) })
}
func (f *faultFS) Remove(name string) error {
	return f.do(name, func() error { return f.FS.Remove(name) })
}
func (f *faultFS) RemoveAll(name string) error {
	return f.do(name, func() error { return f.FS.RemoveAll(name) })
}
func (f *faultFS) Mkdir(name string) error {
	return f.do(name, func() error { return f.FS.Mkdir(name) })
}
func (f *faultFS) SyncDir(name string) error {
	return f.do(name, func() error { return f.FS.SyncDir(name) })
}

func (f *faultFS) Create(name string) (maildir.File, error) {
	if err := f.step(name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name)
	return &faultFile{file, f, name}, err
}

type faultFile struct {
	maildir.File
	f    *faultFS
	name string
}

func (f *faultFile) Write(p []byte) (int, error) {
	if err := f.f.step(f.name); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *faultFile) Sync() error { return f.f.do(f.name, f.File.Sync) }

// Any step may fail by itself, and the server goes on: what it answered must be so, now and after a restart.
func TestFaultAtEveryStep(t *testing.T) {
	template := crashTemplate(t)
	for name, c := range crashCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, _ := run(t, template, 0, nil)
			after, steps := run(t, template, 1<<30, c.do)
			for k := range steps {
				for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
					t.Run(fmt.Sprintf("%v at step %d", fault, k+1), func(t *testing.T) {
						dir := copyDir(t, template)
						s := testStore(t, dir)
						left := 0
						s.openFS = func(path string) (maildir.FS, error) {
							fsys, err := openLazy(path)
							return &faultFS{fsys, &left, fault}, err
						}
						a := testAccount(t, s)
						left = k + 1
						err := c.do(t.Context(), a)
						if left > 0 {
							t.Fatal("no fault")
						}
						if err != nil && !errors.Is(err, fault) {
							t.Error(err)
						}
						if err != nil && fault != syscall.EIO && !errors.Is(err, ErrDiskFull) {
							t.Error("not called a full disk:", err)
						}
						check := func(what string, a *Account) {
							t.Helper()
							got, _ := census(t, a)
							if err == nil && !maps.Equal(got, after) {
								t.Errorf("%s, answered OK: %v instead of %v", what, got, after)
							}
							for subject := range merged(before, after, got) {
								if n := got[subject]; n < min(before[subject], after[subject]) || n > max(before[subject], after[subject]) && name != "replace" {
									t.Errorf("%s, answered %v: %q is there %d times", what, err, subject, n)
								}
							}
							mustAgree(t, a)
						}
						check("at once", a)
						if cerr := s.Close(); cerr != nil {
							t.Error(cerr)
						}
						s = testStore(t, dir)
						s.openFS = openLazy
						defer s.Close()
						check("after a restart", testAccount(t, s))
					})
				}
			}
		})
	}
}
