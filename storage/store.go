package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"facteur/storage/maildir"
	"facteur/storage/message"
	"facteur/storage/sqlite"
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
type Store struct {
	dir  string
	cfg  Config
	host string

	mu     sync.Mutex
	slots  map[string]*slot
	closed bool

	kick       chan struct{} // Run has something to flush
	opened     chan *Account // Run watches the folders of accounts; only while it runs
	running    atomic.Bool
	noFullText sync.Once
	buffers    sync.Pool
	changed    atomic.Int64             // when messages were last added or changed here, in Unix nanoseconds
	freeAt     atomic.Int64             // when free was last asked for, and found enough
	notify     atomic.Pointer[notifier] // of Run's watcher; nil while there is none

	// Tests put others in.
	openFS    func(dir string) (maildir.FS, error)
	summarize func(io.ReaderAt, int64) (*message.Summary, error)
	extract   func(io.ReaderAt, int64, int) (message.SearchText, error)
}

// slot is the place of one account, open or not. Its lock is held while the account is
// opened and closed, so that others wait for that and not for each other.
type slot struct {
	mu       sync.Mutex
	a        *Account
	validity uint32 // the highest UIDVALIDITY of an account of this name that was removed
}

// Open opens the folder dir, which is created when missing. Nothing is scanned
// yet. Close it after use.
func Open(dir string, cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.LowWater == 0 {
		cfg.LowWater = 100 << 20
	}
	if cfg.Hostname == "" {
		cfg.Hostname, _ = os.Hostname()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open mail store: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open mail store: %w", err)
	}
	if err := sweepRemoved(dir); err != nil {
		cfg.Log.Warn("files of a removed account are left", "error", err)
	}
	return &Store{
		dir: dir, cfg: cfg, host: maildir.CleanHost(cfg.Hostname), slots: map[string]*slot{},
		kick: make(chan struct{}, 1), opened: make(chan *Account, 64),
		buffers:   sync.Pool{New: func() any { return new(bytes.Buffer) }},
		openFS:    maildir.OpenFS,
		summarize: message.Summarize, extract: message.ExtractText,
	}, nil
}

// Close ends all writers, marks the indexes clean and closes them.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var errs []error
	for _, sl := range s.allSlots() {
		sl.mu.Lock()
		if sl.a != nil {
			errs = append(errs, sl.a.close())
			sl.a = nil
		}
		sl.mu.Unlock()
	}
	return joinErrors("close mail store", errs)
}

func joinErrors(what string, errs []error) error {
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ErrClosed: the Store has been closed.
var ErrClosed = errors.New("mail store is closed")

// allSlots lists the slots there are now.
func (s *Store) allSlots() []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.slots))
}

func (s *Store) slot(name string) (*slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.slots[name] == nil {
		s.slots[name] = &slot{}
	}
	return s.slots[name], nil
}

// specialFolders are made with each account. Their names are those that clients use.
var specialFolders = []struct{ name, use string }{
	{"Sent", "\\Sent"}, {"Drafts", "\\Drafts"}, {"Trash", "\\Trash"}, {"Junk", "\\Junk"}, {"Archive", "\\Archive"},
}

// CreateAccount makes an account's folder with INBOX, Sent, Drafts, Trash, Junk and
// Archive, each with its special use and subscribed. An account that exists
// is left alone. The name is "local@domain" in lower case; its folder is
// DIR/domain/local.
func (s *Store) CreateAccount(ctx context.Context, name string) error {
	path, err := s.Path(name)
	if err != nil {
		return err
	}
	sl, err := s.slot(name)
	if err != nil {
		return err
	}
	sl.mu.Lock() // two first deliveries at once would write over each other's text files
	defer sl.mu.Unlock()
	if _, err := os.Stat(filepath.Join(path, string(maildir.Cur))); err == nil || sl.a != nil {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("create account %s: %w", name, diskError(err))
	}
	fsys, err := s.openFS(path)
	if err != nil {
		return fmt.Errorf("create account %s: %w", name, err)
	}
	defer fsys.Close()
	// INBOX comes last: with its cur the account exists.
	validity := max(uint32(s.cfg.Now().Unix()), sl.validity+1)
	for i, f := range specialFolders {
		if err = createOnce(fsys, folderOf(f.name), s.newFolder(validity+1+uint32(i), f.use)); err != nil {
			break
		}
	}
	if err == nil {
		if _, rerr := fsys.Stat(accountFile); errors.Is(rerr, fs.ErrNotExist) {
			err = maildir.WriteInfo(fsys, accountFile, &maildir.Info{UIDValidity: validity + uint32(len(specialFolders))})
		}
	}
	if err == nil {
		err = createOnce(fsys, "", s.newFolder(validity, ""))
	}
	if err == nil {
		err = syncParents(path, s.dir)
	}
	if err != nil {
		return fmt.Errorf("create account %s: %w", name, diskError(err))
	}
	return nil
}

// createOnce makes a folder of a new account. One that has its text file keeps UIDVALIDITY and all else: the account is there, and
// another program has removed INBOX's cur.
func createOnce(fsys maildir.FS, folder string, info *maildir.Info) error {
	was, err := maildir.ReadInfo(fsys, maildir.Join(folder, maildir.InfoFile))
	switch {
	case err == nil:
		info = was
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, maildir.ErrInfo):
		return err
	}
	return maildir.CreateFolder(fsys, folder, info)
}

