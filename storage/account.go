package storage

import "context"

// Account is one account's mail. It is safe for concurrent use.
type Account struct{}

// Release gives back what Store.Account handed out.
func (a *Account) Release() { panic("not built yet") }

// Name is the account's name, "alice@example.org".
func (a *Account) Name() string { panic("not built yet") }

// Deliver stores a message durably in all its mailboxes (hard links of one file
// where there are several), and wakes the watchers. Quota is checked first. On error
// nothing is left on disk. It blocks on fsync.
func (a *Account) Deliver(ctx context.Context, d Delivery) ([]Stored, error) { panic("not built yet") }

// Mailboxes lists all mailboxes, the subscribed names that don't exist among them,
// sorted by name with INBOX first.
func (a *Account) Mailboxes(ctx context.Context) ([]MailboxInfo, error) { panic("not built yet") }

// Mailbox opens a mailbox, or returns the open one. INBOX is matched without
// regard to case. Release it when done.
func (a *Account) Mailbox(ctx context.Context, name string) (*Mailbox, error) {
	panic("not built yet")
}

// CreateMailbox makes a mailbox and its missing parents. use is a special-use
// attribute such as "\\Archive", or empty.
func (a *Account) CreateMailbox(ctx context.Context, name, use string) error {
	panic("not built yet")
}

// DeleteMailbox removes a mailbox with all its messages. One with children becomes
// \NoSelect (RFC 9051 6.3.5); ErrHasChild when it is that already. INBOX stays: ErrInbox.
func (a *Account) DeleteMailbox(ctx context.Context, name string) error { panic("not built yet") }

// RenameMailbox renames a mailbox with its children; UIDVALIDITY and UIDs stay. Of INBOX
// it moves the messages into the new mailbox and leaves INBOX empty (RFC 9051 6.3.6).
func (a *Account) RenameMailbox(ctx context.Context, from, to string) error {
	panic("not built yet")
}

// Subscribe sets or clears a name's subscription, whether it exists or not.
func (a *Account) Subscribe(ctx context.Context, name string, on bool) error {
	panic("not built yet")
}

// Usage is what the account's mail takes up, from counters.
func (a *Account) Usage(ctx context.Context) (Usage, error) { panic("not built yet") }

// Quota is the account's limit.
func (a *Account) Quota() Quota { panic("not built yet") }

// Metadata reads METADATA entries (RFC 5464) of a mailbox, or of the account with
// mailbox "". Names are in lower case, "/private/comment".
func (a *Account) Metadata(ctx context.Context, mailbox string) (map[string][]byte, error) {
	panic("not built yet")
}

// SetMetadata sets entries; a nil value removes one. Metadata is kept in a text file
// in the folder, since the index can be thrown away.
func (a *Account) SetMetadata(ctx context.Context, mailbox string, entries map[string][]byte) error {
	panic("not built yet")
}

// Watch returns a Watch of all of the account's mailboxes.
func (a *Account) Watch() *Watch { panic("not built yet") }

// Generation rises with every create, delete, rename, subscribe and metadata change of
// any mailbox: a session that saw an old one lists again.
func (a *Account) Generation() uint64 { panic("not built yet") }

// Rebuild throws the account's index away and builds it from the Maildir.
func (a *Account) Rebuild(ctx context.Context) error { panic("not built yet") }

// Problem is one thing Verify found.
type Problem struct {
	Mailbox string
	UID     UID
	Path    string
	What    string
}

// Verify compares index, table and Maildir, and says where they differ: a live
// account is held still while it looks. An empty list means that all agree.
func (a *Account) Verify(ctx context.Context) ([]Problem, error) { panic("not built yet") }

// Watch tells that something has changed. It carries no data: look again.
type Watch struct{ c chan struct{} }

// C has one wake waiting when something changed since the last receive.
func (w *Watch) C() <-chan struct{} { return w.c }

// Close ends the Watch.
func (w *Watch) Close() { panic("not built yet") }
