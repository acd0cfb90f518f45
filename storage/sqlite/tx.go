package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"
)

// ErrClosed: the database has been closed.
var ErrClosed = errors.New("database is closed")

// Tx is the transaction inside DB.Write. It must not be kept or shared.
type Tx struct{ d *DB }

// Write runs fn in a transaction and commits it; an error of fn rolls it back and is
// returned as it is. ctx ends the wait for a turn, not the work. fn must not call
// Write, nor wait for anything slow.
func (d *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	select {
	case <-d.turn:
	case <-d.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() {
		d.written.Store(time.Now().UnixNano())
		d.turn <- struct{}{}
	}()

	tx := &Tx{d}
	if _, err := tx.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // fn failed, or panicked
			tx.Exec("ROLLBACK")
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if _, err := tx.Exec("COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	done = true
	return nil
}

// Rest gives back the memory in which the writer keeps pages of the file, half of what it has, when nothing was written
// for a while. The next transaction reads again what it needs, mostly from the kernel. It never waits.
func (d *DB) Rest(after time.Duration) error {
	written := d.written.Load()
	if written == 0 || time.Since(time.Unix(0, written)) < after {
		return nil
	}
	select {
	case <-d.turn:
	default: // busy, or closed
		return nil
	}
	defer func() { d.turn <- struct{}{} }()
	d.written.Store(0)
	_, err := d.conn.ExecContext(context.Background(), "PRAGMA shrink_memory")
	return err
}

// prepared returns the writer's statement for a query. Queries are constants of the
// program, so the statements are few and kept.
func (t *Tx) prepared(query string) (*sql.Stmt, error) {
	if s := t.d.wstmt[query]; s != nil {
		return s, nil
	}
	s, err := t.d.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	t.d.wstmt[query] = s
	return s, nil
}

// Exec runs one statement. Its text is cached: never build it from data.
func (t *Tx) Exec(query string, args ...any) (sql.Result, error) {
	s, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	return s.Exec(args...)
}

// Query reads inside the transaction. Close the rows before the next statement.
func (t *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	s, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	return s.Query(args...)
}

// QueryRow reads one row inside the transaction.
func (t *Tx) QueryRow(query string, args ...any) *Row {
	s, err := t.prepared(query)
	if err != nil {
		return &Row{err: err}
	}
	return &Row{row: s.QueryRow(args...)}
}

// Row is one row, or the error that came instead.
type Row struct {
	row *sql.Row
	err error
}

// Scan copies the row's columns; sql.ErrNoRows when there is no row.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.row.Scan(dest...)
}

func (d *DB) reader(query string) (*sql.Stmt, error) {
	d.mu.RLock()
	s := d.rstmt[query]
	d.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.rstmt[query]; s != nil {
		return s, nil
	}
	s, err := d.readers.Prepare(query)
	if err == nil {
		d.rstmt[query] = s
	}
	return s, err
}

// Query reads what has been committed, beside a running writer. Its text is cached: never
// build it from data. Close the rows.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := d.reader(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRow is Query for one row.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) *Row {
	s, err := d.reader(query)
	if err != nil {
		return &Row{err: err}
	}
	return &Row{row: s.QueryRowContext(ctx, args...)}
}

// Check runs SQLite's own check of the file: quick, or complete with all indexes. It
// returns what is wrong, or nil.
func (d *DB) Check(ctx context.Context, complete bool) error {
	query := "PRAGMA quick_check(5)"
	if complete {
		query = "PRAGMA integrity_check(20)"
	}
	rows, err := d.readers.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	var found []error
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			found = append(found, errors.New(line))
		}
	}
	found = append(found, rows.Err())
	return errors.Join(found...)
}

// Backup writes a consistent copy to path, which must not exist, beside running readers
// and writers.
func (d *DB) Backup(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite3", dsn(d.path, ""))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

// IsCorrupt reports whether err says that the file is damaged, or no database at all.
func IsCorrupt(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB)
}

// IsFull reports whether err says that the disk is full.
func IsFull(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrFull || errors.Is(err, syscall.ENOSPC)
}

// IsConstraint reports whether err says that a row broke a constraint, such as a key
// that is there already.
func IsConstraint(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrConstraint
}
