package imap

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"facteur/storage"
)

// A disk that was full already for the spool of an APPEND was called a fault of the server.
func TestFullDiskIsSaidSo(t *testing.T) {
	for _, err := range []error{storage.ErrDiskFull, syscall.ENOSPC, &os.PathError{Op: "write", Path: "spool", Err: syscall.EDQUOT}} {
		r, fault, fatal := failure(fmt.Errorf("spool an appended message: %w", err))
		if r == nil || r.status != "NO" || r.code != "LIMIT" || fault != nil || fatal {
			t.Errorf("%v: %v, %v, %v", err, r, fault, fatal)
		}
	}
}
