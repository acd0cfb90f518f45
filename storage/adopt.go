package storage

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"facteur/storage/maildir"
)

// adopt gives foreign files a UID, by a rename that writes it into their name, and syncs the
// folder before anybody sees the UIDs.
func (l *look) adopt(ctx context.Context, modseq ModSeq) error {
	m := l.m
	if err := m.reserve(len(l.foreign)); err != nil {
		return err
	}
	next := m.snap.Load().UIDNext
	var rows []row
	for _, f := range l.foreign {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, ok := l.measure(f)
		if !ok {
			continue
		}
		if strings.Contains(r.base, ":") { // a name in new has no other colon to be read by
			r.base = maildir.NewBase(time.Unix(r.internal, 0), maildir.NewUnique(), m.a.s.host)
		}
		r.uid, r.modseq = next, modseq
		err := l.giveName(f, &r)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return diskError(err)
		}
		l.renamed = true
		next++
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil
	}
	for _, sub := range []maildir.Sub{maildir.New, maildir.Cur} {
		if err := m.a.fs.SyncDir(maildir.Join(m.place.Load().folder, string(sub))); err != nil {
			return err
		}
	}
	m.publish(m.base().with(rows))
	return nil
}

// giveName renames a foreign file to what a row says. Where that is too long for the file system it gets a BASE of ours; where that isn't
// enough the message comes without its keywords, better than not at all.
func (l *look) giveName(f listed, r *row) error {
	m := l.m
	for attempt := 0; ; attempt++ {
		sub, name := m.base().nameOf(&r.rec, r.base)
		err := m.a.fs.Rename(m.path(f.Sub, f.Name), m.path(sub, name))
		if !errors.Is(err, syscall.ENAMETOOLONG) || attempt == 2 {
			return err
		}
		r.base = maildir.NewBase(time.Unix(r.internal, 0), maildir.NewUnique(), m.a.s.host)
		if attempt == 1 {
			if r.set, err = m.flags.number(Flags{System: m.flags.sets[r.setID()].flags.System}); err != nil {
				return err
			}
		}
	}
}

var (
	errNoMessage  = errors.New("not a message")
	errUnfinished = errors.New("still being written")
)

// measure works out the row of a file from its name, and from the file where the name
// doesn't say. A file that can't be read must not close the mailbox to all others: it is
// left where it is.
func (l *look) measure(f listed) (row, bool) {
	r, err := l.measureFile(f)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errUnfinished) {
		l.m.a.s.cfg.Log.Warn("file passed over", "account", l.m.a.name, "file", l.m.path(f.Sub, f.Name), "error", err)
	}
	return r, err == nil
}

func (l *look) measureFile(f listed) (row, error) {
	m := l.m
	path := m.path(f.Sub, f.Name)
	st, err := m.a.fs.Stat(path)
	if err != nil {
		return row{}, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxMessage {
		return row{}, errNoMessage
	}
	disk, virtual := st.Size(), f.name.Virtual
	if virtual < disk || f.name.Size != disk {
		if disk, virtual, err = l.readSizes(path); err != nil {
			return row{}, err
		}
	}
	if virtual > maxMessage {
		return row{}, errNoMessage
	}
	letters, extra := f.name.Flags, f.name.Keywords
	flags := m.flags
	if v := f.name.UIDValidity; v != 0 && v != m.validity {
		// Moved here by another program: the letters are those of the folder it comes from.
		flags = newFlagSets(m.a.keywordsOf(v))
	}
	set, err := m.flagNumberOfFile(flags.fromName(letters, extra))
	if err != nil {
		return row{}, err
	}
	// A name in new has no flags. mbsync puts flagged messages there all the same: they go where their flags are kept.
	if f.Sub == maildir.New && set == 0 {
		set = inNew
	}
	base := f.name.Base
	if base == "" || len(base) > maildir.MaxBase {
		base = maildir.NewBase(st.ModTime(), maildir.NewUnique(), m.a.s.host)
	}
	return row{rec{
		set: set, size: uint32(virtual), lf: uint32(virtual - disk), internal: st.ModTime().Unix(),
	}, base}, nil
}

// readSizes counts what is in a file, and what there is with each bare LF written as CRLF. A file that somebody is still
// writing has no size yet, and what Stat said of one that has just been closed may be too little.
func (l *look) readSizes(path string) (disk, virtual int64, err error) {
	f, err := l.m.a.fs.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if maildir.BeingWritten(f) {
		l.m.unfinished = true
		return 0, 0, errUnfinished
	}
	r := bufio.NewReaderSize(f, 64<<10)
	bare := int64(0)
	cr := false
	for {
		line, err := r.ReadSlice('\n')
		disk += int64(len(line))
		if n := len(line); n > 0 && line[n-1] == '\n' {
			if n > 1 {
				cr = line[n-2] == '\r'
			}
			if !cr {
				bare++
			}
		}
		if n := len(line); n > 0 {
			cr = line[n-1] == '\r'
		}
		if err == io.EOF {
			return disk, disk + bare, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, 0, err
		}
	}
}
