package admin

import (
	"errors"
	"net/http"

	"facteur/auth"
	"facteur/auth/sender"
	"facteur/mta/queue"
	"facteur/storage"
)

// Errors that a caller of Service may branch on, wherever it is answered.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("exists already")
	ErrInvalid   = errors.New("not valid")
	ErrStopped   = errors.New("needs a running server")
	ErrRefused   = errors.New("refused") // one message; others may be taken
	ErrOverQuota = errors.New("over quota")
)

// failure is an error on its way through the socket.
type failure struct {
	Kind string `json:"kind,omitempty"`
	Text string `json:"error"`
}

// kinds ties each class of error to its name and HTTP status on the wire, and to the
// errors of other rooms that mean the same.
var kinds = []struct {
	name   string
	status int
	err    error
	same   []error
}{
	{"not-found", http.StatusNotFound, ErrNotFound, []error{auth.ErrNotFound, auth.ErrNoUser, auth.ErrNotHosted, storage.ErrNoAccount, storage.ErrNoMailbox, sender.ErrNoKey, queue.ErrNotFound}},
	{"exists", http.StatusConflict, ErrExists, []error{auth.ErrTaken, storage.ErrExists, sender.ErrKeyTaken}},
	{"invalid", http.StatusBadRequest, ErrInvalid, []error{auth.ErrInvalid, auth.ErrInUse, sender.ErrKeyName, storage.ErrName}},
	{"stopped", http.StatusServiceUnavailable, ErrStopped, nil},
	{"refused", http.StatusUnprocessableEntity, ErrRefused, []error{storage.ErrLimit}},
	{"over-quota", http.StatusInsufficientStorage, ErrOverQuota, []error{storage.ErrOverQuota}},
}

// kindOf sorts an error; its status is 500 when it is of no kind.
func kindOf(err error) (name string, status int) {
	for _, k := range kinds {
		for _, e := range append(k.same, k.err) {
			if errors.Is(err, e) {
				return k.name, k.status
			}
		}
	}
	return "", http.StatusInternalServerError
}

// Kind returns which of this package's errors err is, or nil.
func Kind(err error) error {
	name, _ := kindOf(err)
	for _, k := range kinds {
		if k.name == name {
			return k.err
		}
	}
	return nil
}

// kindError carries the text of the other side and the kind that it said.
type kindError struct {
	text string
	kind error
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }

func (f failure) err() error {
	for _, k := range kinds {
		if k.name == f.Kind {
			return &kindError{f.Text, k.err}
		}
	}
	return errors.New(f.Text)
}
