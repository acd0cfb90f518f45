package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Event is one line of a message's timeline.
type Event struct {
	At    time.Time      `json:"at"`
	ID    string         `json:"id"`
	What  string         `json:"what"`
	Attrs map[string]any `json:"attrs,omitempty"`
}

// The attributes of log lines that a Journal goes by.
const (
	attrID        = "id"         // mta.ID
	attrMessageID = "message-id" // the header field, with its angle brackets
)

// Journal keeps the log lines that are about a message, those with an attribute
// "id", so that Find can tell what became of it. It is a few files of JSON lines
// in the data folder, the oldest of which goes when a new one is begun. Lines are not
// synced: the journal explains mail, it does not keep it.
type Journal struct {
	dir     string
	max     int64 // octets of one file
	mu      sync.Mutex
	f       *os.File
	size    int64
	encoder slog.Handler
}

// journalFiles is how many files there are at most, the current one first.
var journalFiles = [...]string{"events.jsonl", "events.1.jsonl", "events.2.jsonl", "events.3.jsonl"}

// OpenJournal opens the journal in dir; max is the size of a file at which the next
// one is begun. Close it after use.
func OpenJournal(dir string, max int64) (*Journal, error) {
	j := &Journal{dir: dir, max: max}
	j.encoder = slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug})
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return j, nil
}

func (j *Journal) open() error {
	f, err := os.OpenFile(filepath.Join(j.dir, journalFiles[0]), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	j.f, j.size = f, info.Size()
	return nil
}

// Close closes the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.f.Close()
}

// Write takes one line; slog's JSON handler calls it.
func (j *Journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var full error
	if j.size+int64(len(line)) > j.max && j.size > 0 {
		full = j.rotate()
	}
	n, err := j.f.Write(line)
	j.size += int64(n)
	return n, errors.Join(full, err)
}

// rotate begins a new file, which it opens before all else: where that is not possible, the present one grows.
func (j *Journal) rotate() error {
	fresh := filepath.Join(j.dir, "events.new")
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := j.shift(fresh); err != nil {
		return errors.Join(err, f.Close())
	}
	old := j.f
	j.f, j.size = f, 0
	return old.Close()
}

// shift gives each file the name of the next older one, and fresh that of the present one.
func (j *Journal) shift(fresh string) error {
	for i := len(journalFiles) - 1; i > 0; i-- {
		err := os.Rename(filepath.Join(j.dir, journalFiles[i-1]), filepath.Join(j.dir, journalFiles[i]))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(fresh, filepath.Join(j.dir, journalFiles[0]))
}

// Handler returns a slog.Handler that records lines about messages, from level
// info on whatever next's level is, and hands every line to next.
func (j *Journal) Handler(next slog.Handler) slog.Handler {
	return &journalHandler{next: next, encoder: j.encoder}
}

type journalHandler struct {
	next    slog.Handler
	encoder slog.Handler
	hasID   bool // among the attributes of With
}

func (h *journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	hasID := h.hasID
	r.Attrs(func(a slog.Attr) bool {
		hasID = hasID || a.Key == attrID
		return !hasID
	})
	var errs []error
	if hasID {
		errs = append(errs, h.encoder.Handle(ctx, r))
	}
	if h.next.Enabled(ctx, r.Level) {
		errs = append(errs, h.next.Handle(ctx, r))
	}
	return errors.Join(errs...)
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	hasID := h.hasID || slices.ContainsFunc(attrs, func(a slog.Attr) bool { return a.Key == attrID })
	return &journalHandler{h.next.WithAttrs(attrs), h.encoder.WithAttrs(attrs), hasID}
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.next.WithGroup(name), h.encoder.WithGroup(name), h.hasID}
}

// attrsOnward name the messages that came out of another: one sent on by an alias, a report
// to the sender.
var attrsOnward = []string{"as", "notice"}

// Find returns what is known of a message and of those that came out of it, oldest
// first. name is our ID or the Message-ID field, with or without angle brackets; one
// Message-ID may stand for several messages of ours.
func (j *Journal) Find(ctx context.Context, name string) ([]Event, error) {
	ids := []string{name}
	bare := strings.Trim(name, "<>")
	err := j.scan(ctx, []byte(bare), func(e Event) {
		m, _ := e.Attrs[attrMessageID].(string)
		if strings.Trim(m, "<>") == bare && !slices.Contains(ids, e.ID) {
			ids = append(ids, e.ID)
		}
	})
	if err != nil {
		return nil, err
	}
	var found []Event
	for i := 0; i < len(ids); i++ {
		err := j.scan(ctx, []byte(ids[i]), func(e Event) {
			if e.ID != ids[i] {
				return
			}
			found = append(found, e)
			for _, key := range attrsOnward {
				if next, _ := e.Attrs[key].(string); next != "" && !slices.Contains(ids, next) {
					ids = append(ids, next)
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(found, func(a, b Event) int { return a.At.Compare(b.At) })
	if len(found) == 0 {
		return nil, fmt.Errorf("message %s: %w: it never came here, or so long ago that it is forgotten", name, ErrNotFound)
	}
	return found, nil
}

// scan calls f for each line that holds needle, the oldest file first.
func (j *Journal) scan(ctx context.Context, needle []byte, f func(Event)) error {
	for _, name := range slices.Backward(journalFiles[:]) {
		file, err := os.Open(filepath.Join(j.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		err = scanFile(ctx, file, needle, f)
		file.Close()
		if err != nil {
			return fmt.Errorf("read journal %s: %w", name, err)
		}
	}
	return nil
}

func scanFile(ctx context.Context, file io.Reader, needle []byte, f func(Event)) error {
	r := bufio.NewReaderSize(file, 1<<16)
	for {
		line, err := r.ReadBytes('\n')
		if bytes.Contains(line, needle) {
			if e, ok := parseEvent(line); ok {
				f(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// parseEvent reads one line. A line cut off by a crash is not one.
func parseEvent(line []byte) (Event, bool) {
	var attrs map[string]any
	if json.Unmarshal(line, &attrs) != nil {
		return Event{}, false
	}
	var e Event
	stamp, _ := attrs[slog.TimeKey].(string)
	e.At, _ = time.Parse(time.RFC3339Nano, stamp)
	e.What, _ = attrs[slog.MessageKey].(string)
	e.ID, _ = attrs[attrID].(string)
	for _, key := range []string{slog.TimeKey, slog.MessageKey, slog.LevelKey, attrID} {
		delete(attrs, key)
	}
	e.Attrs = attrs
	return e, e.ID != ""
}
