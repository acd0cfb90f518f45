package storage

import (
	"context"
	"log/slog"
	"time"
)

// Config of a Store. The zero value of a field means what its comment says.
type Config struct {
	Log      *slog.Logger
	Now      func() time.Time // time.Now
	Hostname string           // HOST in file names; os.Hostname
	LowWater int64            // octets that must stay free on the disk; 0: 100 MiB
	Quota    func(account string) Quota
	FullText bool // keep the full-text index; needs a binary built with sqlite_fts5
}

// Store is the folder that holds all accounts' mail. It is safe for concurrent
// use. One process at a time opens a folder; cmd holds the lock.
type Store struct{}

// Open opens the folder dir, which is created when missing. Nothing is scanned
// yet. Close it after use.
func Open(dir string, cfg Config) (*Store, error) { panic("not built yet") }

// Run does the work in the background: indexing text, watching folders that
// other programs change, closing accounts not used for a while. It returns when
// ctx ends.
func (s *Store) Run(ctx context.Context) error { panic("not built yet") }

// Close ends all writers, marks the indexes clean and closes them.
func (s *Store) Close() error { panic("not built yet") }

// CreateAccount makes an account's folder with INBOX, Sent, Drafts, Trash, Junk and
// Archive, each with its special use and subscribed. An account that exists
// is left alone. The name is "local@domain" in lower case; its folder is
// DIR/domain/local.
func (s *Store) CreateAccount(ctx context.Context, name string) error { panic("not built yet") }

// RemoveAccount moves an account's folder out of the way and then deletes it.
func (s *Store) RemoveAccount(ctx context.Context, name string) error { panic("not built yet") }

// Accounts lists the accounts that have a folder.
func (s *Store) Accounts() ([]string, error) { panic("not built yet") }

// Account opens an account, or returns the open one. The first use after an unclean
// stop scans its folders. Release it when done: an account in use stays open.
func (s *Store) Account(ctx context.Context, name string) (*Account, error) { panic("not built yet") }

// Path is the folder of an account, whether it exists or not.
func (s *Store) Path(name string) (string, error) { panic("not built yet") }

// Free reports ErrDiskFull when less than the low-water mark is free.
func (s *Store) Free() error { panic("not built yet") }
