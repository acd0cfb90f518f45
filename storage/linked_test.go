package storage

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A program that renames by link and unlink lost the message where we looked between the two: of two names of one file we
// removed one, and it removed the other.
func TestMessageThatAnotherProgramRenamesByALink(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	appendTo(t, m, newMsg(text(1), Flags{System: Seen}), newMsg(text(2), Flags{System: Seen}))
	for _, flags := range []string{"FS", "FRS"} {
		old := fileOf(t, m, 1)
		renamed := filepath.Join(filepath.Dir(old), strings.Split(filepath.Base(old), ":2,")[0]+":2,"+flags)
		if err := os.Link(old, renamed); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			m = box(t, a, "INBOX")
		}
		if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{1, 2}) {
			t.Error("between the two:", got)
		}
		if err := os.Remove(old); err != nil {
			t.Fatal(err)
		}
		m = box(t, a, "INBOX")
		if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{1, 2}) || read(t, m, 1) != text(1) || filepath.Base(fileOf(t, m, 1)) != filepath.Base(renamed) {
			t.Fatal(got, fileOf(t, m, 1))
		}
		mustAgree(t, a)
	}
	// What stays so is what a crash has left, or a person: one name is enough.
	if err := os.Link(fileOf(t, m, 2), fileOf(t, m, 2)+"T"); err != nil {
		t.Fatal(err)
	}
	a.s.cfg.Now = func() time.Time { return time.Now().Add(2 * linkLeft) }
	m = box(t, a, "INBOX")
	if got := m.Snapshot().UIDs(); !slices.Equal(got, []UID{1, 2}) {
		t.Error(got)
	}
	mustAgree(t, a)
}
