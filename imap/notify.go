package imap

import (
	"context"
	"slices"
	"strings"

	"facteur/storage"
)

// notifySet is what NOTIFY SET has asked for (RFC 5465). Without one a session is told of
// its selected mailbox in the usual way, at the end of commands and in IDLE; an empty one
// (NOTIFY NONE) leaves the ends of commands.
type notifySet struct {
	groups []notifyGroup // SELECTED first, if it is there
	state  map[string]notified
	lists  map[string]string // attributes of each mailbox as LIST would show them
	gen    uint64
}

// notifyGroup is a filter and the events it is about.
type notifyGroup struct {
	filter mailboxFilter
	events notifyEvents
}

// notifyEvents are the events of RFC 5465 5.
type notifyEvents struct {
	messageNew, messageExpunge, flagChange bool
	mailboxName, subscriptionChange        bool
	mailboxMetadata, serverMetadata        bool
	unknown                                bool // there was another: NO [BADEVENT]

	items []fetchItem // of MessageNew in the selected mailbox; nil: EXISTS alone
}

// notified is what a client knows of a mailbox that it hasn't selected.
type notified struct {
	status storage.Status
	box    *storage.Mailbox
}

// selected are the events of the selected mailbox. delayed says that EXPUNGE waits for a
// command that allows it (RFC 5465 6.1: SELECTED-DELAYED).
func (n *notifySet) selected() (events notifyEvents, delayed, ok bool) {
	if n == nil || len(n.groups) == 0 || !strings.HasPrefix(n.groups[0].filter.kind, "SELECTED") {
		return notifyEvents{}, false, false
	}
	return n.groups[0].events, n.groups[0].filter.kind == "SELECTED-DELAYED", true
}

// events are those that a mailbox which is not selected is watched for: of the first group
// that has it (RFC 5465 3.1).
func (n *notifySet) events(m *storage.MailboxInfo) notifyEvents {
	for _, g := range n.groups {
		if !strings.HasPrefix(g.filter.kind, "SELECTED") && g.filter.matches(m) {
			return g.events
		}
	}
	return notifyEvents{}
}

func (e notifyEvents) messages() bool { return e.messageNew || e.messageExpunge || e.flagChange }

// dropNotify forgets what NOTIFY has asked for.
func (s *session) dropNotify() {
	if s.notifying == nil {
		return
	}
	for _, n := range s.notifying.state {
		n.box.Release()
	}
	s.notifying = nil
}

// wantsFlagChanges reports whether changed flags are told of.
func (s *session) wantsFlagChanges() bool {
	events, _, ok := s.notifying.selected()
	return !ok || events.flagChange
}

// reportNotify tells what NOTIFY has asked for; it runs between commands, and in IDLE.
func (s *session) reportNotify(ctx context.Context) error {
	if events, delayed, ok := s.notifying.selected(); ok && s.view != nil {
		if err := s.report(ctx, &request{}, events.messageExpunge && !delayed); err != nil {
			return err
		}
	}
	return s.reportOthers(ctx)
}

// reportNewMessages fetches, for MessageNew, the items that the client wants of messages
// that have just arrived (RFC 5465 5.2): those from position from on.
func (s *session) reportNewMessages(ctx context.Context, from int) error {
	events, _, ok := s.notifying.selected()
	if !ok || len(events.items) == 0 || from >= len(s.view.uids) {
		return nil
	}
	f := &fetcher{session: s, r: &request{}, items: events.items}
	return f.run(ctx, []span{{from, len(s.view.uids)}})
}

// reportOthers tells of the mailboxes that are not selected: STATUS where messages changed,
// LIST where names or subscriptions did.
func (s *session) reportOthers(ctx context.Context) error {
	n := s.notifying
	gen := s.acct.Generation()
	if gen != n.gen {
		n.gen = gen
		if err := s.reportTree(ctx); err != nil {
			return err
		}
	}
	for name, old := range n.state {
		status := old.box.Status()
		if status.HighestModSeq == old.status.HighestModSeq || s.view != nil && s.view.box.Name() == name {
			continue
		}
		events := n.events(&storage.MailboxInfo{Name: name, Subscribed: strings.Contains(n.lists[name], `\Subscribed`), Exists: true})
		if items := statusOf(events, old.status, status); len(items) > 0 {
			s.putStatus(name, status, s.withModSeq(items))
		}
		old.status = status
		n.state[name] = old
	}
	return nil
}

