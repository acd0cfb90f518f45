package smtpd

import (
	"context"
	"errors"
	"log/slog"

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
	d := Decide(facts, c.s.Policy)
	c.found = append(facts.attrs(), slog.String("action", d.Action.String()), slog.String("why", d.Why))
	if d.Action == Refuse {
		return d.Reply
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

	// Durable for everybody, or said otherwise.
	results := c.s.Deliverer.Deliver(ctx, m, m.Env.To, d.Action == Quarantine)
	r := c.settle(ctx, m, results)
	if r.Positive() {
		c.accepted(ctx, m)
	}
	return r
}

// settle makes one reply of one result for each recipient. SMTP knows only one for all of them: as soon
// as somebody has the message, the peer must not send it again, and the others become the queue's,
// which tries again or tells the sender.
func (c *conn) settle(ctx context.Context, m *mta.Message, results []mta.Result) *mta.Reply {
	if len(results) != len(m.Env.To) {
		return mta.TempFail(errors.New("delivery gave no result for some recipients"))
	}
	var failed []mta.Recipient
	var worst *mta.Reply
	for i, r := range results {
		if r.Err == nil {
			continue
		}
		to := m.Env.To[i]
		failed = append(failed, to)
		c.s.Log.Info("delivery failed", "id", string(m.ID), "to", to.Address.String(), "reply", r.Err.Error())
		// If one of them may work later, the peer is to come again for all: nothing is lost by that.
		if worst == nil || worst.Permanent() && r.Err.Temporary() {
			worst = r.Err
		}
	}
	switch {
	case len(failed) == 0:
	case len(failed) == len(results):
		return worst
	default:
		rest := *m
		rest.Env.To = failed
		if err := c.s.Queue.Add(ctx, &rest); err != nil {
			return mta.TempFail(err) // some get it twice, which is better than not at all
		}
	}
	return mta.NewReply(250, [3]int{2, 0, 0}, "Delivered as %s", m.ID)
}
