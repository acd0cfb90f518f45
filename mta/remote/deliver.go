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
	byDomain := map[string][]int{}
	d, fault := s.newDelivery(m, to)
	if fault != nil {
		return d.give(fault, false)
	}
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
		d.give(fault, fault.Temporary())
		return
	}
	var last error
	reached, missing := false, 0
	for _, h := range hosts {
		if len(d.open) == 0 || ctx.Err() != nil {
			break
		}
		policy := s.tlsPolicyFor(ctx, domain, h, authentic, d.ask)
		ses, err := s.connect(ctx, h, policy)
		if err == nil && d.ask.require && !ses.has("REQUIRETLS") {
			ses.close()
			err = fmt.Errorf("%s: %w", h.name, errRequireTLS)
		}
		if errors.Is(err, errSelf) {
			// RFC 5321 5.1: nothing after us is better. With a better one that only does not
			// answer now, we are its backup, and wait.
			if last == nil {
				last = err
			}
			break
		}
		if errors.Is(err, errNoAddress) {
			missing++
		}
		if err != nil {
			s.cfg.Log.Debug("server not usable", "id", d.m.ID, "domain", domain, "host", h.name, "error", err)
			if last == nil || !errors.Is(err, errNoAddress) {
				last = err
			}
			continue
		}
		reached = true
		s.use(ctx, d, ses, key)
	}
	if len(d.open) == 0 {
		return
	}
	if last == nil {
		last = ctx.Err()
	}
	reply := failure(domain, last)
	if missing > 0 && missing < len(hosts) && reply.Permanent() {
		reply = unresolved(domain, last)
	}
	if d.ask.require && (errors.Is(last, errRequireTLS) || errors.Is(last, errTLS)) {
		// RFC 8689 4.2.1: no server of the domain can; waiting changes nothing.
		reply = &mta.Reply{Code: 550, Enhanced: [3]int{5, 7, 30}, Err: last,
			Text: fmt.Sprintf("The sender demands REQUIRETLS, and no server of %s offers it", domain)}
	}
	d.give(reply, !reached && reply.Temporary())
}

var errRequireTLS = errors.New("the server does not offer REQUIRETLS")

// use sends over one session and then keeps or closes it.
func (s *Sender) use(ctx context.Context, d *delivery, ses *session, key string) {
	undo := ses.interruptible(ctx)
	d.over(ses, s)
	if undo() {
		ses.broken = true
	}
	s.idle.put(key, ses, s.cfg.Now())
}

// delivery is one call of Deliver under way.
type delivery struct {
	m       *mta.Message
	to      []mta.Recipient
	needs   needs
	ask     demands
	results []mta.Result
	open    []int        // the recipients without a fate, as indexes of to
	last    []*mta.Reply // what each of to was told by the server tried last
}

func (s *Sender) newDelivery(m *mta.Message, to []mta.Recipient) (*delivery, *mta.Reply) {
	d := &delivery{m: m, to: to, results: make([]mta.Result, len(to)), last: make([]*mta.Reply, len(to))}
	now := s.cfg.Now()
	for i, r := range to {
		d.results[i] = mta.Result{To: r, At: now}
		d.open = append(d.open, i)
	}
	var err error
	if d.needs, err = study(m, to); err != nil {
		return d, mta.TempFail(fmt.Errorf("read the message: %w", err))
	}
	if d.ask, err = demandsOf(m); err != nil {
		return d, mta.TempFail(fmt.Errorf("read the message: %w", err))
	}
	return d, nil
}

// over sends to the open recipients in as many transactions as the server's limit
// asks for. Those it leaves open may be tried elsewhere.
func (d *delivery) over(ses *session, s *Sender) {
	for len(d.open) > 0 && !ses.broken {
		f, refusal := ses.prepare(d.m, d.needs, d.ask.require)
		if refusal != nil {
			for _, i := range d.open {
				d.result(i, ses, s).Err = refusal
			}
			d.open = nil
			return
		}
		batch := d.open[:min(len(d.open), ses.recipientLimit())]
		to := make([]mta.Recipient, len(batch))
		for n, i := range batch {
			to[n] = d.to[i]
		}
		if !d.settle(batch, ses.transact(f, to), ses, s) {
			return
		}
	}
}

// settle notes a transaction's outcomes and reports whether the next one may
// follow on the same session.
func (d *delivery) settle(batch []int, outs []outcome, ses *session, s *Sender) bool {
	rest := append([]int(nil), d.open[len(batch):]...)
	delivered, again := false, []int(nil)
	for _, o := range outs {
		delivered = delivered || o.ok
	}
	for n, i := range batch {
		o := outs[n]
		switch {
		case o.ok:
			r := d.result(i, ses, s)
			r.Said, r.Relayed = o.reply, o.relayed
		case o.retry:
			d.last[i] = o.reply
			again = append(again, i)
		case delivered && tooMany(o.reply):
			// RFC 5321 4.5.3.1.10: the rest of the list in the next transaction.
			d.last[i] = o.reply
			rest = append(rest, i)
		default:
			d.result(i, ses, s).Err = o.reply
		}
	}
	d.open = append(again, rest...)
	return len(again) == 0
}

func tooMany(r *mta.Reply) bool {
	return r.Code == 452 && (r.Enhanced == [3]int{4, 5, 3} || r.Enhanced == [3]int{4, 0, 0})
}

// result fills in who answered.
func (d *delivery) result(i int, ses *session, s *Sender) *mta.Result {
	r := &d.results[i]
	*r = mta.Result{To: d.to[i], RemoteMTA: ses.host, Peer: ses.peer, TLS: ses.tlsResult(), At: s.cfg.Now()}
	return r
}

// give closes the open recipients with a server's last words, or with reply when
// there are none.
func (d *delivery) give(reply *mta.Reply, unreachable bool) []mta.Result {
	for _, i := range d.open {
		d.results[i].Err = reply
		d.results[i].Unreachable = unreachable
		if d.last[i] != nil {
			d.results[i].Err = d.last[i]
		}
	}
	d.open = nil
	return d.results
}
