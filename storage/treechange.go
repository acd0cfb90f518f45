package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"facteur/storage/maildir"
)

// mailboxForDelivery opens a mailbox; one that is missing is made, and subscribed.
func (a *Account) mailboxForDelivery(ctx context.Context, name string) (*Mailbox, error) {
	clean, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	for {
		a.treeMu.RLock()
		m := a.mailboxes[clean]
		if m != nil {
			m.refs.Add(1)
		}
		a.treeMu.RUnlock()
		if m != nil {
			return m, nil
		}
		if err := a.refreshTree(ctx); err != nil { // another program may have made it
			return nil, err
		}
		if err := a.createMailbox(clean, "", true); err != nil {
			return nil, err
		}
	}
}

// CreateMailbox makes a mailbox and its missing parents. use is a special-use
// attribute such as "\\Archive", or empty.
func (a *Account) CreateMailbox(ctx context.Context, name, use string) error {
	clean, err := cleanName(name)
	if err != nil {
		return err
	}
	if err := a.refreshTree(ctx); err != nil {
		return err
	}
	a.treeMu.RLock()
	exists := a.mailboxes[clean] != nil
	a.treeMu.RUnlock()
	if exists {
		return fmt.Errorf("mailbox %q: %w", clean, ErrExists)
	}
	return a.createMailbox(clean, use, false)
}

