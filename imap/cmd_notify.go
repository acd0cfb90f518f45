package imap

import (
	"context"
	"strings"

	"facteur/imap/wire"
)

// notify is RFC 5465: NOTIFY NONE, or NOTIFY SET [STATUS] (filter events) ...
func (s *session) notify(ctx context.Context, _ *request) error {
	d := s.dec
	d.SP()
	switch word := d.Keyword(); word {
	case "NONE":
		if d.End(); d.Err() != nil {
			return d.Err()
		}
		s.dropNotify()
		s.notifying = &notifySet{}
		return nil
	case "SET":
	default:
		d.Fail("expected NONE or SET")
		return d.Err()
	}
	d.SP()
	status := d.TakeWord("STATUS")
	n := &notifySet{state: make(map[string]notified)}
	for {
		n.groups = append(n.groups, s.notifyGroup())
		if d.Err() != nil || !d.Take(' ') || d.AtEnd() {
			break
		}
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if err := n.check(); err != nil {
		return err
	}
	sortGroups(n.groups)
	s.dropNotify()
	s.notifying = n
	n.gen = s.acct.Generation()
	if err := s.reportTree(ctx); err != nil {
		return err
	}
	if status { // RFC 5465 3.1: where things stand, of all that are watched
		for name, state := range n.state {
			if s.view == nil || s.view.box.Name() != name {
				s.putStatus(name, state.status, s.withModSeq(allStatus()))
			}
		}
	}
	return nil
}

// notifyGroup reads "(filter (events))" or "(filter NONE)".
func (s *session) notifyGroup() notifyGroup {
	d := s.dec
	var g notifyGroup
	if !d.Open() {
		return g
	}
	g.filter = parseMailboxFilter(d)
	d.SP()
	if d.Peek() == '(' {
		g.events = parseNotifyEvents(d)
	} else if word := d.Keyword(); word != "NONE" {
		d.Fail("expected events")
	}
	if !d.Close() {
		d.Fail("expected a parenthesis")
	}
	return g
}

func parseNotifyEvents(d *wire.Decoder) notifyEvents {
	var e notifyEvents
	d.Open()
	for d.Err() == nil {
		switch name := d.Keyword(); name {
		case "MESSAGENEW":
			e.messageNew = true
			// The items stand in parentheses behind it: "MessageNew (uid flags)".
			if d.Take(' ') {
				if d.Peek() != '(' {
					continue
				}
				e.items = parseFetchItems(d)
			}
		case "MESSAGEEXPUNGE":
			e.messageExpunge = true
		case "FLAGCHANGE":
			e.flagChange = true
		case "MAILBOXNAME":
			e.mailboxName = true
		case "SUBSCRIPTIONCHANGE":
			e.subscriptionChange = true
		case "MAILBOXMETADATACHANGE":
			e.mailboxMetadata = true
		case "SERVERMETADATACHANGE":
			e.serverMetadata = true
		case "ANNOTATIONCHANGE": // RFC 5465 5: without ANNOTATE it never happens
		default:
			e.unknown = true
		}
		if d.Close() {
			break
		}
		d.SP()
	}
	return e
}

// check refuses what RFC 5465 5 and 6 don't allow.
func (n *notifySet) check() error {
	selected := 0
	for _, g := range n.groups {
		e := g.events
		if strings.HasPrefix(g.filter.kind, "SELECTED") {
			selected++
			if e.mailboxName || e.subscriptionChange || e.mailboxMetadata || e.serverMetadata {
				return bad("SELECTED is about messages only")
			}
		} else if len(e.items) > 0 {
			return bad("Items can be fetched of the selected mailbox only")
		}
		if e.messageNew != e.messageExpunge || e.flagChange && !e.messageNew {
			return bad("MessageNew, MessageExpunge and FlagChange go together")
		}
		if e.mailboxMetadata || e.serverMetadata || e.unknown {
			return no("BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)", "Not all of these events are watched")
		}
	}
	if selected > 1 {
		return bad("SELECTED is there twice")
	}
	return nil
}
