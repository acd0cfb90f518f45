package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"facteur/storage/maildir"
)

// Metadata reads METADATA entries (RFC 5464) of a mailbox, or of the account with
// mailbox "". Names are in lower case, "/private/comment".
func (a *Account) Metadata(ctx context.Context, mailbox string) (map[string][]byte, error) {
	if mailbox == "" {
		a.treeMu.RLock()
		defer a.treeMu.RUnlock()
		return maps.Clone(a.info.Meta), nil
	}
	m, err := a.find(mailbox)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.info.Meta), nil
}

func (a *Account) find(name string) (*Mailbox, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	a.treeMu.RLock()
	defer a.treeMu.RUnlock()
	if m := a.mailboxes[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("mailbox %q: %w", name, ErrNoMailbox)
}

// Limits of METADATA, for each mailbox.
const (
	maxMetaEntries = 100
	maxMetaBytes   = 256 << 10
)

// SetMetadata sets entries; a nil value removes one. Metadata is kept in a text file
// in the folder, since the index can be thrown away. A mailbox's HighestModSeq rises.
func (a *Account) SetMetadata(ctx context.Context, mailbox string, entries map[string][]byte) error {
	set := func(info *maildir.Info, write func() error) error {
		meta, err := mergeMeta(info.Meta, entries)
		if err != nil {
			return err
		}
		was := info.Meta
		info.Meta = meta
		if err := write(); err != nil {
			info.Meta = was
			return err
		}
		a.treeChanged()
		return nil
	}
	if mailbox == "" {
		a.treeMu.Lock()
		defer a.treeMu.Unlock()
		return set(a.info, a.writeAccountInfo)
	}
	if err := a.refreshTree(ctx); err != nil {
		return err
	}
	m, err := a.find(mailbox)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return err
	}
	return set(m.info, func() error {
		if err := m.writeInfo(); err != nil {
			return err
		}
		s := m.base() // RFC 7162 3.2
		s.HighestModSeq = m.nextModSeq()
		m.publish(s)
		return nil
	})
}

func mergeMeta(old, entries map[string][]byte) (map[string][]byte, error) {
	meta := map[string][]byte{}
	maps.Copy(meta, old)
	for name, value := range entries {
		if value == nil {
			delete(meta, strings.ToLower(name))
		} else {
			meta[strings.ToLower(name)] = slices.Clone(value)
		}
	}
	size := 0
	for name, value := range meta {
		size += len(name) + len(value)
	}
	if len(meta) > maxMetaEntries || size > maxMetaBytes {
		return nil, fmt.Errorf("metadata: %w", ErrLimit)
	}
	return meta, nil
}
