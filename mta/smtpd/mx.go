package smtpd

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"facteur/mta"
)

// receive is what happens to a message at the MX, from its last octet to our reply.
func (c *conn) receive(ctx context.Context, m *mta.Message) *mta.Reply {
	// Who is it from? Asked before the header is touched: signatures cover it as it came.
	var facts Facts
	if c.s.Verifier != nil {
		var err error
		if facts, err = c.s.Verifier.Verify(ctx, m); err != nil {
			return mta.TempFail(err)
		}
	}

	// Do we want it?
	d := Decide(facts)
	c.found = append(facts.attrs(), slog.String("action", d.Action.String()), slog.String("why", d.Why))
	if d.Action == Refuse {
		return d.Reply
	}
	if m.Junk = d.Action == Quarantine; m.Junk {
		// Nobody is told of what becomes of it, least of all whom it is said to be from.
		for i := range m.Env.To {
			m.Env.To[i].Notify = mta.NotifyNever
		}
	}
	if c.s.First != nil && !facts.aligned() {
		if r := c.s.First.Ask(m.Peer.Addr.Addr(), &m.Env, c.s.Now()); r != nil {
			return r
		}
	}

	// Only what we say ourselves may look like ours.
	header, err := m.Body.Header()
	if err != nil {
		return mta.TempFail(err)
	}
	if clean := without(header, c.s.forged); len(clean) != len(header) {
		m.Body = m.Body.WithHeader(clean)
	}
	m.Prefix = make([]byte, 0, 512+len(facts.AuthResults))
	m.Prefix = append(m.Prefix, facts.AuthResults...)
	m.Prefix = c.s.appendReceived(m.Prefix, m)

	// Durable for everybody, or said otherwise. Who asked for a report of success gets it from the
	// queue, which delivers to them.
	direct, reported := m.Env.To, []mta.Recipient(nil)
	if !m.Env.MailFrom.IsZero() {
		direct, reported = splitReported(m.Env.To)
	}
	var results []mta.Result
	if len(direct) > 0 {
		results = c.s.Deliverer.Deliver(ctx, m, direct)
	}
	r := c.settle(ctx, m, direct, results, reported)
	if r.Positive() {
		c.accepted(ctx, m)
	}
	return r
}

// splitReported finds the recipients with NOTIFY=SUCCESS (RFC 3461 4.1).
func splitReported(to []mta.Recipient) (direct, reported []mta.Recipient) {
	wants := func(r mta.Recipient) bool { return r.Notify.Wants(mta.NotifySuccess) }
	if !slices.ContainsFunc(to, wants) {
		return to, nil
	}
	for _, r := range to {
		if wants(r) {
			reported = append(reported, r)
		} else {
			direct = append(direct, r)
		}
	}
	return direct, reported
}

// settle makes one reply of the results of direct delivery, one for each recipient. SMTP knows only one for
// all of them: as soon as somebody has the message, the peer must not send it again, and those who have
// not become the queue's, as reported are in any case: it tries again or tells the sender.
func (c *conn) settle(ctx context.Context, m *mta.Message, direct []mta.Recipient, results []mta.Result, reported []mta.Recipient) *mta.Reply {
	if len(results) != len(direct) {
		return mta.TempFail(errors.New("delivery gave no result for some recipients"))
	}
	rest := reported
	failed := 0
	var worst *mta.Reply
	for i, r := range results {
		if r.Err == nil {
			continue
		}
		failed++
		rest = append(rest, direct[i])
		c.s.Log.Info("delivery failed", "id", string(m.ID), "to", direct[i].Address.String(), "reply", r.Err.Error())
		// If one of them may work later, the peer is to come again for all: nothing is lost by that.
		if worst == nil || worst.Permanent() && r.Err.Temporary() {
			worst = r.Err
		}
	}
	if failed > 0 && failed == len(direct) && len(reported) == 0 {
		return worst
	}
	if len(rest) > 0 {
		promise := *m
		promise.Env.To = rest
		if err := c.s.Queue.Add(ctx, &promise); err != nil {
			return mta.TempFail(err) // some get it twice, which is better than not at all
		}
	}
	return mta.NewReply(250, [3]int{2, 0, 0}, "Accepted as %s", m.ID)
}
