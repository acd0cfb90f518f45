package imap

import (
	"context"
	"slices"
	"strings"

	"facteur/imap/wire"
)

// notify is RFC 5465: NOTIFY NONE, or NOTIFY SET [STATUS] (filter events) ...
func (s *session) notify(ctx context.Context, r *request) error {
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
	if s.view != nil { // RFC 5465 3.1: what has gathered is told as the client wanted it up to now
		if err := s.report(ctx, r, true); err != nil {
			return err
		}
	}
	s.dropNotify()
	s.notifying = n
	if err := s.reportTree(ctx, func(string) bool { return true }); err != nil {
		return err
	}
	if status {
		s.reportStatus()
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
		g.parseEvents(d)
	} else if word := d.Keyword(); word != "NONE" {
		d.Fail("expected events")
	}
	if !d.Close() {
		d.Fail("expected a parenthesis")
	}
	return g
}

func (g *notifyGroup) parseEvents(d *wire.Decoder) {
	d.Open()
	for d.Err() == nil {
		name := d.Keyword()
		bit := slices.IndexFunc(notifyNames, func(n string) bool { return strings.EqualFold(n, name) })
		if bit < 0 {
			g.unknown = true
		} else {
			g.events |= 1 << bit
		}
		// The items stand in parentheses behind it: "MessageNew (uid flags)".
		if name == "MESSAGENEW" && d.Take(' ') {
			if d.Peek() != '(' {
				continue
			}
			g.items = parseFetchItems(d)
		}
		if d.Close() {
			break
		}
		d.SP()
	}
}

// check refuses what RFC 5465 3.1, 5 and 6 don't allow, and puts SELECTED first.
func (n *notifySet) check() error {
	selected := 0
	for _, g := range n.groups {
		e := g.events
		switch {
		case g.unknown:
			return no("BADEVENT ("+strings.Join(notifyNames, " ")+")", "Not all of these events are watched")
		case e.has(messageNew) != e.has(messageExpunge), e.has(flagChange) && !e.has(messageNew):
			return bad("MessageNew, MessageExpunge and FlagChange go together")
		case !g.selected() && len(g.items) > 0:
			return bad("Items can be fetched of the selected mailbox only")
		case g.selected() && e.has(^messageEvents):
			return bad("SELECTED is about messages only")
		}
		if g.selected() {
			selected++
		}
	}
	if selected > 1 {
		return bad("SELECTED is there twice")
	}
	if i := slices.IndexFunc(n.groups, func(g notifyGroup) bool { return g.selected() }); i > 0 {
		group := n.groups[i]
		n.groups = slices.Insert(slices.Delete(n.groups, i, i+1), 0, group)
	}
	return nil
}
