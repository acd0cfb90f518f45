package storage

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestNotifier: names that come and go are told in their order, and that a watched folder is gone.
func TestNotifier(t *testing.T) {
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- n.run() }()
	dir := t.TempDir()
	watches := map[int32]string{}
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		watch, err := n.add(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		watches[watch] = name
	}
	if _, err := n.add(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that isn't there was watched")
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "a", "one"), nil, 0o600),
		os.Rename(filepath.Join(dir, "a", "one"), filepath.Join(dir, "a", "a longer name: 2,S")),
		os.Rename(filepath.Join(dir, "a", "a longer name: 2,S"), filepath.Join(dir, "b", "two")),
		os.RemoveAll(filepath.Join(dir, "b")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for ended := false; !ended; {
		for _, e := range <-n.news {
			what := "-"
			switch {
			case e.lost:
				what = "lost"
			case e.ended:
				what, ended = "end", true
			case e.there:
				what = "+"
				if e.wrote {
					what = "wrote"
				}
			}
			got = append(got, what+" "+watches[e.watch]+"/"+e.name)
		}
	}
	want := []string{"+ a/one", "wrote a/one", "- a/one", "+ a/a longer name: 2,S", "- a/a longer name: 2,S", "+ b/two", "- b/two", "end b/"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	n.close()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}
