package storage

import (
	"context"
	"io"
	"iter"
)

// Mailbox is an open mailbox, shared by everybody who has it open: what is kept in
// memory of a message is kept once. It is safe for concurrent use.
type Mailbox struct{}

// Release gives back what Account.Mailbox handed out.
func (m *Mailbox) Release() { panic("not built yet") }

// Name is the mailbox's name now: a rename changes it.
func (m *Mailbox) Name() string { panic("not built yet") }

// Gone reports that the mailbox has been deleted. Its files are no more.
func (m *Mailbox) Gone() bool { panic("not built yet") }

// Snapshot returns the mailbox as it is now. It costs next to nothing, takes no
// disk, and never changes.
func (m *Mailbox) Snapshot() *Snapshot { panic("not built yet") }

// Status answers STATUS.
func (m *Mailbox) Status() Status { panic("not built yet") }

// ClaimRecent gives the caller the messages that no session has been told of as
// \Recent: those from first up to UIDNext. A later caller gets only newer ones.
func (m *Mailbox) ClaimRecent(ctx context.Context) (first UID, err error) { panic("not built yet") }

// Append stores messages durably in the order given, all or none, and returns their
// UIDs. Quota is checked. It blocks on fsync.
func (m *Mailbox) Append(ctx context.Context, msgs []New) ([]UID, error) { panic("not built yet") }

// Stored names what Mailbox.Store did.
type StoreResult struct {
	Changed  []Entry // as they are now; messages whose flags were so already are not in it
	Modified []UID   // changed after unchangedSince: left alone (RFC 7162 3.1.3)
}

// Store changes flags. UIDs that are gone are passed over. With unchangedSince
// not nil, messages with a higher ModSeq are left alone and listed.
func (m *Mailbox) Store(ctx context.Context, uids []UID, op FlagOp, flags Flags, unchangedSince *ModSeq) (StoreResult, error) {
	panic("not built yet")
}

// Expunge removes those of uids that have \Deleted; all that have it, with nil uids. It
// returns what was removed, ascending. It works on a full disk.
func (m *Mailbox) Expunge(ctx context.Context, uids []UID) ([]UID, error) { panic("not built yet") }

// Copy copies messages into to, which may be m itself, all or none, in the order of
// uids: flags, dates and EmailID go with them. UIDs that are gone are passed over.
func (m *Mailbox) Copy(ctx context.Context, uids []UID, to *Mailbox) ([]UIDPair, error) {
	panic("not built yet")
}

// Move moves messages into to (RFC 6851). Two sessions that move the same UID move
// it once. UIDs that are gone are passed over.
func (m *Mailbox) Move(ctx context.Context, uids []UID, to *Mailbox) ([]UIDPair, error) {
	panic("not built yet")
}

// Replace stores msg and removes the message uid in one step (RFC 8508). ErrGone
// when there is no such message: then nothing is stored.
func (m *Mailbox) Replace(ctx context.Context, uid UID, to *Mailbox, msg New) (UID, error) {
	panic("not built yet")
}

// Content is an open message: its octets with CRLF line ends. Close it.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Open opens a message's octets. ErrGone when it has been expunged.
func (m *Mailbox) Open(uid UID) (Content, error) { panic("not built yet") }

// Details reads the index for the given UIDs, ascending, and passes over those that
// are gone. The slices handed out are only good until the next step.
func (m *Mailbox) Details(ctx context.Context, uids []UID) iter.Seq2[*Details, error] {
	panic("not built yet")
}

// ByEmailID finds messages of this mailbox by RFC 8474 EMAILID or THREADID.
func (m *Mailbox) ByObjectID(ctx context.Context, emailID, threadID string) ([]UID, error) {
	panic("not built yet")
}

// Vanished lists the UIDs expunged after since, ascending (RFC 7162 3.2). complete is
// false when the index doesn't reach back that far: then every UID below UIDNext that
// is not in the mailbox has to be taken for expunged.
func (m *Mailbox) Vanished(ctx context.Context, since ModSeq) (uids []UID, complete bool, err error) {
	panic("not built yet")
}

// TextField says where FullText looks.
type TextField uint8

const (
	TextSubject TextField = 1 << iota
	TextAddresses
	TextBody
)

// FullText returns the UIDs of messages that may hold the needle in one of the
// fields, ascending: a superset, to be checked against the messages. Those of
// unindexed have to be checked in any case. ok is false when the index can't tell (a
// needle under three characters, or no full-text index): check every message.
func (m *Mailbox) FullText(ctx context.Context, fields TextField, needle string) (candidates, unindexed []UID, ok bool, err error) {
	panic("not built yet")
}
