package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// Sub is where in a folder a message lies.
type Sub string

const (
	New Sub = "new" // no program has shown it yet; its name has no info
	Cur Sub = "cur"
	Tmp Sub = "tmp"
)

// Join returns the name below the account's folder of something in a folder, which is
// "" for INBOX.
func Join(folder string, elem ...string) string {
	return path.Join(append([]string{folder}, elem...)...)
}

// CreateFolder makes a folder with new, cur and tmp and its text file, durably. The
// text file is written last: a folder without it is one of another program, or one whose
// making was broken off, and gets a text file of its own at the next look.
func CreateFolder(fsys FS, folder string, in *Info) error {
	if folder != "" {
		if err := mkdir(fsys, folder); err != nil {
			return err
		}
	}
	for _, sub := range []Sub{Tmp, New, Cur} {
		if err := mkdir(fsys, Join(folder, string(sub))); err != nil {
			return err
		}
	}
	if folder != "" {
		// Courier's and Dovecot's sign that this is a folder and no account.
		if f, err := fsys.Create(Join(folder, "maildirfolder")); err == nil {
			f.Close()
		}
	}
	if err := WriteInfo(fsys, Join(folder, InfoFile), in); err != nil { // syncs the folder
		return err
	}
	return fsys.SyncDir(".")
}

func mkdir(fsys FS, name string) error {
	err := fsys.Mkdir(name)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Found is a message that a listing found.
type Found struct {
	Sub  Sub
	Name string
}

// List lists the messages in new and cur. A missing folder is an empty one.
func List(fsys FS, folder string) ([]Found, error) {
	var found []Found
	for _, sub := range []Sub{New, Cur} {
		names, err := fsys.ReadDir(Join(folder, string(sub)))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return nil, fmt.Errorf("list %s: %w", Join(folder, string(sub)), err)
		}
		for _, name := range names {
			if IsMessageName(name) {
				found = append(found, Found{sub, name})
			}
		}
	}
	return found, nil
}

// Times are the times of the last change of new and cur, in nanoseconds. While they
// stay the same nothing was added, renamed or removed, as far as the clock of the file
// system can tell.
type Times struct{ New, Cur int64 }

// Latest is the later one.
func (t Times) Latest() int64 { return max(t.New, t.Cur) }

// StatTimes reads the Times of a folder.
func StatTimes(fsys FS, folder string) (Times, error) {
	n, err := fsys.Stat(Join(folder, string(New)))
	if err != nil {
		return Times{}, err
	}
	c, err := fsys.Stat(Join(folder, string(Cur)))
	if err != nil {
		return Times{}, err
	}
	return Times{n.ModTime().UnixNano(), c.ModTime().UnixNano()}, nil
}

// ForeignTmp is how old another program's file in tmp has to be to count as left
// over: Maildir gives a delivery 36 hours.
const ForeignTmp = 36 * time.Hour

// SweepTmp removes from tmp what a crash has left: our own files at once, since
// nobody writes any while an account is being opened, others' when they are old.
func SweepTmp(fsys FS, folder string, now time.Time) error {
	names, err := fsys.ReadDir(Join(folder, string(Tmp)))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, name := range names {
		full := Join(folder, string(Tmp), name)
		if UniqueOf(name) == "" {
			if st, err := fsys.Stat(full); err != nil || now.Sub(st.ModTime()) < ForeignTmp {
				continue
			}
		}
		if err := fsys.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
