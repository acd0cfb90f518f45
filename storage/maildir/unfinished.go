package maildir

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// BeingWritten reports whether somebody has the file open for writing: cp and tar write straight into cur, where
// Maildir has programs write in tmp. The kernel knows: it refuses a lease for reading (fcntl(2), F_SETLEASE). Where it gives none
// at all, as for a file of another user, the answer is no.
func BeingWritten(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}
