package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// certbot renews by turning a symbolic link: what it leads to was closed to the confined server.
func TestConfinedServerReadsBehindLinks(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	live, archive := filepath.Join(dir, "live"), filepath.Join(dir, "archive")
	for _, d := range []string{live, archive} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(archive, "cert1.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../archive/cert1.pem", filepath.Join(live, "cert.pem")); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{
		filepath.Join(live, "cert.pem"):     {live, archive},
		filepath.Join(archive, "cert1.pem"): {archive},
		filepath.Join(live, "missing.pem"):  {live},
	} {
		if got := folders(file); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
}
