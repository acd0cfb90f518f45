package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"facteur/mta"
)

// spool holds the bodies that are too large for a row, one file each, named by the
// message's ID. Files are made before their row and removed after it, so a crash
// leaves at worst a file that nobody owns, which Open sweeps away.
//
// Removing a file is slow on some disks and makes later syncs slow, so it is done
// in batches by Run and never on a message's way.
type spool struct {
	dir string

	mu   sync.Mutex
	dead []string // IDs whose files may go
}

// maxRow is the largest body kept in queue.db.
const maxRow = 1 << 20

// keep makes the body durable under id: a hard link when the body is a file on the
// same filesystem, a copy otherwise. On error nothing is left.
func (s *spool) keep(id mta.ID, body *mta.Body) (err error) {
	name := filepath.Join(s.dir, string(id))
	defer func() {
		if err != nil {
			os.Remove(name)
			err = fmt.Errorf("spool: %w", err)
		}
	}()
	if path := body.Path(); path == "" || os.Link(path, name) != nil {
		if err := s.copy(name, body); err != nil {
			return err
		}
	}
	if err := syncFile(name); err != nil {
		return err
	}
	return syncFile(s.dir)
}

func (s *spool) copy(name string, body *mta.Body) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body.Reader())
	return errors.Join(err, f.Close())
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// errLost: the octets of a message are gone, and will not come back.
var errLost = errors.New("the message's octets are gone")

// open opens a kept body. A file that is missing from the folder, or too short, gives errLost.
func (s *spool) open(id mta.ID, size, header int64) (*mta.Body, error) {
	f, err := os.Open(filepath.Join(s.dir, string(id)))
	if err != nil {
		if _, there := os.Stat(s.dir); there == nil && errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", errLost, err)
		}
		return nil, fmt.Errorf("spool: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() < size {
		err = fmt.Errorf("%w: %s has %d octets of %d", errLost, f.Name(), info.Size(), size)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("spool: %w", err)
	}
	return mta.BodyFile(f, size, header, false), nil
}

// discard marks a file to be removed by the next clean.
func (s *spool) discard(id mta.ID) {
	s.mu.Lock()
	s.dead = append(s.dead, string(id))
	s.mu.Unlock()
}

// clean removes what was discarded.
func (s *spool) clean() error {
	s.mu.Lock()
	dead := s.dead
	s.dead = nil
	s.mu.Unlock()
	var errs []error
	for _, id := range dead {
		if err := os.Remove(filepath.Join(s.dir, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sweep removes every file that owned does not claim.
func (s *spool) sweep(owned func(id string) (bool, error)) error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		mine, err := owned(f.Name())
		if err != nil {
			return err
		}
		if !mine {
			s.discard(mta.ID(f.Name()))
		}
	}
	return s.clean()
}
