package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// ledger holds what the server was asked to do with each message, by its subject, and what it has
// acknowledged. What was asked and not acknowledged when the server died may have happened or not.
type ledger struct {
	at    site
	mu    sync.Mutex
	state map[string]*fate
	next  int
	uids  map[string]string // by user, UIDVALIDITY and UID, the subject that was seen: none may come back as another message
}

type fate struct {
	user string
	sure bool // stored is acknowledged
	gone gone // expunge
	twin bool // another copy is possible: COPY was asked for, or the queue may send twice
}

type gone uint8

const (
	kept  gone = iota
	asked      // to be removed; not acknowledged
	removed
)

func newLedger(at site) *ledger {
	return &ledger{at: at, state: map[string]*fate{}, uids: map[string]string{}}
}

// offer notes a message that is about to be sent, and gives its subject.
func (l *ledger) offer(user, kind string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	subject := fmt.Sprintf("%s-%06d", kind, l.next)
	l.state[subject] = &fate{user: user, twin: kind == "submitted"}
	return subject
}

func (l *ledger) stored(subject string) { l.set(subject, func(f *fate) { f.sure = true }) }
func (l *ledger) remove(subject string) { l.set(subject, func(f *fate) { f.gone = asked }) }
func (l *ledger) removed(subject string) {
	l.set(subject, func(f *fate) { f.gone = removed })
}

func (l *ledger) set(subject string, change func(*fate)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.state[subject]; f != nil {
		change(f)
	}
}

// forget notes that everything in a user's INBOX that is acknowledged is expunged.
func (l *ledger) forget(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.state {
		if f.user == user && f.sure {
			f.gone = removed
		}
	}
}

// check reads all of a user's mailboxes and compares.
func (l *ledger) check(user string) error {
	c, err := l.at.login(user)
	if err != nil {
		return err
	}
	defer c.Close()
	found, err := l.read(c, user)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for subject, f := range l.state {
		if f.user != user {
			continue
		}
		n := len(found[subject])
		switch {
		case n == 0 && f.sure && f.gone == kept:
			errs = append(errs, fmt.Errorf("%s was acknowledged and is lost", subject))
		case n > 0 && f.gone == removed:
			errs = append(errs, fmt.Errorf("%s was expunged and is in %s", subject, strings.Join(found[subject], ", ")))
		case n > 1 && !f.twin:
			errs = append(errs, fmt.Errorf("%s is %w: in %s", subject, errDoubled, strings.Join(found[subject], ", ")))
		}
		if n > 0 {
			f.sure = true // seen once, it may not vanish later
			if f.gone == asked {
				f.gone = kept
			}
		} else if f.gone == asked || !f.sure {
			delete(l.state, subject)
		}
	}
	if len(errs) > 10 {
		errs = append(errs[:10], fmt.Errorf("and %d more", len(errs)-10))
	}
	return errors.Join(errs...)
}

// read lists the subjects of all messages with the mailboxes they are in.
func (l *ledger) read(c *imapclient.Client, user string) (map[string][]string, error) {
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, box := range boxes {
		if slices.Contains(box.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(box.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		subjects, err := l.readMailbox(c, user, box.Mailbox)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", box.Mailbox, err)
		}
		for _, subject := range subjects {
			found[subject] = append(found[subject], box.Mailbox)
		}
	}
	return found, nil
}

// readMailbox lists the subjects in a mailbox, and checks that UIDs rise and none means another message than before.
func (l *ledger) readMailbox(c *imapclient.Client, user, mailbox string) (subjects []string, err error) {
	data, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return nil, fmt.Errorf("SELECT: %w", err)
	}
	if data.NumMessages == 0 {
		return nil, nil
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	msgs, err := c.Fetch(all, &imap.FetchOptions{UID: true, Envelope: true, RFC822Size: true}).Collect()
	if err != nil {
		return nil, fmt.Errorf("FETCH: %w", err)
	}
	if uint32(len(msgs)) != data.NumMessages {
		return nil, fmt.Errorf("it says %d messages and gives %d", data.NumMessages, len(msgs))
	}
	last := imap.UID(0)
	for _, m := range msgs {
		if m.UID <= last || m.UID >= data.UIDNext {
			return nil, fmt.Errorf("UID %d after %d, UIDNEXT %d", m.UID, last, data.UIDNext)
		}
		last = m.UID
		subject := m.Envelope.Subject
		subjects = append(subjects, subject)
		if was := l.seen(fmt.Sprintf("%s/%d/%d", user, data.UIDValidity, m.UID), subject); was != subject {
			return nil, fmt.Errorf("UID %d was %s and is now %s", m.UID, was, subject)
		}
	}
	return subjects, nil
}

// seen notes the subject of a UID, and returns what it was when it was seen first.
func (l *ledger) seen(uid, subject string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, known := l.uids[uid]; known {
		return was
	}
	l.uids[uid] = subject
	return subject
}
