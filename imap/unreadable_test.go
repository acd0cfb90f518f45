package imap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mbsync asks for all new messages in one FETCH: the one that can't be read must not keep those behind it away for ever.
func TestFetchGoesOnAfterAMessageThatCanNotBeRead(t *testing.T) {
	h := newHouse(t, nil)
	faults := 0
	h.fault = func(string) { faults++ }
	for range 3 {
		h.deliver("INBOX", "Subject: x\r\n\r\nbody\r\n")
	}
	c := h.login()
	c.ok("SELECT INBOX")
	c.ok("STORE 1:3 +FLAGS (\\Seen)")
	dir, err := h.store.Path(alice)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "cur", "*-2:2,S"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(files[0]), files[0]); err != nil { // ELOOP, for root too
		t.Fatal(err)
	}
	untagged, tagged := c.do("FETCH 1:3 (BODY.PEEK[TEXT])")
	if all := strings.Join(untagged, ""); !strings.Contains(all, "* 1 FETCH") || strings.Contains(all, "* 2 FETCH") || !strings.Contains(all, "* 3 FETCH") {
		t.Errorf("%q", untagged)
	}
	if !strings.HasPrefix(tagged, "NO ") || faults != 1 {
		t.Error(tagged, faults)
	}
}
