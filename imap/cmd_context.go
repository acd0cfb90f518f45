package imap

import (
	"context"
	"fmt"
	"slices"

	"facteur/imap/wire"
	"facteur/storage"
)

// searchContext is a SEARCH whose result is kept up to date (RFC 5267 4.3).
type searchContext struct {
	tag   string
	r     *request
	key   *searchKey
	found []storage.UID // ascending
}

// maxContexts is how many of them a session may have.
const maxContexts = 8

// addContext keeps a search's result up to date from now on. Too many are refused, which
// the client is told of (RFC 5267 4.3.1).
func (s *session) addContext(r *request, key *searchKey, found []int) {
	if len(s.contexts) >= maxContexts {
		s.out.printf("* NO [NOUPDATE %s] Too many contexts\r\n", wire.AppendString(nil, r.tag, false))
		return
	}
	c := &searchContext{tag: r.tag, r: &request{tag: r.tag, cmd: r.cmd}, key: key}
	for _, i := range found {
		c.found = append(c.found, s.view.uids[i])
	}
	s.contexts = append(s.contexts, c)
}

func (s *session) cancelUpdate(_ context.Context, _ *request) error {
	d := s.dec
	var tags []string
	d.SP()
	tags = append(tags, d.String())
	for d.Err() == nil && d.Take(' ') && !d.AtEnd() {
		tags = append(tags, d.String())
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	for _, tag := range tags {
		at := slices.IndexFunc(s.contexts, func(c *searchContext) bool { return c.tag == tag })
		if at < 0 {
			return bad("No such context")
		}
		s.contexts = slices.Delete(s.contexts, at, at+1)
	}
	return nil
}

// contextsGone takes expunged messages out of the results, while the client's numbers
// still hold.
func (s *session) contextsGone(gone []int) {
	for _, c := range s.contexts {
		var out []int
		for _, i := range gone {
			if at, ok := slices.BinarySearch(c.found, s.view.uids[i]); ok {
				out = append(out, i)
				c.found = slices.Delete(c.found, at, at+1)
			}
		}
		s.writeUpdate(c, "REMOVEFROM", out)
	}
}

// contextsChanged searches again and tells the difference.
func (s *session) contextsChanged(ctx context.Context) error {
	for _, c := range s.contexts {
		found, err := s.find(ctx, c.r, c.key)
		if err != nil {
			return err
		}
		var added, removed []int
		now := make([]storage.UID, 0, len(found))
		for _, i := range found {
			uid := s.view.uids[i]
			if now = append(now, uid); !hasUID(c.found, uid) {
				added = append(added, i)
			}
		}
		for _, uid := range c.found {
			// A message that was expunged is told of with its EXPUNGE.
			i, ok := s.view.position(uid)
			if !ok || hasUID(now, uid) {
				continue
			}
			if _, there := s.view.entry(i); there {
				removed = append(removed, i)
			} else {
				now = append(now, uid)
			}
		}
		slices.Sort(now)
		c.found = now
		s.writeUpdate(c, "REMOVEFROM", removed)
		s.writeUpdate(c, "ADDTO", added)
	}
	return nil
}

func hasUID(ascending []storage.UID, uid storage.UID) bool {
	_, ok := slices.BinarySearch(ascending, uid)
	return ok
}

// writeUpdate writes ADDTO or REMOVEFROM; position 0 is all that SEARCH has (RFC 5267
// 4.3.3).
func (s *session) writeUpdate(c *searchContext, what string, positions []int) {
	if len(positions) == 0 {
		return
	}
	a := &searchAnswer{session: s, correlator: fmt.Sprintf("TAG %s", wire.AppendString(nil, c.tag, false)), uid: c.r.cmd.uid}
	b := fmt.Appendf(a.start(), " %s (0 ", what)
	b = a.appendSet(b, s.view, positions)
	s.out.buf = append(b, ")\r\n"...)
	s.out.spill()
}
