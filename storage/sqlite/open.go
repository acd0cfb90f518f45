package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3"
)

// ErrFuture: the file's schema is newer than this program.
var ErrFuture = errors.New("database was written by a newer version of this program")

// Options of Open.
type Options struct {
	// Migrations are the schema's steps; the file's user_version says how many it
	// has. A released step never changes: add another.
	Migrations []string
	// Durable makes a commit survive a power cut (synchronous=FULL). Without it
	// the last commits can be lost then, but the file is never damaged.
	Durable bool
	// Readers is how many queries run side by side; 0: 4.
	Readers int
}

// DB is an open SQLite file. It is safe for concurrent use.
type DB struct {
	path    string
	writer  *sql.DB
	readers *sql.DB

	turn    chan struct{} // holds one token: who has it, writes
	closed  chan struct{}
	written atomic.Int64 // when the last transaction ended, in Unix nanoseconds; 0: the writer's memory was given back since
	conn    *sql.Conn    // the writer's only connection
	wstmt   map[string]*sql.Stmt

	mu    sync.RWMutex
	rstmt map[string]*sql.Stmt
}

// Open opens or creates the file at path and brings its schema up to date. Its
// folder has to exist. The file is readable by its owner only.
func Open(path string, opt Options) (*DB, error) {
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", filepath.Base(path), err)
	}
	d := &DB{path: path, turn: make(chan struct{}, 1), closed: make(chan struct{}), wstmt: map[string]*sql.Stmt{}, rstmt: map[string]*sql.Stmt{}}
	d.turn <- struct{}{}
	if err := d.open(opt); err != nil {
		d.Close()
		return nil, fmt.Errorf("open database %s: %w", filepath.Base(path), err)
	}
	return d, nil
}

// createPrivate makes a missing file with mode 0600, which SQLite then gives to
// the log beside it too.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (d *DB) open(opt Options) error {
	sync := "NORMAL"
	if opt.Durable {
		sync = "FULL"
	}
	readers := opt.Readers
	if readers == 0 {
		readers = 4
	}
	var err error
	if d.writer, err = sql.Open("sqlite3", dsn(d.path, "_journal_mode=WAL&_synchronous="+sync)); err != nil {
		return err
	}
	d.writer.SetMaxOpenConns(1)
	if d.conn, err = d.writer.Conn(context.Background()); err != nil {
		return err
	}
	if err := d.migrate(opt.Migrations); err != nil {
		return err
	}
	if d.readers, err = sql.Open("sqlite3", dsn(d.path, "_query_only=1")); err != nil {
		return err
	}
	d.readers.SetMaxOpenConns(readers)
	d.readers.SetMaxIdleConns(readers)
	d.readers.SetConnMaxIdleTime(10 * time.Second) // each keeps pages in memory, and opening one takes 40 microseconds
	d.written.Store(time.Now().UnixNano())
	return nil
}

func dsn(path, pragmas string) string {
	u := url.URL{Path: path}
	return "file:" + u.EscapedPath() + "?_busy_timeout=10000&_foreign_keys=on&" + pragmas
}

// migrate runs the steps that the file doesn't have yet, each in its own transaction.
func (d *DB) migrate(steps []string) error {
	ctx := context.Background()
	var have int
	if err := d.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > len(steps) {
		return fmt.Errorf("schema %d, known up to %d: %w", have, len(steps), ErrFuture)
	}
	for i := have; i < len(steps); i++ {
		step := fmt.Sprintf("BEGIN IMMEDIATE;\n%s;\nPRAGMA user_version=%d;\nCOMMIT", steps[i], i+1)
		if _, err := d.conn.ExecContext(ctx, step); err != nil {
			d.conn.ExecContext(ctx, "ROLLBACK") // fails when there is nothing to roll back
			return fmt.Errorf("schema step %d: %w", i+1, err)
		}
	}
	return nil
}

// Close waits for the running transaction, folds the log into the file and closes it. A
// second Close does nothing.
func (d *DB) Close() error {
	select {
	case <-d.turn: // never given back
		close(d.closed)
	case <-d.closed:
		return nil
	}
	var errs []error
	if d.readers != nil {
		errs = append(errs, d.readers.Close())
	}
	if d.conn != nil {
		for _, s := range d.wstmt {
			errs = append(errs, s.Close())
		}
		errs = append(errs, d.conn.Close())
	}
	if d.writer != nil {
		errs = append(errs, d.writer.Close())
	}
	return errors.Join(errs...)
}
