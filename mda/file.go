package mda

import (
	"context"
	"strings"

	"facteur/storage"
)

// file decides into which mailbox of an account a message goes. It is the one place that does.
func (a *Agent) file(ctx context.Context, acct *storage.Account, detail string, junk bool) (mailbox string, err error) {
	if !junk && (detail == "" || !a.cfg.DetailFolders) {
		return "INBOX", nil
	}
	boxes, err := acct.Mailboxes(ctx)
	if err != nil {
		return "", err
	}
	if junk {
		return junkMailbox(boxes), nil
	}
	return detailMailbox(boxes, detail), nil
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
