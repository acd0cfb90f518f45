package imap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// breakFile makes a file of INBOX unreadable.
func (h *house) breakFile(sub, name string) {
	h.t.Helper()
	dir, err := h.store.Path(alice)
	if err != nil {
		h.t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, sub, name))
	if err != nil || len(files) != 1 {
		h.t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(files[0]), files[0]); err != nil { // ELOOP, for root too
		h.t.Fatal(err)
	}
}

// want reads responses that begin like these.
func (c *client) want(starts ...string) {
	c.t.Helper()
	for _, start := range starts {
		if got := c.read(); !strings.HasPrefix(got, start) {
			c.t.Fatalf("got %q, want %q", got, start)
		}
	}
}

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
	h.breakFile("cur", "*-2:2,S")
	untagged, tagged := c.do("FETCH 1:3 (BODY.PEEK[TEXT])")
	if all := strings.Join(untagged, ""); !strings.Contains(all, "* 1 FETCH") || strings.Contains(all, "* 2 FETCH") || !strings.Contains(all, "* 3 FETCH") {
		t.Errorf("%q", untagged)
	}
	if !strings.HasPrefix(tagged, "NO ") || faults != 1 {
		t.Error(tagged, faults)
	}
}

// What nobody asks for can't be answered by NO: a session that listens went away with the first message that couldn't be read.
func TestSessionListensOnPastAMessageThatCanNotBeRead(t *testing.T) {
	h := newHouse(t, nil)
	faults := 0
	h.fault = func(string) { faults++ }
	c, d := h.login(), h.login()
	c.ok("SELECT INBOX")
	c.ok("NOTIFY SET (selected (MessageNew (BODY.PEEK[TEXT]) MessageExpunge FlagChange))")
	c.send("a APPEND INBOX {1}\r\n")
	c.want("+ OK")
	h.deliver("INBOX", "Subject: x\r\n\r\nbody\r\n")
	h.breakFile("new", "*-1")
	h.deliver("INBOX", "Subject: x\r\n\r\nbody\r\n")
	c.send("x\r\n")
	c.want("* 3 EXISTS", "* 3 RECENT", "* 2 FETCH (BODY[TEXT] {6}\r\nbody\r\n)", "a OK [APPENDUID")
	if faults != 1 {
		t.Error(faults, "faults logged")
	}

	c.send("b SEARCH RETURN (UPDATE COUNT) BODY body NOT UID 1\r\n")
	c.want(`* ESEARCH (TAG "b") COUNT 1`, "b OK")
	c.send("c SEARCH RETURN (UPDATE COUNT) FLAGGED\r\n")
	c.want(`* ESEARCH (TAG "c") COUNT 0`, "c OK")
	d.ok("SELECT INBOX")
	h.breakFile("*", "*-2*")
	d.ok("STORE 3 +FLAGS (\\Flagged)")
	c.want("* 3 FETCH", `* NO [NOUPDATE "b"]`, `* ESEARCH (TAG "c") ADDTO (0 3)`)
	d.ok("STORE 3 -FLAGS (\\Flagged)")
	c.want("* 3 FETCH", `* ESEARCH (TAG "c") REMOVEFROM (0 3)`)
	if faults != 2 {
		t.Error(faults, "faults logged")
	}
}
