package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// mail opens an account's mail; release it.
func (l *Local) mail(ctx context.Context, name string) (*storage.Account, error) {
	name, err := accountName(name)
	if err != nil {
		return nil, err
	}
	mail, err := l.Store.Account(ctx, name)
	if errors.Is(err, storage.ErrNoAccount) {
		return nil, err // says which
	}
	if err != nil {
		return nil, fmt.Errorf("mail of %s: %w", name, err)
	}
	return mail, nil
}

// Mailboxes implements Service.
func (l *Local) Mailboxes(ctx context.Context, q Name) ([]Mailbox, error) {
	mail, err := l.mail(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	defer mail.Release()
	infos, err := mail.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	var list []Mailbox
	for _, info := range infos {
		if !info.Exists || info.NoSelect {
			continue
		}
		box, err := mail.Mailbox(ctx, info.Name)
		if err != nil {
			return nil, err
		}
		s := box.Status()
		box.Release()
		list = append(list, Mailbox{
			Name: info.Name, Messages: s.Messages, Unseen: s.Unseen, Bytes: s.Size,
			UIDValidity: s.UIDValidity, UIDNext: uint32(s.UIDNext),
			SpecialUse: info.SpecialUse, Subscribed: info.Subscribed,
		})
	}
	return list, nil
}

// mailbox opens a mailbox of an account; call release after use.
func (l *Local) mailbox(ctx context.Context, account, name string) (box *storage.Mailbox, release func(), err error) {
	mail, err := l.mail(ctx, account)
	if err != nil {
		return nil, nil, err
	}
	box, err = mail.Mailbox(ctx, name)
	if err != nil {
		mail.Release()
		return nil, nil, fmt.Errorf("mailbox %q of %s: %w", name, account, err)
	}
	return box, func() { box.Release(); mail.Release() }, nil
}

// CreateMailbox implements Service.
func (l *Local) CreateMailbox(ctx context.Context, q NewMailbox) (None, error) {
	mail, err := l.mail(ctx, q.Account)
	if err != nil {
		return None{}, err
	}
	defer mail.Release()
	if err := mail.CreateMailbox(ctx, q.Name, ""); err != nil {
		return None{}, fmt.Errorf("mailbox %q of %s: %w", q.Name, q.Account, err)
	}
	return None{}, mail.Subscribe(ctx, q.Name, true)
}

// heldPage is how many messages Held answers at a time.
const heldPage = 1000

// Held implements Service.
func (l *Local) Held(ctx context.Context, q HeldQuery) ([]Held, error) {
	box, release, err := l.mailbox(ctx, q.Account, q.Mailbox)
	if err != nil {
		return nil, err
	}
	defer release()
	snapshot := box.Snapshot()
	first, _ := snapshot.Find(storage.UID(q.After) + 1)
	uids := snapshot.UIDs()[first:min(first+heldPage, snapshot.Len())]
	list := make([]Held, len(uids))
	for i := range list {
		e := snapshot.At(first + i)
		list[i] = Held{UID: uint32(e.UID), Internal: e.Internal, Size: e.Size}
	}
	i := 0
	for d, err := range box.Details(ctx, uids) {
		if err != nil {
			return nil, err
		}
		summary, err := box.Summary(d)
		if errors.Is(err, storage.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for list[i].UID != uint32(d.UID) { // expunged meanwhile
			i++
		}
		list[i].MessageID = summary.Envelope.MessageID.Value
	}
	return list, nil
}

// Append implements Service.
func (l *Local) Append(ctx context.Context, q NewMessage) (None, error) {
	if l.MaxMessage > 0 && q.Size > l.MaxMessage {
		return None{}, fmt.Errorf("%w: it has %d octets, limits.message_size is %d", ErrRefused, q.Size, l.MaxMessage)
	}
	if q.Size <= 0 {
		return None{}, fmt.Errorf("%w: it is empty", ErrRefused)
	}
	box, release, err := l.mailbox(ctx, q.Account, q.Mailbox)
	if err != nil {
		return None{}, err
	}
	defer release()
	_, err = box.Append(ctx, []storage.New{{
		Body: io.LimitReader(q.Body, q.Size), Size: q.Size, Flags: flagsOf(q.Flags), Internal: q.Internal,
	}})
	return None{}, err
}

// flagsOf leaves out what is no flag of a message here, such as \Recent, and what is no keyword.
func flagsOf(names []string) storage.Flags {
	system := map[string]uint8{
		`\seen`: storage.Seen, `\answered`: storage.Answered, `\flagged`: storage.Flagged, `\deleted`: storage.Deleted, `\draft`: storage.Draft,
	}
	var f storage.Flags
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, `\`):
			f.System |= system[strings.ToLower(name)]
		case wire.IsKeyword(name):
			f.Keywords = append(f.Keywords, name)
		}
	}
	return f
}

// Rebuild implements Service. An account that has lost its folder gets an empty one.
func (l *Local) Rebuild(ctx context.Context, q Name) (None, error) {
	if a, err := l.account(ctx, q.Name); err == nil { // there may be mail without an account, too
		if err := l.Store.CreateAccount(ctx, a.Name); err != nil { // a folder that is there stays as it is
			return None{}, err
		}
		q.Name = a.Name
	}
	mail, err := l.mail(ctx, q.Name)
	if err != nil {
		return None{}, err
	}
	defer mail.Release()
	return None{}, mail.Rebuild(ctx)
}

// Verify implements Service: one account, or all and the queue.
func (l *Local) Verify(ctx context.Context, q Name) ([]Problem, error) {
	var found []Problem
	names := []string{q.Name}
	if q.Name == "" {
		known, err := l.Directory.Accounts(ctx) // before the folders: AddAccount makes them first
		if err != nil {
			return nil, err
		}
		if names, err = l.Store.Accounts(); err != nil {
			return nil, err
		}
		for _, a := range known {
			if !slices.Contains(names, a.Name) {
				found = append(found, Problem{Account: a.Name, What: "the account has no folder for its mail"})
			}
		}
	}
	for _, name := range names {
		mail, err := l.mail(ctx, name)
		if err != nil {
			return found, err
		}
		problems, err := mail.Verify(ctx)
		mail.Release()
		if err != nil {
			return found, fmt.Errorf("verify %s: %w", name, err)
		}
		for _, p := range problems {
			found = append(found, Problem{Account: name, Mailbox: p.Mailbox, UID: uint32(p.UID), Path: p.Path, What: p.What})
		}
	}
	if q.Name != "" {
		return found, nil
	}
	queued, err := l.Queue.Verify(ctx)
	for _, p := range queued {
		found = append(found, Problem{Message: p.ID, What: p.What})
	}
	return found, err
}