func (s *Store) newFolder(validity uint32, use string) *maildir.Info {
	return &maildir.Info{UIDValidity: validity, UIDBound: 1, ID: newMailboxID(), Use: use, Subscribed: true}
}

// syncParents makes the folders from path's parent up to top durable.
func syncParents(path, top string) error {
	for path != top && len(path) > len(top) {
		path = filepath.Dir(path)
		d, err := os.Open(path)
		if err != nil {
			return err
		}
		err = d.Sync()
		d.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// removedPrefix starts the names of accounts' folders that are being removed. No domain's
// folder starts with a dot.
const removedPrefix = ".removed-"

// sweepRemoved removes what a crash left of accounts that were being removed.
func sweepRemoved(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, removedPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// RemoveAccount moves an account's folder out of the way and then deletes it.
func (s *Store) RemoveAccount(ctx context.Context, name string) error {
	path, err := s.Path(name)
	if err != nil {
		return err
	}
	sl, err := s.slot(name)
	if err != nil {
		return err
	}
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.a != nil {
		for _, m := range sl.a.allMailboxes() {
			m.mu.Lock()
			m.gone.Store(true)
			m.mu.Unlock()
		}
		sl.a.wake()
		if err := sl.a.close(); err != nil {
			s.cfg.Log.Warn("close account to be removed", "account", name, "error", err)
		}
		sl.a = nil
	}
	sl.noteValidity(path)
	trash := filepath.Join(s.dir, removedPrefix+maildir.NewUnique())
	if err := os.Rename(path, trash); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("account %s: %w", name, ErrNoAccount)
		}
		return fmt.Errorf("remove account %s: %w", name, err)
	}
	os.Remove(filepath.Dir(path)) // the domain's folder, when it is empty
	if err := os.RemoveAll(trash); err != nil {
		return fmt.Errorf("remove account %s: %w", name, err)
	}
	return nil
}

// noteValidity remembers the highest UIDVALIDITY of an account that is to be removed: one of the same name may be made in the same second.
func (sl *slot) noteValidity(path string) {
	text, err := os.ReadFile(filepath.Join(path, accountFile))
	if err != nil {
		return
	}
	if info, err := maildir.ParseInfo(text); err == nil {
		sl.validity = max(sl.validity, info.UIDValidity)
	}
}

// Accounts lists the accounts that have a folder.
func (s *Store) Accounts() ([]string, error) {
	domains, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	var names []string
	for _, d := range domains {
		if !d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		locals, err := os.ReadDir(filepath.Join(s.dir, d.Name()))
		if err != nil {
			return nil, fmt.Errorf("list accounts: %w", err)
		}
		for _, l := range locals {
			name, err := maildir.DecodeAccount(d.Name(), l.Name())
			if err != nil {
				continue
			}
			if _, err := os.Stat(filepath.Join(s.dir, d.Name(), l.Name(), string(maildir.Cur))); err == nil {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// Account opens an account, or returns the open one. The first use after an unclean
// stop scans its folders. Release it when done: an account in use stays open.
func (s *Store) Account(ctx context.Context, name string) (*Account, error) {
	path, err := s.Path(name)
	if err != nil {
		return nil, err
	}
	sl, err := s.slot(name)
	if err != nil {
		return nil, err
	}
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.a == nil {
		if _, err := os.Stat(filepath.Join(path, string(maildir.Cur))); err != nil {
			return nil, fmt.Errorf("account %s: %w", name, ErrNoAccount)
		}
		if sl.a, err = s.openAccount(ctx, name, path); err != nil {
			sl.a = nil
			return nil, fmt.Errorf("open account %s: %w", name, err)
		}
		if s.running.Load() {
			select {
			case s.opened <- sl.a:
			default: // Run goes through all accounts every second anyway
			}
		}
	}
	sl.a.refs.Add(1)
	return sl.a, nil
}

// Path is the folder of an account, whether it exists or not.
func (s *Store) Path(name string) (string, error) {
	folder, err := maildir.EncodeAccount(name)
	if err != nil {
		return "", fmt.Errorf("account %.80q: %w", name, ErrNoAccount)
	}
	return filepath.Join(s.dir, filepath.FromSlash(folder)), nil
}

// Free reports ErrDiskFull when less than the low-water mark is free.
func (s *Store) Free() error {
	now := time.Now().UnixMilli()
	if now-s.freeAt.Load() < 200 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return fmt.Errorf("free space of mail store: %w", err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < s.cfg.LowWater {
		return fmt.Errorf("%d MiB free, %d MiB wanted: %w", free>>20, s.cfg.LowWater>>20, ErrDiskFull)
	}
	s.freeAt.Store(now)
	return nil
}

// diskError makes ErrDiskFull of what the system says when there is no room, and ErrLimit where a file's name has none for its
// keywords.
func diskError(err error) error {
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return fmt.Errorf("%w: %w", ErrLimit, err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || sqlite.IsFull(err) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

// changedAt is when a file last got another name, or lost one (st_ctim).
func changedAt(st fs.FileInfo) time.Time {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return time.Unix(sys.Ctim.Unix())
	}
	return st.ModTime()
}

func sameFile(x, y fs.FileInfo) bool { return os.SameFile(x, y) }