func (a *Account) createMailbox(name, use string, subscribed bool) error {
	if err := a.s.Free(); err != nil {
		return err
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	defer a.listed()
	for parent := parentOf(name); parent != ""; parent = parentOf(parent) {
		if err := a.makeFolder(parent, "", subscribed); err != nil {
			return err
		}
	}
	if err := a.makeFolder(name, use, subscribed); err != nil {
		return err
	}
	a.treeChanged()
	return nil
}

// makeFolder makes one mailbox, if it isn't there. treeMu is held.
func (a *Account) makeFolder(name, use string, subscribed bool) error {
	if a.mailboxes[name] != nil {
		return nil
	}
	validity, err := a.newValidity()
	if err != nil {
		return err
	}
	// A name that was subscribed before it existed is so again.
	subscribed = subscribed || slices.Contains(a.info.Names, name)
	info := &maildir.Info{UIDValidity: validity, UIDBound: 1, ID: newMailboxID(), Use: use, Subscribed: subscribed}
	folder := folderOf(name)
	if err := maildir.CreateFolder(a.fs, folder, info); err != nil {
		return fmt.Errorf("create mailbox %q: %w", name, diskError(err))
	}
	m := &Mailbox{a: a, validity: validity, id: info.ID, info: info, started: true}
	m.place.Store(&place{name, folder})
	m.listed.Store(&listing{use, subscribed})
	if dir, err := a.fs.Lstat(folder); err == nil {
		m.dir.Store(&dir)
	}
	a.mailboxes[name] = m
	return nil
}

func (a *Account) hasChild(name string) bool {
	for other := range a.mailboxes {
		if strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// DeleteMailbox removes a mailbox with all its messages. One with children becomes
// \NoSelect (RFC 9051 6.3.5); ErrHasChild when it is that already. INBOX stays: ErrInbox.
func (a *Account) DeleteMailbox(ctx context.Context, name string) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	if name == maildir.Inbox {
		return fmt.Errorf("delete INBOX: %w", ErrInbox)
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	m := a.mailboxes[name]
	if m == nil {
		if a.hasChild(name) {
			return fmt.Errorf("delete mailbox %q: %w", name, ErrHasChild)
		}
		return fmt.Errorf("mailbox %q: %w", name, ErrNoMailbox)
	}
	m.mu.Lock()
	folder := m.place.Load().folder
	subscribed := m.info.Subscribed
	// One rename takes the whole folder out of sight; a crash before all is removed leaves
	// it under a name that the next open sweeps.
	trash := trashPrefix + maildir.NewUnique()
	err = a.fs.Rename(folder, trash)
	if err == nil {
		err = a.fs.SyncDir(".")
	}
	if err != nil {
		m.mu.Unlock()
		return fmt.Errorf("delete mailbox %q: %w", name, diskError(err))
	}
	m.mu.Unlock()
	delete(a.mailboxes, name)
	a.dropMailbox(m)
	a.listed()
	if subscribed {
		// RFC 9051 6.3.9: the subscription of a name outlives the mailbox. A disk too full to note it must not make a NO of what is
		// done, and makes room.
		if err := a.subscribeName(name, true); err != nil {
			a.s.cfg.Log.Warn("subscription of a deleted mailbox not kept", "account", a.name, "mailbox", name, "error", err)
		}
	}
	a.treeChanged()
	if err := a.fs.RemoveAll(trash); err != nil {
		a.s.cfg.Log.Warn("files of a deleted mailbox are left", "account", a.name, "folder", trash, "error", err)
	}
	return nil
}

// trashPrefix starts the names of folders that are being deleted. No mailbox's folder
// can have it: theirs start with a dot.
const trashPrefix = "deleted-"

// sweepDeleted removes what a crash left of mailboxes that were being deleted.
func (a *Account) sweepDeleted() error {
	names, err := a.fs.ReadDir(".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, trashPrefix) {
			if err := a.fs.RemoveAll(name); err != nil {
				return fmt.Errorf("remove deleted mailbox: %w", err)
			}
		}
	}
	return nil
}

// subscribeName notes a name in the account's text file. treeMu is held.
func (a *Account) subscribeName(name string, on bool) error {
	had := slices.Contains(a.info.Names, name)
	if had == on {
		return nil
	}
	names := slices.DeleteFunc(slices.Clone(a.info.Names), func(n string) bool { return n == name })
	if on {
		if len(names) >= 10000 {
			return fmt.Errorf("subscribe to %q: %w", name, ErrLimit)
		}
		names = append(names, name)
	}
	was := a.info.Names
	a.info.Names = names
	if err := a.writeAccountInfo(); err != nil {
		a.info.Names = was
		return err
	}
	return nil
}

// Subscribe sets or clears a name's subscription, whether it exists or not.
func (a *Account) Subscribe(ctx context.Context, name string, on bool) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	if err := a.refreshTree(ctx); err != nil {
		return err
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	m := a.mailboxes[name]
	if m == nil || !on {
		if err := a.subscribeName(name, on); err != nil {
			return err
		}
	}
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.info.Subscribed != on {
			m.info.Subscribed = on
			if err := m.writeInfo(); err != nil {
				m.info.Subscribed = !on
				return err
			}
		}
	}
	a.treeChanged()
	return nil
}

// RenameMailbox renames a mailbox with its children; UIDVALIDITY and UIDs stay. Of INBOX
// it moves the messages into the new mailbox and leaves INBOX empty (RFC 9051 6.3.6), but
// for its metadata, of which both have one (RFC 5464 4.1).
func (a *Account) RenameMailbox(ctx context.Context, from, to string) error {
	from, err := cleanName(from)
	if err != nil {
		return err
	}
	if to, err = cleanName(to); err != nil {
		return err
	}
	if to == maildir.Inbox || strings.HasPrefix(to, from+"/") && from != maildir.Inbox {
		return fmt.Errorf("rename %q to %q: %w", from, to, ErrName)
	}
	if from == maildir.Inbox {
		return a.renameInbox(ctx, to)
	}
	if err := a.refreshTree(ctx); err != nil {
		return err
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	defer a.listed()
	moves, err := a.planRename(from, to)
	if err != nil {
		return err
	}
	for parent := parentOf(to); parent != ""; parent = parentOf(parent) {
		if err := a.makeFolder(parent, "", false); err != nil {
			return err
		}
	}
	done := 0
	for _, mv := range moves {
		if err = a.moveFolder(mv); err != nil {
			break
		}
		done++
	}
	if err == nil {
		err = a.fs.SyncDir(".")
	}
	if err != nil { // all or none
		for _, mv := range moves[:done] {
			a.moveFolder(folderMove{mv.m, mv.to, mv.from})
		}
		return fmt.Errorf("rename %q to %q: %w", from, to, diskError(err))
	}
	a.treeChanged()
	return nil
}

type folderMove struct {
	m        *Mailbox
	from, to string
}

func (a *Account) planRename(from, to string) ([]folderMove, error) {
	if a.mailboxes[from] == nil && !a.hasChild(from) {
		return nil, fmt.Errorf("mailbox %q: %w", from, ErrNoMailbox)
	}
	if a.mailboxes[to] != nil || a.hasChild(to) {
		return nil, fmt.Errorf("mailbox %q: %w", to, ErrExists)
	}
	var moves []folderMove
	for _, name := range slices.Sorted(maps.Keys(a.mailboxes)) {
		if name != from && !strings.HasPrefix(name, from+"/") {
			continue
		}
		target, err := cleanName(to + strings.TrimPrefix(name, from))
		if err != nil {
			return nil, err
		}
		moves = append(moves, folderMove{a.mailboxes[name], name, target})
	}
	return moves, nil
}

// moveFolder renames one folder. treeMu is held.
func (a *Account) moveFolder(mv folderMove) error {
	mv.m.mu.Lock()
	defer mv.m.mu.Unlock()
	to := &place{mv.to, folderOf(mv.to)}
	if err := a.fs.Rename(mv.m.place.Load().folder, to.folder); err != nil {
		return err
	}
	mv.m.place.Store(to)
	delete(a.mailboxes, mv.from)
	a.mailboxes[mv.to] = mv.m
	return nil
}

func (a *Account) renameInbox(ctx context.Context, to string) error {
	if err := a.CreateMailbox(ctx, to, ""); err != nil {
		return err
	}
	inbox, err := a.Mailbox(ctx, maildir.Inbox)
	if err != nil {
		return err
	}
	defer inbox.Release()
	target, err := a.Mailbox(ctx, to)
	if err != nil {
		return err
	}
	defer target.Release()
	if _, err = inbox.Move(ctx, inbox.Snapshot().UIDs(), target); err != nil {
		return err
	}
	meta, err := a.Metadata(ctx, maildir.Inbox)
	if err != nil || len(meta) == 0 {
		return err
	}
	return a.SetMetadata(ctx, to, meta)
}
