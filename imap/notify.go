package imap

import (
	"context"
	"maps"
	"slices"
	"strings"

	"facteur/storage"
)

// notifySet is what NOTIFY SET has asked for (RFC 5465). Without one a session is told of
// its selected mailbox in the usual way, at the end of commands and in IDLE; an empty one
// (NOTIFY NONE) leaves the ends of commands, where RFC 9051 5.2 wants EXISTS in any case.
type notifySet struct {
	groups []notifyGroup // SELECTED first, if it is there
	state  map[string]notified
	tree   map[string]treeName
	meta   map[string][]byte // entries of the server
	gen    uint64
}

// notifyGroup is a filter and the events it is about.
type notifyGroup struct {
	filter  mailboxFilter
	events  notifyEvents // none: NONE
	unknown bool         // there was another: NO [BADEVENT]
	items   []fetchItem  // of MessageNew in the selected mailbox; nil: EXISTS alone
}

// notifyEvents is a set of the events of RFC 5465 5.
type notifyEvents uint8

const (
	messageNew notifyEvents = 1 << iota
	messageExpunge
	flagChange
	mailboxName
	subscriptionChange
	mailboxMetadata
	serverMetadata

	messageEvents = messageNew | messageExpunge | flagChange
)

// notifyNames are the events by the order of their bits.
var notifyNames = []string{
	"MessageNew", "MessageExpunge", "FlagChange", "MailboxName", "SubscriptionChange", "MailboxMetadataChange", "ServerMetadataChange",
}

func (e notifyEvents) has(any notifyEvents) bool { return e&any != 0 }

// notified is what a client knows of a mailbox that it hasn't selected.
type notified struct {
	events notifyEvents
	status storage.Status
	box    *storage.Mailbox
}

func (g *notifyGroup) selected() bool { return strings.HasPrefix(g.filter.kind, "SELECTED") }

// selected is the group of the selected mailbox; without one there are no events of it (RFC
// 5465 3.1). delayed says that EXPUNGE waits for a command that allows it (6.1.2).
func (n *notifySet) selected() (group notifyGroup, delayed bool) {
	if n == nil || len(n.groups) == 0 || !n.groups[0].selected() {
		return notifyGroup{}, false
	}
	return n.groups[0], n.groups[0].filter.kind == "SELECTED-DELAYED"
}

// events are those that a mailbox is watched for, but for its messages while it is selected:
// those of all groups that have it (RFC 5465 6), up to one that wants none of it.
func (n *notifySet) events(m *storage.MailboxInfo) notifyEvents {
	var events notifyEvents
	for _, g := range n.groups {
		if g.selected() || !g.filter.matches(m) {
			continue
		}
		if g.events == 0 {
			break
		}
		events |= g.events
	}
	return events
}

// serverEvents are those that belong to no mailbox.
func (n *notifySet) serverEvents() notifyEvents {
	var events notifyEvents
	for _, g := range n.groups {
		events |= g.events & serverMetadata
	}
	return events
}

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
	if s.notifying == nil {
		return true
	}
	group, _ := s.notifying.selected()
	return group.events.has(flagChange)
}

// reportNotify tells what NOTIFY has asked for, between commands.
func (s *session) reportNotify(ctx context.Context) error {
	_, delayed := s.notifying.selected()
	return s.reportEvents(ctx, !delayed)
}

// reportNotifyIdle is reportNotify in IDLE, which SELECTED-DELAYED waits for (RFC 5465 6.1.2).
func (s *session) reportNotifyIdle(ctx context.Context) error { return s.reportEvents(ctx, true) }

func (s *session) reportEvents(ctx context.Context, expunges bool) error {
	if group, _ := s.notifying.selected(); group.events != 0 && s.view != nil {
		before := s.view.snap.HighestModSeq
		if err := s.report(ctx, &request{}, expunges); err != nil {
			return err
		}
		if s.view.snap.HighestModSeq != before {
			s.reportHeld()
		}
	}
	return s.reportOthers(ctx)
}

// reportNewMessages fetches, for MessageNew, the items that the client wants of messages
// that have just arrived (RFC 5465 5.2): those from position from on, but for those that this
// client has put there. They MUST follow the ADDTO of search contexts, and what a context wants fetched MUST
// precede it (section 7): of a message that both are about there are two FETCH responses.
func (s *session) reportNewMessages(ctx context.Context, r *request, from int) error {
	group, _ := s.notifying.selected()
	if len(group.items) == 0 {
		return nil
	}
	var spans []span
	for i := from; i < len(s.view.uids); i++ {
		if !slices.Contains(r.made, s.view.uids[i]) {
			spans = append(spans, span{i, i + 1})
		}
	}
	return s.fetchUnasked(ctx, group.items, spans)
}

// fetchUnasked answers no command that could fail: a message that can't be read, or whose encoding nobody knows, is left
// out.
func (s *session) fetchUnasked(ctx context.Context, items []fetchItem, spans []span) error {
	f := &fetcher{session: s, r: &request{}, items: s.unasked(items)}
	return s.onlyFatal(f.run(ctx, spans), "message not shown unasked")
}

// onlyFatal is for what no command asks for: a fault of ours is logged, and the session goes on if it can.
func (s *session) onlyFatal(err error, what string) error {
	if err == nil || s.out.err != nil {
		return s.out.err
	}
	_, fault, fatal := failure(err)
	if fatal {
		return err
	}
	if fault != nil {
		s.log.Error("imap: "+what, "account", s.account, "error", fault)
	}
	return nil
}

// reportOthers tells of the mailboxes that are not selected: STATUS where messages changed,
// and what reportTree tells.
func (s *session) reportOthers(ctx context.Context) error {
	if err := s.reportTree(ctx, nil); err != nil {
		return err
	}
	n := s.notifying
	for name, old := range n.state {
		status := old.box.Status()
		if status.HighestModSeq == old.status.HighestModSeq || s.view != nil && s.view.box.Name() == name {
			continue
		}
		if items := statusOf(old.events, old.status, status); len(items) > 0 {
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

// statusOf chooses the STATUS items of a change (RFC 5465 5.1, 5.2, 5.3).
func statusOf(e notifyEvents, old, now storage.Status) []string {
	arrived := now.UIDNext != old.UIDNext
	expunged := int64(now.Messages) < int64(old.Messages)+int64(now.UIDNext)-int64(old.UIDNext)
	switch {
	case arrived && e.has(messageNew), expunged && e.has(messageExpunge):
		return allStatus()
	case !arrived && !expunged && e.has(flagChange):
		return []string{"UIDVALIDITY", "UNSEEN"}
	}
	return nil
}

// reportStatus is NOTIFY SET STATUS: where all mailboxes stand whose messages are watched.
// FlagChange wants HIGHESTMODSEQ, CONDSTORE or not (RFC 5465 3.1).
func (s *session) reportStatus() {
	for _, name := range slices.Sorted(maps.Keys(s.notifying.state)) {
		if s.view != nil && s.view.box.Name() == name {
			continue
		}
		state, items := s.notifying.state[name], s.withModSeq(allStatus())
		if !s.condstore && state.events.has(flagChange) {
			items = append(items, "HIGHESTMODSEQ")
		}
		s.putStatus(name, state.status, items)
	}
}
