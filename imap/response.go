package imap

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"facteur/imap/wire"
	"facteur/storage"
)

// response is the tagged end of a command, and the error that handlers return for
// NO and BAD.
type response struct {
	status string // OK, NO, BAD
	code   string // RFC 9051 7.1, RFC 5530, without brackets; empty: none
	text   string
}

func (r *response) Error() string { return r.status + " " + r.text }

func no(code, text string) error { return &response{"NO", code, text} }
func bad(text string) error      { return &response{"BAD", "CLIENTBUG", text} }

// uidRequired refuses message numbers (RFC 9586 3).
func uidRequired() *response {
	return &response{"BAD", "UIDREQUIRED", "Message numbers can't be used once UIDONLY is enabled"}
}

// failure turns a handler's error into a response. fatal says that the session
// can't go on; fault is an error of ours, to be logged.
func failure(err error) (r *response, fault error, fatal bool) {
	var resp *response
	var syntax *wire.SyntaxError
	var tooBig *wire.TooBigError
	var network *net.OpError
	switch {
	case errors.As(err, &resp):
		return resp, nil, false
	case errors.As(err, &syntax):
		return &response{"BAD", "", upperFirst(syntax.Text)}, nil, false
	case errors.As(err, &tooBig):
		return &response{"BAD", "TOOBIG", upperFirst(tooBig.Error())}, nil, false
	case errors.Is(err, wire.ErrTooLong), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errBye), errors.Is(err, errShutdown),
		errors.As(err, &network): // the client is gone, and no fault of ours
		return nil, nil, true
	}
	for _, f := range storageFailures {
		if errors.Is(err, f.err) {
			return &response{"NO", f.code, f.text}, nil, false
		}
	}
	if errors.Is(err, context.Canceled) {
		return nil, nil, true
	}
	return &response{"NO", "SERVERBUG", "Internal error, see the server's log"}, err, false
}

// storageFailures is what clients hear of storage's errors.
var storageFailures = []struct {
	err        error
	code, text string
}{
	{storage.ErrNoMailbox, "NONEXISTENT", "Mailbox doesn't exist"},
	{storage.ErrExists, "ALREADYEXISTS", "Mailbox already exists"},
	{storage.ErrName, "CANNOT", "Not a mailbox name"},
	{storage.ErrHasChild, "HASCHILDREN", "Mailbox has children"},
	{storage.ErrInbox, "CANNOT", "Not possible with INBOX"},
	{storage.ErrGone, "EXPUNGEISSUED", "Message has been expunged"},
	{storage.ErrOverQuota, "OVERQUOTA", "Quota exceeded"},
	{storage.ErrLimit, "LIMIT", "Limit reached"},
	{storage.ErrDiskFull, "LIMIT", "Not enough disk space on the server"},
	{syscall.ENOSPC, "LIMIT", "Not enough disk space on the server"}, // for the spool of an APPEND
	{syscall.EDQUOT, "LIMIT", "Not enough disk space on the server"},
	{storage.ErrNoAccount, "UNAVAILABLE", "Account is not available"},
}

// tryCreate gives a missing target of APPEND, COPY, MOVE and REPLACE the code that RFC 9051
// 6.3.12 asks for.
func tryCreate(err error) error {
	if errors.Is(err, storage.ErrNoMailbox) {
		return no("TRYCREATE", "Mailbox doesn't exist")
	}
	return err
}

func upperFirst(s string) string {
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}
