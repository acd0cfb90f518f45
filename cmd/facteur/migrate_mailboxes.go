package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"facteur/admin"
)

// oldMailbox is a mailbox of the old server, and where its messages go.
type oldMailbox struct {
	name, to string
	all      bool // it shows all messages (RFC 6154 \All): only those go that are in no other mailbox
}

// mailboxes lists what is to be copied: the person's own mailboxes that match one of the patterns.
func (o *oldConn) mailboxes(patterns []string, known []admin.Mailbox) ([]oldMailbox, error) {
	var options *imap.ListOptions
	// RFC 6154 2: others may show special use without being asked.
	if caps := o.Caps(); caps.Has(imap.CapSpecialUse) && caps.Has(imap.CapListExtended) {
		options = &imap.ListOptions{ReturnSpecialUse: true}
	}
	spaces, err := o.namespaces()
	if err != nil {
		return nil, err
	}
	var list []oldMailbox
	for _, pattern := range patterns {
		found, err := o.List("", pattern, options).Collect()
		if err != nil {
			return nil, o.failed("list mailboxes", err)
		}
		for _, data := range found {
			box, ok := destination(data, spaces, known)
			if ok && !slices.Contains(list, box) {
				list = append(list, box)
			}
		}
	}
	// What is in no other mailbox is known when the others are done.
	slices.SortStableFunc(list, func(a, b oldMailbox) int {
		return cmp.Or(compareBool(a.all, b.all), strings.Compare(a.name, b.name))
	})
	return list, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// namespaces asks for the prefixes of names (RFC 2342), where the server has any.
func (o *oldConn) namespaces() (*imap.NamespaceData, error) {
	if !o.Caps().Has(imap.CapNamespace) {
		return &imap.NamespaceData{}, nil
	}
	spaces, err := o.Namespace().Wait()
	if err != nil {
		return nil, o.failed("ask for namespaces", err)
	}
	return spaces, nil
}

// destination decides whether a mailbox is copied, and where to. What is used for sent mail and the like goes to the
// account's mailbox with that use.
func destination(data *imap.ListData, spaces *imap.NamespaceData, known []admin.Mailbox) (oldMailbox, bool) {
	name := data.Mailbox
	for _, space := range slices.Concat(spaces.Other, spaces.Shared) {
		if space.Prefix != "" && strings.HasPrefix(name, space.Prefix) {
			return oldMailbox{}, false // others' mail
		}
	}
	box := oldMailbox{name: name, to: nameHere(data, spaces)}
	for _, attr := range data.Attrs {
		use := string(attr)
		switch {
		case oneOfFold(use, string(imap.MailboxAttrNoSelect), string(imap.MailboxAttrNonExistent),
			string(imap.MailboxAttrFlagged), string(imap.MailboxAttrImportant)):
			return oldMailbox{}, false
		case strings.EqualFold(use, string(imap.MailboxAttrAll)):
			box.all, use = true, string(imap.MailboxAttrArchive)
		}
		for _, m := range known {
			if m.SpecialUse != "" && strings.EqualFold(m.SpecialUse, use) {
				box.to = m.Name
			}
		}
	}
	return box, box.to != ""
}

// nameHere translates a name: without the prefix of personal namespaces, and with our separator.
func nameHere(data *imap.ListData, spaces *imap.NamespaceData) string {
	name := data.Mailbox
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	for _, space := range spaces.Personal {
		if rest, ok := strings.CutPrefix(name, space.Prefix); ok && space.Prefix != "" {
			name = rest
			break
		}
	}
	levels := []string{name}
	if data.Delim != 0 {
		levels = strings.Split(name, string(data.Delim))
	}
	for i, level := range levels {
		levels[i] = strings.ReplaceAll(level, "/", "_")
	}
	return strings.Join(slices.DeleteFunc(levels, func(level string) bool { return level == "" }), "/")
}

func oneOfFold(s string, list ...string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(s, x) })
}
