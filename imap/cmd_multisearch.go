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
	case "INBOXES", "PERSONAL":
		// Subaddresses are delivered into any mailbox: RFC 5465 6.3 makes the two the same then.
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
		return s.notSaved(&opts, err)
	}
	others := slices.ContainsFunc(filters, func(f mailboxFilter) bool { return f.kind != "SELECTED" })
	switch { // RFC 7377 2.2
	case slices.ContainsFunc(filters, func(f mailboxFilter) bool { return f.kind == "SELECTED-DELAYED" }):
		return bad("SELECTED-DELAYED is for NOTIFY only")
	case opts.save && others:
		return bad("SAVE is about the selected mailbox only")
	case opts.update && s.view == nil:
		return bad("UPDATE needs a selected mailbox")
	case opts.update:
		if err := s.mayUpdate(r); err != nil {
			return err
		}
	}
	if !opts.given {
		opts.all = true
	}
	names, err := s.chosen(ctx, filters)
	if err != nil {
		return s.notSaved(&opts, err)
	}
	if key.usesModSeq() {
		s.useCondstore()
	}
	for _, name := range names {
		if err := s.searchOne(ctx, r, name, &opts, key); err != nil && !isMissing(err) {
			return s.notSaved(&opts, err)
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

// searchOne searches one mailbox; it answers only when something was found (RFC 7377 2.1).
func (s *session) searchOne(ctx context.Context, r *request, name string, opts *returnOptions, key *searchKey) error {
	v, release, err := s.viewOf(ctx, r, name)
	if err != nil {
		return err
	}
	defer release()
	p := s.progress(r)
	found, err := patiently(p, func() ([]int, error) { return s.searcher(v, p).run(ctx, key) })
	if err != nil {
		return err
	}
	if v == s.view && opts.save {
		s.saved = toSave(v, opts, found)
	}
	correlator := fmt.Sprintf("TAG %s MAILBOX %s UIDVALIDITY %d", wire.AppendString(nil, r.tag, false), s.mailboxText(name), v.snap.UIDValidity)
	if len(found) > 0 && opts.wants() {
		a := &searchAnswer{session: s, correlator: correlator, uid: true, modSeq: key.usesModSeq()}
		a.write(v, opts, found)
	}
	if v == s.view && opts.update {
		s.addContext(r, correlator, opts, key.clone(), found)
	}
	return nil
}

// viewOf is the view of the selected mailbox, brought up to date, or else one to look at a mailbox once.
func (s *session) viewOf(ctx context.Context, r *request, name string) (v *view, release func(), err error) {
	if s.view != nil && s.view.box.Name() == name {
		return s.view, func() {}, s.refresh(ctx, r)
	}
	box, err := s.open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	snap := box.Snapshot()
	return &view{box: box, snap: snap, uids: snap.UIDs(), readOnly: true}, box.Release, nil
}
