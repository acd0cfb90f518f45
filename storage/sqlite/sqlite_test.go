package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var steps = []string{
	"CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)",
	"CREATE TABLE u (k INTEGER REFERENCES t(k)); INSERT INTO t VALUES (1, 'one')",
}

func open(t *testing.T, path string, opt Options) *DB {
	t.Helper()
	d, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestMigrationsRunOnceInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c%#.db")
	d, err := Open(path, Options{Migrations: steps[:1]})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, path, Options{Migrations: steps, Durable: true})
	var v string
	if err := d.QueryRow(t.Context(), "SELECT v FROM t WHERE k=?", 1).Scan(&v); err != nil || v != "one" {
		t.Fatal(v, err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st.Mode(), err)
	}
}

func TestFutureSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	open(t, path, Options{Migrations: steps})
	if _, err := Open(path, Options{Migrations: steps[:1]}); !errors.Is(err, ErrFuture) {
		t.Fatal(err)
	}
}

func TestFailedStepLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if _, err := Open(path, Options{Migrations: []string{steps[0], "CREATE TABLE w (k); SELECT nonsense"}}); err == nil {
		t.Fatal("no error")
	}
	d := open(t, path, Options{Migrations: []string{steps[0], "CREATE TABLE w (k)"}})
	if err := d.Check(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

func TestCorruptFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(path, []byte("this is no database at all, and long enough to be seen as such by anybody who reads it ... .... .... .... ...."), 0o600)
	if _, err := Open(path, Options{Migrations: steps}); !IsCorrupt(err) {
		t.Fatal(err)
	}
}

func TestWriteRollsBack(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "x.db"), Options{Migrations: steps})
	ctx := t.Context()
	mine := errors.New("mine")
	err := d.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec("INSERT INTO t VALUES (?, ?)", 7, "x"); err != nil {
			return err
		}
		return mine
	})
	if err != mine {
		t.Fatal(err)
	}
	func() {
		defer func() { recover() }()
		d.Write(ctx, func(tx *Tx) error { tx.Exec("INSERT INTO t VALUES (?, ?)", 8, "x"); panic("oops") })
	}()
	if err := d.QueryRow(ctx, "SELECT v FROM t WHERE k>?", 1).Scan(new(string)); err != sql.ErrNoRows {
		t.Fatal(err)
	}
	err = d.Write(ctx, func(tx *Tx) error { _, err := tx.Exec("INSERT INTO u VALUES (99)"); return err })
	if !IsConstraint(err) {
		t.Fatal("foreign keys are off:", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	<-d.turn
	if err := d.Write(ended, func(tx *Tx) error { return nil }); err != context.Canceled {
		t.Fatal(err)
	}
	d.turn <- struct{}{}
}

func TestManyWritersAndReaders(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "x.db"), Options{Migrations: steps})
	ctx := t.Context()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				err := d.Write(ctx, func(tx *Tx) error {
					var n int
					if err := tx.QueryRow("SELECT max(k) FROM t").Scan(&n); err != nil {
						return err
					}
					_, err := tx.Exec("INSERT INTO t VALUES (?, 'x')", n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
				if err := d.QueryRow(ctx, "SELECT count(*) FROM t").Scan(new(int)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := d.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil || n != 401 {
		t.Fatal(n, err)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := d.Backup(ctx, copied); err != nil {
		t.Fatal(err)
	}
	if err := open(t, copied, Options{Migrations: steps}).Check(ctx, false); err != nil {
		t.Fatal(err)
	}
}

func TestWriteAfterClose(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "x.db"), Options{Migrations: steps})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal("second close:", err)
	}
	if err := d.Write(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func BenchmarkWriteOneRow(b *testing.B) {
	d, err := Open(filepath.Join(b.TempDir(), "x.db"), Options{Migrations: steps})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	i := 1
	for b.Loop() {
		i++
		err := d.Write(b.Context(), func(tx *Tx) error {
			_, err := tx.Exec("INSERT INTO t VALUES (?, ?)", i, "some text")
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// A database gives memory back once it rests, goes on as before, and is left alone while it is in use.
func TestRest(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "x.db"), Options{Migrations: steps})
	write := func(v string) {
		if err := d.Write(t.Context(), func(tx *Tx) error {
			was := d.written.Load()
			if err := d.Rest(0); err != nil || d.written.Load() != was {
				t.Error("rests in a transaction", err)
			}
			_, err := tx.Exec("UPDATE t SET v=?", v)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []string{"two", "three"} {
		write(v)
		if err := d.Rest(time.Hour); err != nil || d.written.Load() == 0 {
			t.Error("rests too early", err)
		}
		if err := d.Rest(0); err != nil || d.written.Load() != 0 {
			t.Error("doesn't rest", err)
		}
		var got string
		if err := d.QueryRow(t.Context(), "SELECT v FROM t").Scan(&got); err != nil || got != v {
			t.Error(got, err)
		}
	}
	write("four")
	if err := errors.Join(d.Close(), d.Rest(0)); err != nil {
		t.Error(err)
	}
}
