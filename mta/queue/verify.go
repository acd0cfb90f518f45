package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Problem is one thing that Verify found.
type Problem struct {
	ID   string // of the message; empty: the database
	What string
}

// Verify looks for promises that can't be kept: a message that is not done, but has no job or no
// octets. It may run beside Run. An empty list means that all is well.
func (q *Queue) Verify(ctx context.Context) ([]Problem, error) {
	var found []Problem
	if err := q.db.Check(ctx, false); err != nil {
		found = append(found, Problem{"", err.Error()})
	}
	for _, c := range []struct{ what, query string }{
		{"is not done, and nobody works on it", "SELECT id FROM message m WHERE done IS NULL AND NOT EXISTS (SELECT 1 FROM job WHERE message = m.num)"},
		{"is done, and somebody works on it", "SELECT id FROM message m WHERE done IS NOT NULL AND EXISTS (SELECT 1 FROM job WHERE message = m.num)"},
		{"has lost its octets", "SELECT id FROM message m WHERE done IS NULL AND NOT EXISTS (SELECT 1 FROM body WHERE message = m.num)"},
	} {
		ids, err := q.ids(ctx, c.query)
		if err != nil {
			return found, err
		}
		for _, id := range ids {
			found = append(found, Problem{id, c.what})
		}
	}
	lost, err := q.lostFiles(ctx)
	return append(found, lost...), err
}

// lostFiles finds messages whose spool file is missing. One that was done while we looked is none.
func (q *Queue) lostFiles(ctx context.Context) ([]Problem, error) {
	const spooled = "SELECT id FROM message m JOIN body b ON b.message = m.num WHERE m.done IS NULL AND b.data IS NULL"
	ids, err := q.ids(ctx, spooled)
	if err != nil {
		return nil, err
	}
	var found []Problem
	for _, id := range ids {
		_, err := os.Stat(filepath.Join(q.spool.dir, id))
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
		still, err := q.ids(ctx, spooled+" AND m.id = ?", id)
		if err != nil {
			return found, err
		}
		if len(still) > 0 {
			found = append(found, Problem{id, "has lost its spool file"})
		}
	}
	return found, nil
}

func (q *Queue) ids(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := q.db.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("verify queue: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("verify queue: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
