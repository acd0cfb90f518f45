package imap

import (
	"context"
	"slices"

	"facteur/imap/wire"
	"facteur/storage"
)

// searchContext is a SEARCH whose result is kept up to date (RFC 5267 4.3).
type searchContext struct {
	tag        string
	correlator string
	r          *request
	key        *searchKey
	items      []fetchItem   // fetched of messages that arrive and match (RFC 5465 7)
	found      []storage.UID // ascending
}

// maxContexts is how many of them a session may have.
const maxContexts = 8

// mayUpdate refuses a tag that a context has already (RFC 5267 4.3).
func (s *session) mayUpdate(r *request) error {
	if slices.ContainsFunc(s.contexts, func(c *searchContext) bool { return c.tag == r.tag }) {
		return bad("This tag has a context already")
	}
	return nil
}

// addContext keeps a search's result up to date from now on. Too many are refused, which
// the client is told of (RFC 5267 4.3.1).
func (s *session) addContext(r *request, correlator string, opts *returnOptions, key *searchKey, found []int) {
	if len(s.contexts) >= maxContexts {
		s.out.printf("* NO [NOUPDATE %s] Too many contexts\r\n", wire.AppendString(nil, r.tag, false))
		return
	}
	key.pin(s.view)
	c := &searchContext{tag: r.tag, correlator: correlator, r: &request{tag: r.tag, cmd: r.cmd}, key: key, items: opts.items}
	for _, i := range found {
		c.found = append(c.found, s.view.uids[i])
	}
	s.contexts = append(s.contexts, c)
}

// clone copies the program, which each search changes.
func (k *searchKey) clone() *searchKey {
	c := *k
	c.keys = make([]searchKey, len(k.keys))
	for i := range k.keys {
		c.keys[i] = *k.keys[i].clone()
	}
	return &c
}

// pin has the program mean the messages that it meant when it was sent, whatever numbers they
// get, and whatever "$" becomes (RFC 5267 4.3).
func (k *searchKey) pin(v *view) {
	for i := range k.keys {
		k.keys[i].pin(v)
	}
	switch k.op {
	case opSeqSet:
		var uids wire.Ranges
		for _, r := range k.ranges {
			for n := r.First; n <= min(r.Last, uint32(len(v.uids))); n++ {
				uids = uids.Add(uint32(v.uids[n-1]))
			}
		}
		k.op, k.set = opUIDSet, wire.Set{Ranges: uids}
	case opSaved:
		k.op, k.set = opUIDSet, wire.Set{Ranges: k.ranges}
	}
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
	kept := slices.Clone(s.contexts) // BAD changes nothing (RFC 9051 6)
	for _, tag := range tags {
		at := slices.IndexFunc(kept, func(c *searchContext) bool { return c.tag == tag })
		if at < 0 {
			return bad("No such context")
		}
		kept = slices.Delete(kept, at, at+1)
	}
	s.contexts = kept
	return nil
}

// contextsGone takes expunged messages out of the results, while the client's numbers
// still hold.
func (s *session) contextsGone(gone []int) {
	for _, c := range s.contexts {
		var out []int
		kept, k := c.found[:0], 0
		for _, uid := range c.found {
			for k < len(gone) && s.view.uids[gone[k]] < uid {
				k++
			}
			if k < len(gone) && s.view.uids[gone[k]] == uid {
				out = append(out, gone[k])
			} else {
				kept = append(kept, uid)
			}
		}
		c.found = kept
		s.writeUpdate(c, "REMOVEFROM", out)
	}
}

// contextsChanged brings the results up to date. Messages from position from on have just arrived. A search that
// isn't possible any more must not end the session, nor fail a command that has done what it had to.
func (s *session) contextsChanged(ctx context.Context, from int) error {
	for _, c := range slices.Clone(s.contexts) {
		err := s.contextChanged(ctx, c, from)
		if err == nil {
			continue
		}
		if err := s.onlyFatal(err, "result of a search not kept up to date"); err != nil {
			return err
		}
		s.out.printf("* NO [NOUPDATE %s] Can't be kept up to date any more\r\n", wire.AppendString(nil, c.tag, false))
		s.contexts = slices.DeleteFunc(s.contexts, func(other *searchContext) bool { return other == c })
	}
	return nil
}

// contextChanged searches again and tells the difference; what a context wants to be fetched of messages that
// have just arrived comes first (RFC 5465 7).
func (s *session) contextChanged(ctx context.Context, c *searchContext, from int) error {
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
	var expunged []storage.UID // told of with their EXPUNGE; not in now yet, which stays ascending
	for _, uid := range c.found {
		i, ok := s.view.position(uid)
		if !ok || hasUID(now, uid) {
			continue
		}
		if _, there := s.view.entry(i); there {
			removed = append(removed, i)
		} else {
			expunged = append(expunged, uid)
		}
	}
	c.found = append(now, expunged...)
	slices.Sort(c.found)
	if err := s.fetchArrived(ctx, c, added, from); err != nil {
		return err
	}
	s.writeUpdate(c, "REMOVEFROM", removed)
	s.writeUpdate(c, "ADDTO", added)
	return nil
}

func (s *session) fetchArrived(ctx context.Context, c *searchContext, added []int, from int) error {
	if len(c.items) == 0 {
		return nil
	}
	var spans []span
	for _, i := range added {
		if i >= from {
			spans = append(spans, span{i, i + 1})
		}
	}
	return s.fetchUnasked(ctx, c.items, spans)
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
	a := &searchAnswer{session: s, correlator: c.correlator, uid: c.r.cmd.uid}
	a.start()
	s.out.printf(" %s (0 ", what)
	a.writeSet(s.view, positions)
	s.out.printf(")\r\n")
}
