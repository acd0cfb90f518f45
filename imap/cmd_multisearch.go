package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// mailboxFilter chooses mailboxes, for MULTISEARCH (RFC 7377 2.1) and NOTIFY (RFC 5465 6).
type mailboxFilter struct {
	kind  string // SELECTED, SELECTED-DELAYED, INBOXES, PERSONAL, SUBSCRIBED, SUBTREE, SUBTREE-ONE, MAILBOXES
	names []string
}

func parseMailboxFilter(d *wire.Decoder) mailboxFilter {
	f := mailboxFilter{kind: d.Keyword()}
	switch f.kind {
	case "SELECTED", "SELECTED-DELAYED", "INBOXES", "PERSONAL", "SUBSCRIBED":
	case "SUBTREE", "SUBTREE-ONE", "MAILBOXES":
		d.SP()
		if d.Peek() != '(' {
			f.names = []string{d.Mailbox()}
			break
		}
		d.List(func() { f.names = append(f.names, d.Mailbox()) })
		if len(f.names) == 0 {
			d.Fail("no mailbox names")
		}
	default:
		d.Fail("unknown mailbox filter %s", f.kind)
	}
	return f
}

// matches reports whether a mailbox is chosen. SELECTED is for the caller to see to.
func (f mailboxFilter) matches(m *storage.MailboxInfo) bool {
	switch f.kind {
	case "INBOXES": // where new mail may be delivered; Sieve may file into any
		return m.Name == "INBOX"
	case "PERSONAL":
		return true
	case "SUBSCRIBED":
		return m.Subscribed
	case "MAILBOXES":
		return slices.Contains(f.names, m.Name)
	}
	for _, name := range f.names {
		below, ok := strings.CutPrefix(m.Name, name+"/")
		if m.Name == name || ok && (f.kind == "SUBTREE" || f.kind == "SUBTREE-ONE" && !strings.Contains(below, "/")) {
			return true
		}
	}
	return false
}

// multiSearch is ESEARCH: one search over several mailboxes (RFC 7377).
func (s *session) multiSearch(ctx context.Context, r *request) error {
	d := s.dec
	d.SP()
	filters := []mailboxFilter{{kind: "SELECTED"}}
	if d.TakeWord("IN") {
		filters = nil
		d.List(func() { filters = append(filters, parseMailboxFilter(d)) })
		d.SP()
	}
	opts := parseReturn(d)
	key, err := s.searchProgram()
	if err != nil {
		return err
	}
	if opts.update || key.usesNumbers() {
		return bad("Message numbers and UPDATE need one mailbox")
	}
	if !opts.given {
		opts.all = true
	}
	names, err := s.chosen(ctx, filters)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.searchOne(ctx, r, name, &opts, key); err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

// chosen lists the names of the mailboxes that filters choose, each once.
func (s *session) chosen(ctx context.Context, filters []mailboxFilter) ([]string, error) {
	boxes, err := s.acct.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range filters {
		if strings.HasPrefix(f.kind, "SELECTED") {
			if s.view == nil { // RFC 7377 2.1
				return nil, bad("No mailbox selected")
			}
			names = append(names, s.view.box.Name())
			continue
		}
		for i := range boxes {
			if boxes[i].Exists && !boxes[i].NoSelect && f.matches(&boxes[i]) {
				names = append(names, boxes[i].Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// searchOne searches one mailbox; it answers only when something was found.
func (s *session) searchOne(ctx context.Context, r *request, name string, opts *returnOptions, key *searchKey) error {
	box, err := s.open(ctx, name)
	if err != nil {
		return err
	}
	defer box.Release()
	snap := box.Snapshot()
	v := &view{box: box, snap: snap, uids: snap.UIDs(), readOnly: true}
	found, err := s.searcher(v, r).run(ctx, key)
	if err != nil || len(found) == 0 {
		return err
	}
	if s.view != nil && s.view.box.Name() == name && opts.save {
		s.saved = toSave(v, opts, found)
	}
	if opts.wants() {
		a := &searchAnswer{session: s, uid: true, modSeq: key.usesModSeq()}
		a.correlator = fmt.Sprintf("TAG %s MAILBOX %s UIDVALIDITY %d", wire.AppendString(nil, r.tag, false), s.mailboxText(name), snap.UIDValidity)
		a.write(v, opts, found)
	}
	return nil
}
