package debian

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSessionLeavesTheMachineAlone runs a package's program in a private root, which writes into
// its own layer and into a shared folder.
func TestSessionLeavesTheMachineAlone(t *testing.T) {
	root, err := Open(t.Context(), "hostname")
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	shared := t.TempDir()
	s, err := root.NewSession(t.TempDir(), shared)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write("/etc/facteur-test", "from the layer\n", 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := s.Command(t.Context(), "sh", "-c", "cat /etc/facteur-test; touch /facteur-mark; touch "+shared+"/mark").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "from the layer") {
		t.Fatalf("command in the root: %v: %s", err, out)
	}
	if _, err := os.Stat("/facteur-mark"); err == nil {
		t.Error("the command changed the machine's own root")
	}
	if _, err := os.Stat(filepath.Join(shared, "mark")); err != nil {
		t.Errorf("the shared folder: %v", err)
	}
}
