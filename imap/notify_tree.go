package imap

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// treeName is a name of the listing as the client of NOTIFY knows it.
type treeName struct {
	attrs string // as LIST would show them
	id    string // RFC 8474 MAILBOXID; empty: it is no mailbox
	meta  map[string][]byte
}

// reportTree looks at the listing again, if it has changed, and tells of names, subscriptions
// and metadata (RFC 5465 5.4 to 5.7); mailboxes that have come into a filter's reach are
// opened. Names that quiet says are taken over in silence; nil: none are.
func (s *session) reportTree(ctx context.Context, quiet func(name string) bool) error {
	n := s.notifying
	gen := s.acct.Generation()
	if n.tree != nil && gen == n.gen {
		return nil
	}
	boxes, err := s.acct.Mailboxes(ctx)
	if err != nil {
		return err
	}
	if quiet == nil {
		quiet = func(string) bool { return false }
	}
	t := &treeReport{session: s, quiet: quiet, was: n.tree, now: make(map[string]treeName, len(boxes)), renamed: make(map[string]string)}
	if err := t.run(ctx, boxes); err != nil {
		return err
	}
	for name, state := range n.state {
		if state.box.Gone() || state.box.Name() != name {
			state.box.Release()
			delete(n.state, name)
		}
	}
	n.tree, n.gen = t.now, gen
	return nil
}

// ownTreeChange takes over in silence what this client has done to names itself (RFC 5465 5),
// and so to those above and below them.
func (s *session) ownTreeChange(ctx context.Context, names ...string) error {
	if s.notifying == nil || len(s.notifying.groups) == 0 {
		return nil
	}
	return s.reportTree(ctx, func(name string) bool {
		return slices.ContainsFunc(names, func(own string) bool {
			return name == own || strings.HasPrefix(name, own+"/") || strings.HasPrefix(own, name+"/")
		})
	})
}

// treeReport compares two listings.
type treeReport struct {
	*session
	quiet    func(name string) bool
	was, now map[string]treeName
	names    map[string]string // of those in was, by ID
	renamed  map[string]string // new names, and what they were
	affected map[string]bool   // the parents of what was created or deleted (RFC 5465 5.4)
}

func (t *treeReport) run(ctx context.Context, boxes []storage.MailboxInfo) error {
	n := t.notifying
	t.names = make(map[string]string, len(t.was))
	for name, old := range t.was {
		if old.id != "" {
			t.names[old.id] = name
		}
	}
	t.findAffected(boxes)
	q := &listRequest{extended: true, showSubscribed: true}
	for i := range boxes {
		m := &boxes[i]
		events := n.events(m)
		if err := t.compare(ctx, m, strings.Join(q.attributes(listed{MailboxInfo: *m}), " "), events); err != nil {
			return err
		}
		if err := t.watchMailbox(ctx, m, events); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.was)) {
		_, there := t.now[name]
		if !there && !t.movedAway(name) && !t.quiet(name) && n.events(&storage.MailboxInfo{Name: name}).has(mailboxName) {
			t.out.printf("* LIST (\\NonExistent) \"/\" %s\r\n", t.mailboxText(name))
		}
	}
	if n.serverEvents() != 0 {
		meta, err := t.compareMeta(ctx, "", n.meta)
		n.meta = meta
		return err
	}
	return nil
}

func (t *treeReport) findAffected(boxes []storage.MailboxInfo) {
	t.affected = make(map[string]bool)
	there, ids := make(map[string]bool, len(boxes)), make(map[string]bool, len(boxes))
	for i := range boxes {
		m := &boxes[i]
		there[m.Name], ids[m.ID] = true, true
		if _, known := t.was[m.Name]; !known && t.names[m.ID] == "" {
			t.affected[parentOf(m.Name)] = true
		}
	}
	for name, old := range t.was {
		if !there[name] && (old.id == "" || !ids[old.id]) {
			t.affected[parentOf(name)] = true
		}
	}
}

