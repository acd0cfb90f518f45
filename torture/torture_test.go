package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestQuickTorture runs the scenarios that take seconds; make torture runs all, at length.
func TestQuickTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	dir := t.TempDir()
	opt := options{facteur: filepath.Join(dir, "facteur"), dir: dir, quick: true}
	if out, err := exec.Command("go", "build", "-tags", "sqlite_fts5", "-o", opt.facteur, "../cmd/facteur").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := run(opt, "^(kill|power|twice|damage|mend|full|readonly)$"); err != nil {
		t.Error(err)
	}
}
