package storage

import (
	"errors"
	"io"
	"time"

	"facteur/storage/message"
)

// UID is a message's number in its mailbox (RFC 9051 2.3.1.1). It only rises.
type UID uint32

// ModSeq is a modification sequence (RFC 7162). Every change of a mailbox gets a
// higher one than all before, in microseconds since 1970 where time allows (rule 5).
type ModSeq uint64

// Errors that callers branch on. They come wrapped with the name of what failed.
var (
	ErrNoAccount = errors.New("no such account")
	ErrNoMailbox = errors.New("no such mailbox")
	ErrExists    = errors.New("mailbox exists already")
	ErrName      = errors.New("not a mailbox name")
	ErrHasChild  = errors.New("mailbox has children")
	ErrGone      = errors.New("message is gone")
	ErrOverQuota = errors.New("over quota")
	ErrLimit     = errors.New("limit reached") // keywords, name length, metadata
	ErrDiskFull  = errors.New("disk is full")  // below the low-water mark, or ENOSPC
	ErrInbox     = errors.New("not possible with INBOX")
)

// System flags, as bits of Flags.System (RFC 9051 2.3.2). \Recent is not a flag
// of a message here but a bound, see Snapshot.FirstRecent.
const (
	Seen uint8 = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

// Flags is a message's set of flags. Keywords are sorted without regard to case,
// without doubles, and shared between messages: never change the slice.
type Flags struct {
	System   uint8
	Keywords []string
}

// FlagOp says what Mailbox.Store does with its flags.
type FlagOp uint8

const (
	FlagsSet FlagOp = iota
	FlagsAdd
	FlagsRemove
)

// Entry is what is kept in memory of every message.
type Entry struct {
	UID      UID
	Flags    Flags
	ModSeq   ModSeq
	Size     int64     // RFC822.SIZE: octets with CRLF line ends
	Internal time.Time // INTERNALDATE, to the second
}

// Details is what the index holds of a message besides its Entry.
type Details struct {
	UID     UID
	Base    []byte // of the file's name: what EmailID is made of
	Thread  uint64
	Saved   time.Time // RFC 8514: when it came into this mailbox
	Summary string    // message.Summary in its binary form: Mailbox.Summary
}

// EmailID is that of RFC 8474: kept over COPY and MOVE.
func (d Details) EmailID() string { return emailID(string(d.Base)) }

// ThreadID is that of RFC 8474.
func (d Details) ThreadID() string { return threadID(d.Thread) }

// New is a message to be put into a mailbox.
type New struct {
	Body     io.Reader // read once, to its end; what it holds is stored octet for octet
	Size     int64     // octets that Body will give, or -1
	Flags    Flags
	Internal time.Time // zero: now
	EmailID  string    // empty: a new one; set by Copy, Move and REPLACE
}

// Delivery is a message from the MTA for one account. It is stored in one or more
// mailboxes; those that don't exist are created.
type Delivery struct {
	Prefix    []byte      // header lines put in front: Return-Path, Delivered-To, Received, ...
	Body      io.ReaderAt // as received
	BodySize  int64
	Mailboxes []string // at least one
	Flags     Flags
	Internal  time.Time
	OverQuota bool // store it even over quota (reports of our own)
}

// Stored says where a message went.
type Stored struct {
	Mailbox     string
	UIDValidity uint32
	UID         UID
	Path        string // file below the account's folder
}

// StoreResult says what Mailbox.Store did.
type StoreResult struct {
	Changed  []Entry // as they are now; messages whose flags were so already are not in it
	Modified []UID   // changed after unchangedSince: left alone (RFC 7162 3.1.3)
}

// UIDPair is one line of COPYUID.
type UIDPair struct{ From, To UID }

// MailboxInfo is one line of a listing.
type MailboxInfo struct {
	Name       string // UTF-8, "/" between levels
	NoSelect   bool   // not a folder, only the parent of one
	Subscribed bool   // also true of names that are no mailbox any more (RFC 9051 6.3.9)
	Exists     bool
	SpecialUse string // "\\Sent", or empty
	HasChild   bool
	ID         string // RFC 8474 MAILBOXID
}

// Status answers STATUS (RFC 9051 6.3.11) from memory or the index.
type Status struct {
	Messages, Unseen, Deleted, Recent uint32
	UIDNext                           UID
	UIDValidity                       uint32
	HighestModSeq                     ModSeq
	Size                              int64 // of all messages (RFC 8438)
	DeletedSize                       int64 // of those with \Deleted (RFC 9208)
	ID                                string
}

// Quota is a limit; zero means none.
type Quota struct{ Bytes, Messages int64 }

// Usage is what counts against Quota.
type Usage struct{ Bytes, Messages int64 }

// Summary is what the index has for d, of a message of m; where that is of another version's form, the message is
// read again.
func (m *Mailbox) Summary(d *Details) (*message.Summary, error) {
	if s, err := message.ParseSummary(d.Summary); err == nil {
		return s, nil
	}
	c, err := m.Open(d.UID)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return message.Summarize(c, c.Size())
}
