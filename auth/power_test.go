package auth

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"facteur/storage/sqlite"
)

// TestPowerCutKeepsAccounts: each commit syncs the log, so whatever a power cut leaves behind the last one, the
// account that was added is there.
func TestPowerCutKeepsAccounts(t *testing.T) {
	d, _ := newDirectory(t, Config{})
	var mode, from string
	var synchronous int
	must(t, d.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		if err := tx.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil {
			return err
		}
		if err := tx.QueryRow("PRAGMA synchronous").Scan(&synchronous); err != nil {
			return err
		}
		return tx.QueryRow("SELECT file FROM pragma_database_list WHERE name='main'").Scan(&from)
	}))
	if mode != "wal" || synchronous != 2 { // 2: FULL
		t.Fatalf("journal_mode=%s, synchronous=%d", mode, synchronous)
	}
	for name, tail := range map[string][]byte{
		"nothing": nil, "half a frame": make([]byte, 2000), "garbage": bytes.Repeat([]byte("garbage "), 3000),
	} {
		to := filepath.Join(t.TempDir(), "server.db")
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(from + suffix)
			must(t, err)
			if suffix == "-wal" {
				b = append(b, tail...)
			}
			must(t, os.WriteFile(to+suffix, b, 0o600))
		}
		again, err := Open(to, Config{Hash: cheap})
		must(t, err)
		if _, err := again.Account(t.Context(), "alice@example.org"); err != nil {
			t.Errorf("with %s behind the last commit: %v", name, err)
		}
		must(t, again.Close())
	}
}
