package loopback

import (
	"errors"
	"os"
	"testing"

	"facteur/test/debian"
)

// Debian is a private root with packages. Where there can be none, the test is skipped.
func Debian(t testing.TB, packages ...string) *debian.Root {
	t.Helper()
	root, err := debian.Open(t.Context(), packages...)
	if errors.Is(err, debian.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// OpenDir is a new folder that servers with users of their own get through to: t.TempDir is closed to them.
func OpenDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "facteur-open-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
