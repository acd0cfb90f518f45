package maildir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func holdFS(t testing.TB) (fsys FS, dir string) {
	dir = t.TempDir()
	for _, name := range []string{"cur", ".A", ".A/cur"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	fsys, err := OpenFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	return fsys, dir
}

// What is done does not depend on which folders are held.
func TestHold(t *testing.T) {
	for _, hold := range [][]string{nil, {"cur"}, {".A/cur"}, {"cur", ".A/cur"}, {"cur", "cur"}, {"missing", "cur"}} {
		fsys, dir := holdFS(t)
		if err := os.WriteFile(filepath.Join(dir, "cur/a"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		release := fsys.Hold(hold...)
		for _, err := range []error{
			fsys.Rename("cur/a", "cur/b"),
			fsys.Link("cur/b", ".A/cur/c"),
			fsys.Rename("cur/b", ".A/cur/d"),
			fsys.Remove(".A/cur/c"),
			fsys.SyncDir("cur"),
			fsys.SyncDir(".A/cur"),
		} {
			if err != nil {
				t.Error(hold, err)
			}
		}
		for _, err := range []error{
			fsys.Rename("cur/none", "cur/b"), fsys.Remove("cur/none"), fsys.Link("cur/none", "cur/b"), fsys.Rename("cur/none", ".A/cur/b"),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Error(hold, err)
			}
		}
		for _, err := range []error{fsys.Remove("cur/.."), fsys.Remove("cur/../.A/cur/d/"), fsys.Rename(".A/cur/d", "../d")} {
			if err == nil {
				t.Error(hold, "a name led out of its folder")
			}
		}
		release()
		if _, err := fsys.Stat(".A/cur/d"); err != nil {
			t.Error(hold, err)
		}
		if h := &fsys.(*rootFS).held; len(h.dirs) != 0 || h.any.Load() != 0 {
			t.Error(hold, "still held")
		}
	}
}

// Neither a symbolic link nor a name leads out of the folder.
func TestOpenStaysBelow(t *testing.T) {
	fsys, dir := holdFS(t)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"cur/abs": outside, "cur/up": "../../secret", "out": filepath.Dir(outside)} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"cur/abs", "cur/up", "out/secret", outside, "../secret", "cur/../../secret"} {
		if f, err := fsys.Open(name); err == nil {
			t.Error(name, "was opened as", f.Name())
		}
		if _, err := fsys.Create(name); err == nil {
			t.Error(name, "was created")
		}
	}
	f, err := fsys.Create("cur/new")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := fsys.Create("cur/new"); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if st, err := fsys.Stat("cur/new"); err != nil || st.Mode() != 0o600 {
		t.Error(st, err)
	}
}

func BenchmarkOpen(b *testing.B) {
	fsys, dir := holdFS(b)
	if err := os.WriteFile(filepath.Join(dir, ".A/cur/0"), nil, 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := fsys.Open(".A/cur/0")
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

func BenchmarkRename(b *testing.B) {
	for _, name := range []string{"alone", "held"} {
		b.Run(name, func(b *testing.B) {
			fsys, dir := holdFS(b)
			if err := os.WriteFile(filepath.Join(dir, ".A/cur/0"), nil, 0o600); err != nil {
				b.Fatal(err)
			}
			if name == "held" {
				defer fsys.Hold(".A/cur")()
			}
			for i := range b.N {
				if err := fsys.Rename(".A/cur/"+strconv.Itoa(i), ".A/cur/"+strconv.Itoa(i+1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestHeldFolderReplaced: what is in the folder that took its place is found.
func TestHeldFolderReplaced(t *testing.T) {
	fsys, dir := holdFS(t)
	defer fsys.Hold("cur", ".A/cur")()
	for _, err := range []error{
		os.Rename(filepath.Join(dir, "cur"), filepath.Join(dir, "old")),
		os.Mkdir(filepath.Join(dir, "cur"), 0o700),
		os.WriteFile(filepath.Join(dir, "cur/a"), []byte("x"), 0o600),
		fsys.Rename("cur/a", ".A/cur/b"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".A/cur/b")); err != nil {
		t.Error(err)
	}
}
