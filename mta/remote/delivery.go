package remote

import (
	"fmt"
	"slices"
	"time"

	"facteur/mta"
)

// delivery is one call of Deliver under way.
type delivery struct {
	m       *mta.Message
	to      []mta.Recipient
	needs   needs
	ask     demands
	now     func() time.Time
	results []mta.Result
	open    []int        // the recipients without a fate, as indexes of to
	last    []*mta.Reply // what each of to was told by the server tried last
}

func (s *Sender) newDelivery(m *mta.Message, to []mta.Recipient) (*delivery, *mta.Reply) {
	d := &delivery{m: m, to: to, now: s.cfg.Now, results: make([]mta.Result, len(to)), last: make([]*mta.Reply, len(to))}
	for i, r := range to {
		d.results[i] = mta.Result{To: r, At: d.now()}
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
func (d *delivery) over(ses *session) {
	for len(d.open) > 0 && !ses.broken {
		f, refusal := ses.prepare(d.m, d.needs)
		if refusal != nil {
			for _, i := range d.open {
				d.result(i, ses).Err = refusal
			}
			d.open = nil
			return
		}
		batch := d.open[:min(len(d.open), ses.recipientLimit())]
		to := make([]mta.Recipient, len(batch))
		for n, i := range batch {
			to[n] = d.to[i]
		}
		if !d.settle(batch, ses.transact(f, to), ses) {
			return
		}
	}
}

// settle notes a transaction's outcomes and reports whether the next one may
// follow on the same session.
func (d *delivery) settle(batch []int, outs []outcome, ses *session) bool {
	rest := slices.Clone(d.open[len(batch):])
	delivered := slices.ContainsFunc(outs, outcome.accepted)
	var again []int
	for n, i := range batch {
		o := outs[n]
		switch {
		case o.ok:
			r := d.result(i, ses)
			r.Said, r.Relayed = o.reply, o.relayed
		case o.retry:
			d.last[i] = o.reply
			again = append(again, i)
		case delivered && tooMany(o.reply):
			// RFC 5321 4.5.3.1.10: the rest of the list in the next transaction.
			d.last[i] = o.reply
			rest = append(rest, i)
		default:
			d.result(i, ses).Err = o.reply
		}
	}
	d.open = append(again, rest...)
	return len(again) == 0
}

func tooMany(r *mta.Reply) bool {
	return r.Code == 452 && (r.Enhanced == [3]int{4, 5, 3} || r.Enhanced == [3]int{4, 0, 0})
}

// result fills in who answered.
func (d *delivery) result(i int, ses *session) *mta.Result {
	r := &d.results[i]
	*r = mta.Result{To: d.to[i], RemoteMTA: ses.host, Peer: ses.peer, TLS: ses.tlsResult(), At: d.now()}
	return r
}

// give closes the open recipients with a server's last words, or with reply when
// there are none.
func (d *delivery) give(reply *mta.Reply) []mta.Result {
	for _, i := range d.open {
		d.results[i].Err = reply
		if d.last[i] != nil {
			d.results[i].Err = d.last[i]
		}
	}
	d.open = nil
	return d.results
}

// giveUp is give when no server could be spoken to. Unless that is for good, the others bound for it need not be
// tried now either.
func (d *delivery) giveUp(reply *mta.Reply) []mta.Result {
	for _, i := range d.open {
		d.results[i].Unreachable = reply.Temporary()
	}
	return d.give(reply)
}
