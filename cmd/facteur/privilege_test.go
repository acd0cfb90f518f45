package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// With data = "/", root gave every file of the machine to the server's user: the folder was taken as it came.
func TestDataFolderWithOtherFilesWasTaken(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		taken bool
	}{
		{"not there", nil, true},
		{"empty", []string{}, true},
		{"a file system of its own", []string{"lost+found"}, true},
		{"in use", []string{"lost+found", "mail", "notes", "server.db"}, true},
		{"home", []string{"notes"}, false},
		{"root", []string{"bin", "etc", "lost+found", "var"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := t.TempDir()
			dir, config := filepath.Join(top, "data"), filepath.Join(top, "facteur.toml")
			for _, name := range c.files {
				if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if c.files != nil {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			given := giveTo(dir, os.Geteuid(), os.Getegid())
			if st, err := os.Stat(dir); os.Geteuid() == 0 && (err != nil || !st.IsDir() || (given == nil) != c.taken) {
				t.Errorf("given away: %v", given)
			}
			if c.taken {
				return
			}
			for _, args := range [][]string{{"quickstart", "--config", config, "--data", dir, "you@example.org"}, {"account", "list", "--data", dir}} {
				if os.Geteuid() != 0 && args[0] == "account" {
					continue // only what root opens is given away
				}
				var out, errs strings.Builder
				if code := run(t.Context(), args, nil, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "name one that is empty") {
					t.Errorf("%v: %d %s%s", args, code, &out, &errs)
				}
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != len(c.files) {
				t.Errorf("left behind: %v %v", entries, err)
			}
			if _, err := os.Stat(config); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a configuration was written: %v", err)
			}
		})
	}
}
