package remote

import (
	"context"
	"errors"
	"fmt"

	"facteur/mta"
)

// Deliver tries once to hand m to the servers of the recipients' domains, and
// returns one Result for each of to, in order. It blocks until the peers have
// answered or ctx ends.
func (s *Sender) Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result {
	d, fault := s.newDelivery(m, to)
	if fault != nil {
		return d.give(fault)
	}
	byDomain := map[string][]int{}
	for i, r := range to {
		domain, err := r.Address.ASCIIDomain()
		if err != nil || domain == "" {
			d.results[i].Err = mta.NewReply(550, [3]int{5, 1, 2}, "%q is no domain that mail could go to", r.Address.Domain)
			continue
		}
		byDomain[domain] = append(byDomain[domain], i)
	}
	for domain, indexes := range byDomain {
		d.open = indexes
		s.deliverDomain(ctx, d, domain)
	}
	return d.results
}

// deliverDomain tries the servers of one domain in their order until every
// recipient's fate is known (RFC 5321 5.1).
func (s *Sender) deliverDomain(ctx context.Context, d *delivery, domain string) {
	key := fmt.Sprintf("%s require=%t optional=%t", domain, d.ask.require, d.ask.optional)
	if ses := s.idle.take(key); ses != nil {
		s.use(ctx, d, ses, key)
	}
	if len(d.open) == 0 {
		return
	}
	hosts, authentic, fault := s.hosts(ctx, domain)
	if fault != nil {
		d.giveUp(fault)
		return
	}
	failed := failures{requireTLS: d.ask.require}
	reached := false
	for _, h := range hosts {
		if len(d.open) == 0 || ctx.Err() != nil {
			break
		}
		policy := s.tlsPolicyFor(ctx, domain, h, authentic, d.ask)
		ses, err := s.connectMX(ctx, h, policy)
		if errors.Is(err, errSelf) {
			failed.add(err)
			break // RFC 5321 5.1: nothing after us is better
		}
		if err != nil {
			s.cfg.Log.Debug("server not usable", "id", d.m.ID, "domain", domain, "host", h.name, "error", err)
			failed.add(err)
			continue
		}
		reached = true
		s.use(ctx, d, ses, key)
	}
	if len(d.open) == 0 {
		return
	}
	if failed.why == nil {
		failed.why = ctx.Err()
	}
	reply := failed.reply(domain, len(hosts))
	if reached || failed.policy {
		d.give(reply)
	} else {
		d.giveUp(reply)
	}
}

// failures is why the servers of a domain could not be used.
type failures struct {
	requireTLS bool  // the message demands REQUIRETLS
	why        error // the failure that says most about the domain
	missing    int   // servers whose name has no address
	policy     bool  // one may take mail of which less TLS is demanded (TLS-Required: No, RFC 8689 5)
}

// add notes one server's failure. What a server did says more than that another has no address; and with a better
// server that only does not answer now, we are its backup and wait, so that our own name comes last.
func (f *failures) add(err error) {
	noAddress, self := errors.Is(err, errNoAddress), errors.Is(err, errSelf)
	if noAddress {
		f.missing++
	}
	f.policy = f.policy || errors.Is(err, errTLS)
	if f.why == nil || !noAddress && !self {
		f.why = err
	}
}

// reply is what the recipients are told whom none of the domain's servers has told anything.
func (f *failures) reply(domain string, servers int) *mta.Reply {
	switch {
	// RFC 8689 4.2.1: no server of the domain can; waiting changes nothing.
	case f.requireTLS && errors.Is(f.why, errRequireTLS):
		return &mta.Reply{Code: 550, Enhanced: [3]int{5, 7, 30}, Err: f.why,
			Text: fmt.Sprintf("The sender demands REQUIRETLS, and no server of %s offers it", domain)}
	case f.requireTLS && errors.Is(f.why, errTLS):
		return &mta.Reply{Code: 550, Enhanced: [3]int{5, 7, 10}, Err: f.why,
			Text: fmt.Sprintf("The sender demands REQUIRETLS, and no server of %s can be reached as safely as that", domain)}
	case errors.Is(f.why, errNoAddress) && f.missing < servers:
		return unresolved(domain, f.why)
	}
	return failure(domain, f.why)
}

// use sends over one session and then keeps or closes it.
func (s *Sender) use(ctx context.Context, d *delivery, ses *session, key string) {
	undo := ses.interruptible(ctx)
	d.over(ses)
	if undo() {
		ses.broken = true
	}
	s.idle.put(key, ses, s.cfg.Now())
}
