package admin

import (
	"context"
	"fmt"

	"facteur/storage"
)

// mail opens an account's mail; release it.
func (l *Local) mail(ctx context.Context, name string) (*storage.Account, error) {
	name, err := accountName(name)
	if err != nil {
		return nil, err
	}
	mail, err := l.Store.Account(ctx, name)
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

// Rebuild implements Service.
func (l *Local) Rebuild(ctx context.Context, q Name) (None, error) {
	mail, err := l.mail(ctx, q.Name)
	if err != nil {
		return None{}, err
	}
	defer mail.Release()
	return None{}, mail.Rebuild(ctx)
}

// Verify implements Service: one account, or all and the queue.
func (l *Local) Verify(ctx context.Context, q Name) ([]Problem, error) {
	names := []string{q.Name}
	if q.Name == "" {
		var err error
		if names, err = l.Store.Accounts(); err != nil {
			return nil, err
		}
	}
	var found []Problem
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