// compare tells what is new about a name.
func (t *treeReport) compare(ctx context.Context, m *storage.MailboxInfo, attrs string, events notifyEvents) error {
	old, known := t.was[m.Name]
	if from, ok := t.names[m.ID]; ok && m.ID != "" && from != m.Name {
		t.renamed[m.Name] = from
		old = t.was[from]
		t.moveState(from, m.Name)
	}
	if !m.Subscribed && strings.Contains(old.attrs, `\Subscribed`) { // SUBSCRIBED ends with what it has to tell
		was := *m
		was.Subscribed = true
		events |= t.notifying.events(&was) & subscriptionChange
	}
	switch from := t.renamed[m.Name]; {
	case t.quiet(m.Name):
	case from != "" && from == t.renamed[parentOf(m.Name)]+strings.TrimPrefix(m.Name, parentOf(m.Name)):
		// It has moved with the one above it: RFC 5465 5.4 wants nothing more told.
	case from != "" && events.has(mailboxName):
		t.out.printf("* LIST (%s) \"/\" %s (\"OLDNAME\" (%s))\r\n", attrs, t.mailboxText(m.Name), t.mailboxText(from))
	case !known && events.has(mailboxName), known && old.attrs != attrs && events.has(mailboxName|subscriptionChange),
		t.affected[m.Name] && events.has(mailboxName):
		t.out.printf("* LIST (%s) \"/\" %s\r\n", attrs, t.mailboxText(m.Name))
	}
	now := treeName{attrs: attrs, id: m.ID}
	var err error
	if events.has(mailboxMetadata) && m.ID != "" {
		now.meta, err = t.compareMeta(ctx, m.Name, old.meta)
	}
	t.now[m.Name] = now
	return err
}

// movedAway reports whether a name that is no more lives on under another that the client has
// been told of.
func (t *treeReport) movedAway(name string) bool {
	for to, from := range t.renamed {
		if from == name {
			return t.notifying.events(&storage.MailboxInfo{Name: to}).has(mailboxName)
		}
	}
	return false
}

// moveState keeps what is known of a mailbox's messages when it gets another name.
func (t *treeReport) moveState(from, to string) {
	if state, ok := t.notifying.state[from]; ok && state.box.Name() == to {
		delete(t.notifying.state, from)
		t.notifying.state[to] = state
	}
}

// compareMeta tells of entries that have been set, changed or removed (RFC 5465 5.6, 5.7; RFC
// 5464 4.4.2), and returns them all. The server's have the name "".
func (t *treeReport) compareMeta(ctx context.Context, name string, was map[string][]byte) (map[string][]byte, error) {
	now, err := t.acct.Metadata(ctx, name)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil || t.quiet(name) {
		return now, err
	}
	var changed []string
	for entry, value := range now {
		if before, ok := was[entry]; !ok || !bytes.Equal(before, value) {
			changed = append(changed, entry)
		}
	}
	for entry := range was {
		if _, ok := now[entry]; !ok {
			changed = append(changed, entry)
		}
	}
	if len(changed) == 0 {
		return now, nil
	}
	slices.Sort(changed)
	t.out.hold()
	b := append(t.out.buf, "* METADATA "...)
	b = t.appendMailbox(b, name)
	for _, entry := range changed {
		b = wire.AppendAString(append(b, ' '), entry, false)
	}
	t.out.buf = append(b, "\r\n"...)
	t.out.spill()
	return now, nil
}

// watchMailbox opens a mailbox whose messages are to be told of.
func (t *treeReport) watchMailbox(ctx context.Context, m *storage.MailboxInfo, events notifyEvents) error {
	n := t.notifying
	state, known := n.state[m.Name]
	if known && !state.box.Gone() && state.box.Name() == m.Name {
		state.events = events
		n.state[m.Name] = state
		return nil
	}
	if !events.has(messageEvents) || !m.Exists || m.NoSelect {
		return nil
	}
	box, err := t.open(ctx, m.Name)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if known { // that one has been deleted, and another has its name
		state.box.Release()
	}
	status := box.Status()
	n.state[m.Name] = notified{events: events, status: status, box: box}
	if !t.quiet(m.Name) && (known || status.Messages > 0) {
		t.putStatus(m.Name, status, t.withModSeq(allStatus()))
	}
	return nil
}
