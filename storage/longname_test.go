package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// manyKeywords makes a mailbox know 86 keywords, of which 60 have no letter, and returns those.
func manyKeywords(t *testing.T, m *Mailbox) []string {
	t.Helper()
	var all []string
	for i := range 86 {
		all = append(all, fmt.Sprintf("key%02d", i))
	}
	for _, some := range [][]string{all[:26], all[26:]} {
		if _, err := m.Store(t.Context(), []UID{1}, FlagsSet, Flags{Keywords: some}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return all[26:]
}

// A STORE that would make a file's name too long answered with an internal error.
func TestStoreOfAFileNameThatBecomesTooLong(t *testing.T) {
	a := newAccount(t)
	deliver(t, a, text(1))
	m := box(t, a, "INBOX")
	keys := manyKeywords(t, m)
	put(t, filepath.Join(a.path, "cur", strings.Repeat("b", 150)+":2,S"), text(2))
	m = box(t, a, "INBOX")
	for what, change := range map[string]func() error{
		"store": func() error {
			_, err := m.Store(t.Context(), []UID{2}, FlagsAdd, Flags{Keywords: keys}, nil)
			return err
		},
		"append": func() error {
			_, err := m.Append(t.Context(), []New{{Body: strings.NewReader(text(3)), Size: int64(len(text(3))), Flags: Flags{Keywords: keys}}})
			return err
		},
	} {
		if err := change(); what == "store" && !errors.Is(err, ErrLimit) || what != "store" && err != nil {
			t.Error(what, err)
		}
	}
	if e := m.Snapshot().At(1); e.Flags.System != Seen || len(e.Flags.Keywords) != 0 || read(t, m, 2) == "" {
		t.Error(e)
	}
	mustAgree(t, a)
}

// One file with a long name and many keywords closed the mailbox: with what a name has to say here it was too long.
func TestForeignFileNameThatBecomesTooLong(t *testing.T) {
	a := newAccount(t)
	deliver(t, a, text(1))
	m := box(t, a, "INBOX")
	keys := manyKeywords(t, m)
	name := filepath.Base(fileOf(t, m, 1))
	extra := name[strings.Index(name, ",K=")+3 : strings.Index(name, ":2,")]
	put(t, filepath.Join(a.path, "cur", strings.Repeat("b", 150)+",K="+extra[:98]+":2,"), text(2))
	// Its proper name is longer by a W=, and the one that it has fills all there is.
	own := fmt.Sprintf(",S=%d,I=%d-3,K=%s:2,", len(text(3)), m.validity, extra[:98])
	put(t, filepath.Join(a.path, "cur", strings.Repeat("c", min(150, 255-len(own)))+own), text(3))
	for range 3 {
		m = box(t, a, "INBOX")
	}
	var got []string
	for _, e := range m.Snapshot().All(0) {
		got = append(got, read(t, m, e.UID)[:20])
		if e.UID == 2 && !slices.Equal(e.Flags.Keywords, keys[:49]) {
			t.Error("keywords:", e.Flags.Keywords)
		}
	}
	if len(got) != 3 {
		t.Errorf("%q", got)
	}
	uids := slices.Clone(m.Snapshot().UIDs())
	deliver(t, a, text(4))
	if got := m.Snapshot().UIDs(); !slices.Equal(got[:3], uids) || len(got) != 4 {
		t.Error("UIDs went from", uids, "to", got)
	}
	if files, _ := os.ReadDir(filepath.Join(a.path, "cur")); len(files) != 3 {
		t.Error(len(files), "files")
	}
	mustAgree(t, a)
}
