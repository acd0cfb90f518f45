package maildir

import (
	"fmt"
	"time"
)

// How a message becomes durable. Each step is one call on FS; what a crash (a kill, or a
// power cut that loses all that was not synced) leaves after it:
//
//  1. Create tmp/BASE, in INBOX's tmp whatever the mailbox (it is never renamed), and write. Left: a file in tmp, which SweepTmp removes. Nobody
//     has been told of the message.
//  2. Set its time to INTERNALDATE, then sync the file. Left: the same. The sync comes before
//     the rename: the other way round a power cut could leave a whole name with
//     an empty file behind it.
//  3. Rename to new/BASE,S=,W=,I=VALIDITY-UID, or to cur/ with its flags. The UID has
//     become part of the name and thus as durable as the message. UIDBound in
//     the text file was raised and synced before, if the UID is not below it. Left after
//     a kill: the message; the sender, who got no answer, may send it again.
//     After a power cut: the message or nothing.
//  4. Sync the folder that the name is in. Left: the message, surely. tmp is not synced:
//     should the name in it come back, SweepTmp takes it away, and the
//     file is still there under its other name.
//  5. Answer. Everything else (table, index, watchers) can be made again from the files.
//
// Steps 1 and 2 are done by each delivery for itself, beside others; 3 and 4 for all that
// wait, under the mailbox's lock, with one sync. A message for several mailboxes is
// linked instead of renamed into all but the last.
//
// A flag is changed by one rename inside cur; a move is one rename to the other folder,
// which is synced before the one it came from; so a crash leaves a message in one of
// the two, or, if the file system tore the rename apart, in both, never in none.

// Incoming is a message on its way, in tmp (steps 1 and 2).
type Incoming struct {
	fs     FS
	path   string
	file   File
	Base   string
	Size   int64
	closed bool
}

// Begin does step 1.
func Begin(fsys FS, base string) (*Incoming, error) {
	name := string(Tmp) + "/" + base
	f, err := fsys.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create in tmp: %w", err)
	}
	return &Incoming{fs: fsys, path: name, file: f, Base: base}, nil
}

func (in *Incoming) Write(p []byte) (int, error) {
	n, err := in.file.Write(p)
	in.Size += int64(n)
	return n, err
}

// ReadAt reads what has been written.
func (in *Incoming) ReadAt(p []byte, off int64) (int, error) { return in.file.ReadAt(p, off) }

// Sync does step 2 and closes the file.
func (in *Incoming) Sync(internal time.Time) error {
	err := in.file.SetTime(internal)
	if err == nil {
		err = in.file.Sync()
	}
	if cerr := in.file.Close(); err == nil {
		err = cerr
	}
	in.closed = true
	if err != nil {
		return fmt.Errorf("sync message: %w", err)
	}
	return nil
}

// Rename does step 3: to is below the account's folder.
func (in *Incoming) Rename(to string) error { return in.fs.Rename(in.path, to) }

// Link is step 3 for a message that goes elsewhere too.
func (in *Incoming) Link(to string) error { return in.fs.Link(in.path, to) }

// Abandon removes the file from tmp, after a failure.
func (in *Incoming) Abandon() {
	if !in.closed {
		in.file.Close()
	}
	in.fs.Remove(in.path)
}
