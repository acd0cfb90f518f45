package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Content is an open message: its octets with CRLF line ends. Close it.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

type fileContent struct {
	*os.File
	size int64
}

func (f fileContent) Size() int64 { return f.size }

// memContent is a message of another program, with its bare LFs made CRLF. It is
// kept in memory: offsets in the file and in what is served differ.
type memContent struct{ *bytes.Reader }

func (memContent) Close() error { return nil }

// Open opens a message's octets. ErrGone when it has been expunged.
func (m *Mailbox) Open(uid UID) (Content, error) {
	// The file may be renamed between a look at the table and the open: by a change of flags
	// here, which the lock waits for, or by another program, which a look at the folder
	// finds out.
	for attempt := range 3 {
		s := m.Snapshot()
		pos, ok := s.Find(uid)
		if !ok || m.Gone() {
			break
		}
		f, err := m.a.fs.Open(m.path(s.fileName(pos)))
		if err == nil {
			if size, err := fileSize(f); err == nil && !s.recAt(pos).holds(size) {
				f.Close()
				if err := m.changed(context.Background(), uid); err != nil {
					return nil, err
				}
				continue
			}
			return contentOf(f, s.recAt(pos))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open UID %d of mailbox %q: %w", uid, m.Name(), err)
		}
		if err := m.a.refreshTree(context.Background()); err != nil {
			return nil, err
		}
		m.mu.Lock()
		err = m.ready(context.Background())
		if err == nil && attempt > 0 {
			err = m.refresh(context.Background(), true)
		}
		m.mu.Unlock()
		if err != nil && !errors.Is(err, ErrNoMailbox) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("UID %d of mailbox %q: %w", uid, m.Name(), ErrGone)
}

// fileSize is f.Stat's without the rest of what that tells: a twentieth of what fetching bodies took.
func fileSize(f *os.File) (int64, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return st.Size, err
}

func contentOf(f *os.File, r *rec) (Content, error) {
	if r.lf == 0 {
		return fileContent{f, int64(r.size)}, nil
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return memContent{bytes.NewReader(withCRLF(raw, int(r.size)))}, nil
}

// withCRLF writes each bare LF as CRLF.
func withCRLF(raw []byte, size int) []byte {
	out := make([]byte, 0, size)
	for i, c := range raw {
		if c == '\n' && (i == 0 || raw[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}