// allStatus is what there is to say of messages in a mailbox that is not selected.
func allStatus() []string { return []string{"MESSAGES", "UIDNEXT", "UNSEEN", "UIDVALIDITY"} }

// withModSeq adds HIGHESTMODSEQ for clients that know it (RFC 5465 5.3).
func (s *session) withModSeq(items []string) []string {
	if s.condstore {
		return append(items, "HIGHESTMODSEQ")
	}
	return items
}

// statusOf chooses the STATUS items of a change (RFC 5465 5.2, 5.3, 4).
func statusOf(e notifyEvents, old, now storage.Status) []string {
	arrived := now.UIDNext != old.UIDNext
	expunged := int64(now.Messages) < int64(old.Messages)+int64(now.UIDNext)-int64(old.UIDNext)
	var items []string
	switch {
	case arrived && e.messageNew, expunged && e.messageExpunge:
		items = allStatus()
	case !arrived && !expunged && e.flagChange:
		items = []string{"UIDVALIDITY", "UNSEEN"}
	default:
		return nil
	}
	return items
}

// reportTree looks at the listing again, opens mailboxes that have come into a filter's
// reach, and tells of names and subscriptions that have changed (RFC 5465 5.4, 5.5).
func (s *session) reportTree(ctx context.Context) error {
	n := s.notifying
	boxes, err := s.acct.Mailboxes(ctx)
	if err != nil {
		return err
	}
	first := n.lists == nil
	lists := make(map[string]string, len(boxes))
	q := &listRequest{extended: true, showSubscribed: true}
	for i := range boxes {
		m := &boxes[i]
		attrs := strings.Join(q.attributes(listed{MailboxInfo: *m}), " ")
		lists[m.Name] = attrs
		e := n.events(m)
		old, known := n.lists[m.Name]
		changed := !known && e.mailboxName || known && old != attrs && (e.subscriptionChange || e.mailboxName)
		if changed && !first {
			s.out.printf("* LIST (%s) \"/\" %s\r\n", attrs, s.mailboxText(m.Name))
		}
		if err := s.watchMailbox(ctx, m, e, first); err != nil {
			return err
		}
	}
	for name := range n.lists {
		if _, ok := lists[name]; !ok && n.events(&storage.MailboxInfo{Name: name}).mailboxName {
			s.out.printf("* LIST (\\NonExistent) \"/\" %s\r\n", s.mailboxText(name))
		}
	}
	for name, state := range n.state {
		if state.box.Gone() || state.box.Name() != name {
			state.box.Release()
			delete(n.state, name)
		}
	}
	n.lists = lists
	return nil
}

// watchMailbox opens a mailbox whose messages are to be told of.
func (s *session) watchMailbox(ctx context.Context, m *storage.MailboxInfo, e notifyEvents, first bool) error {
	n := s.notifying
	if _, ok := n.state[m.Name]; ok || !e.messages() || !m.Exists || m.NoSelect {
		return nil
	}
	box, err := s.open(ctx, m.Name)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	status := box.Status()
	n.state[m.Name] = notified{status: status, box: box}
	if !first && status.Messages > 0 && e.messageNew {
		s.putStatus(m.Name, status, s.withModSeq(allStatus()))
	}
	return nil
}

// sortGroups puts SELECTED first; there is one at most.
func sortGroups(groups []notifyGroup) {
	slices.SortStableFunc(groups, func(a, b notifyGroup) int {
		return boolInt(strings.HasPrefix(b.filter.kind, "SELECTED")) - boolInt(strings.HasPrefix(a.filter.kind, "SELECTED"))
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
