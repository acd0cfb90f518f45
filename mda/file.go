package mda

import (
	"context"
	"strings"

	"facteur/storage"
)

// file decides where a message goes in an account, and with which flags. It is the one place that does;
// there is at least one mailbox in the answer.
func (a *Agent) file(ctx context.Context, acct *storage.Account, detail string, junk bool) ([]string, storage.Flags, error) {
	if !junk && (detail == "" || !a.cfg.DetailFolders) {
		return []string{"INBOX"}, storage.Flags{}, nil
	}
	boxes, err := acct.Mailboxes(ctx)
	if err != nil {
		return nil, storage.Flags{}, err
	}
	if junk {
		return []string{junkMailbox(boxes)}, storage.Flags{}, nil
	}
	return []string{detailMailbox(boxes, detail)}, storage.Flags{}, nil
}

// junkMailbox is the one with the special use (RFC 6154), or "Junk", which storage makes when it is missing.
func junkMailbox(boxes []storage.MailboxInfo) string {
	for _, b := range boxes {
		if b.Exists && !b.NoSelect && b.SpecialUse == `\Junk` {
			return b.Name
		}
	}
	return "Junk"
}

// detailMailbox is the mailbox of a subaddress's name, in any case, or INBOX: senders can't make mailboxes.
func detailMailbox(boxes []storage.MailboxInfo, detail string) string {
	for _, b := range boxes {
		if b.Exists && !b.NoSelect && strings.EqualFold(b.Name, detail) {
			return b.Name
		}
	}
	return "INBOX"
}
