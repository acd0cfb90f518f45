package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJournalFindsByIDAndMessageID(t *testing.T) {
	j, err := OpenJournal(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var text strings.Builder
	log := slog.New(j.Handler(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log.Info("nothing about a message")
	log.Info("accepted", "id", "aaa", "message-id", "<1@x>", "from", "a@b")
	log.With("id", "aaa").Warn("deferred", "reply", "450 later")
	log.Debug("too fine", "id", "aaa")
	log.Info("forwarded", "id", "bbb", "message-id", "<1@x>")
	log.Info("another", "id", "ccc", "message-id", "<2@x>")
	log.Info("sent on", "id", "ccc", "as", "ddd")
	log.Info("delivered", "id", "ddd")

	for _, tt := range []struct{ ask, want string }{
		{"aaa", "accepted deferred"},
		{"<1@x>", "accepted deferred forwarded"},
		{"1@x", "accepted deferred forwarded"},
		{"ccc", "another sent on delivered"},
		{"ddd", "delivered"},
	} {
		events, err := j.Find(context.Background(), tt.ask)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range events {
			got = append(got, e.What)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.ask, got, tt.want)
		}
	}
	if _, err := j.Find(context.Background(), "zzz"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown message: %v", err)
	}
	if strings.Contains(text.String(), "accepted") || !strings.Contains(text.String(), "deferred") {
		t.Errorf("the log has its own level, got %q", text.String())
	}
}

func TestJournalKeepsAFewFiles(t *testing.T) {
	dir := t.TempDir()
	j, err := OpenJournal(dir, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	log := slog.New(j.Handler(slog.NewTextHandler(io.Discard, nil)))
	for i := range 200 {
		log.Info("accepted", "id", fmt.Sprintf("m%03d", i))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != len(journalFiles) {
		t.Fatalf("%d files (%v), want %d", len(files), err, len(journalFiles))
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 1000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
	}
	if _, err := j.Find(context.Background(), "m199"); err != nil {
		t.Errorf("the newest is gone: %v", err)
	}
	if _, err := j.Find(context.Background(), "m000"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the oldest is still there: %v", err)
	}
}

func TestJournalSkipsTornLine(t *testing.T) {
	dir := t.TempDir()
	torn := `{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"accepted","id":"aaa"}` + "\n" + `{"time":"2026-01-01T00:00:01Z","id":"aaa`
	if err := os.WriteFile(filepath.Join(dir, journalFiles[0]), []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(dir, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	events, err := j.Find(context.Background(), "aaa")
	if err != nil || len(events) != 1 {
		t.Errorf("%v, %v", events, err)
	}
}

// Without a free descriptor, say, no file can be begun: each line pushed the old files one further, until nothing was left.
func TestJournalThatCannotBeginAFile(t *testing.T) {
	dir := t.TempDir()
	j, err := OpenJournal(dir, 200)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	blocked := filepath.Join(dir, "events.new")
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	log := slog.New(j.Handler(slog.DiscardHandler))
	for i := range 10 {
		log.Info("accepted", "id", fmt.Sprint("m", i))
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	log.Info("accepted", "id", "last")
	for _, id := range []string{"m0", "m9", "last"} {
		if _, err := j.Find(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, journalFiles[0])); err != nil || st.Size() > 200 {
		t.Errorf("no file was begun once that was possible: %v, %v", st.Size(), err)
	}
}
