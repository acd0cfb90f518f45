package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"facteur/storage/message"
	"facteur/storage/sqlite"
)

func TestFullTextFindsCandidates(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	for i := range 40 {
		appendTo(t, m, newMsg(fmt.Sprintf("Subject: Größe %d\r\nFrom: bob@example.org\r\n\r\nneedle%d in the hay\r\n", i, i), Flags{}))
	}
	if !a.fulltext.Load() {
		t.Skip("binary has no FTS5")
	}
	if _, un, ok, err := m.FullText(t.Context(), TextBody, "needle7"); err != nil || !ok || len(un) != 40 {
		t.Fatal(un, ok, err)
	}
	for {
		_, more, err := m.indexSome(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	for _, c := range []struct {
		fields TextField
		needle string
		want   int
	}{{TextBody, "NEEDLE39", 1}, {TextSubject, "needle", 0}, {TextSubject | TextBody, "größe", 40}, {TextAddresses, "@EXAMPLE.org", 40}, {TextBody, `"x" OR`, 0}} {
		got, un, ok, err := m.FullText(t.Context(), c.fields, c.needle)
		if err != nil || !ok || len(un) != 0 || len(got) != c.want {
			t.Errorf("%q: %v %v %v %v", c.needle, got, un, ok, err)
		}
	}
	if _, _, ok, _ := m.FullText(t.Context(), TextBody, "ab"); ok {
		t.Error("two characters")
	}
	m.Store(t.Context(), []UID{8}, FlagsAdd, Flags{System: Deleted}, nil)
	m.Expunge(t.Context(), nil)
	if got, _, _, err := m.FullText(t.Context(), TextBody, "needle7"); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	mustAgree(t, a)
}

func TestFullTextOfLongMessageIsAlwaysACandidate(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	long := "Subject: long\r\n\r\n" + strings.Repeat("some words\r\n", textLimit/10) + "needle\r\n"
	appendTo(t, m, newMsg(long, Flags{}), newMsg("Subject: NUL\r\n\r\na\x00needle\r\n", Flags{}), newMsg(text(3), Flags{}))
	for more := true; more; { // the long one fills a transaction alone
		var err error
		if _, more, err = m.indexSome(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, un, ok, err := m.FullText(t.Context(), TextBody, "needle")
	if err != nil || !ok || len(un) != 0 || !slices.Equal(got, []UID{1, 2}) {
		t.Error(got, un, ok, err)
	}
}

// Text behind more markup than is read for the index was not found.
func TestFullTextOfMuchMarkupIsAlwaysACandidate(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	a.s.extract = func(r io.ReaderAt, size int64, _ int) (message.SearchText, error) {
		return message.ExtractText(r, size, 1000)
	}
	html := "Content-Type: text/html\r\n\r\n" + strings.Repeat("<img src=cid:1>", 2000) + "<p>needle</p>\r\n"
	appendTo(t, m, newMsg(html, Flags{}), newMsg(text(2), Flags{}))
	if _, _, err := m.indexSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, un, ok, err := m.FullText(t.Context(), TextBody, "needle")
	if err != nil || !ok || len(un) != 0 || !slices.Equal(got, []UID{1}) {
		t.Error(got, un, ok, err)
	}
}

// A folder went while it was indexed, and came back: what had been indexed before was not found any more.
func TestFolderGoesWhileItIsIndexed(t *testing.T) {
	a := newAccount(t)
	deliver(t, a, text(1), "Work")
	m := box(t, a, "Work")
	if _, _, err := m.indexSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	deliver(t, a, text(2), "Work")
	back := func() { t.Error("nothing was indexed") }
	a.s.extract = func(r io.ReaderAt, size int64, limit int) (message.SearchText, error) {
		back = moveAway(t, a, ".Work")
		if err := a.flush(t.Context()); err != nil {
			t.Error(err)
		}
		return message.ExtractText(r, size, limit)
	}
	if _, _, err := m.indexSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	back()
	m = box(t, a, "Work")
	got, un, ok, err := m.FullText(t.Context(), TextBody, "body of message 1")
	if err != nil || !ok || !slices.Contains(append(got, un...), 1) {
		t.Error(got, un, ok, err)
	}
}

// On a full disk, text was read and not indexed five times a second for as long as it lasted, with a line in the
// log for each, and took what room mail had left.
func TestFullTextOnAFullDisk(t *testing.T) {
	s := testStore(t, t.TempDir())
	defer s.Close()
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	var log bytes.Buffer
	s.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	index := func() {
		ctx, cancel := context.WithTimeout(t.Context(), textQuiet+5*textPause)
		defer cancel()
		s.indexTexts(ctx)
	}

	s.freeAt.Store(0)
	s.cfg.LowWater = 1 << 62
	index()
	if n := m.indexed.Load(); n != 0 {
		t.Errorf("indexed up to %d", n)
	}

	s.cfg.LowWater = 1
	if err := a.db.Load().Write(t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec("DROP TABLE fts")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	index()
	if n := strings.Count(log.String(), "text not indexed"); n != 1 {
		t.Errorf("tried %d times", n)
	}
}
