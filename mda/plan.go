package mda

import (
	"context"
	"slices"

	"facteur/auth"
	"facteur/mta"
	"facteur/storage/message"
)

// A plan is where one message goes: a route for each recipient, a parcel for each account.
type plan struct {
	routes  []*route
	parcels []*parcel
}

// route is what one recipient leads to.
type route struct {
	to     mta.Recipient
	err    error              // why it leads nowhere, or could not be sent on
	from   message.AddrSpec   // reverse-path to send it on with
	remote []message.AddrSpec // addresses elsewhere
	local  []*parcel
}

// parcel is the one copy for an account.
type parcel struct {
	account string
	detail  string             // the first subaddress it came with
	to      []message.AddrSpec // recipients that lead here
	err     error              // why it could not be stored
}

// failures are the errors of the accounts that don't have the message.
func (r *route) failures() (errs []error) {
	for _, c := range r.local {
		if c.err != nil {
			errs = append(errs, c.err)
		}
	}
	return errs
}

// inPart reports whether some of what the recipient leads to has the message, and some has not.
func (r *route) inPart() bool {
	failed := len(r.failures())
	return failed > 0 && (failed < len(r.local) || len(r.remote) > 0)
}

// outcome is nil when all that the recipient leads to has the message, or has been promised it.
func (r *route) outcome() error {
	if errs := r.failures(); r.err == nil && len(errs) > 0 {
		return worst(errs)
	}
	return r.err
}

// planFor follows all recipients.
func (a *Agent) planFor(ctx context.Context, m *mta.Message, to []mta.Recipient) *plan {
	p := &plan{}
	for _, rcpt := range to {
		r := &route{to: rcpt}
		p.routes = append(p.routes, r)
		if sender, ok := a.bounceTo(m.Env.MailFrom, rcpt.Address); ok {
			r.remote = []message.AddrSpec{sender}
		} else {
			r.err = a.follow(ctx, m, p, r)
		}
		if len(r.remote) > 0 && r.err == nil {
			r.err = checkLoop(m, rcpt.Address)
		}
	}
	return p
}

// follow resolves one recipient and adds the parcels it leads to.
func (a *Agent) follow(ctx context.Context, m *mta.Message, p *plan, r *route) error {
	res, err := a.cfg.Users.Resolve(ctx, r.to.Address)
	if err != nil {
		return err
	}
	for _, t := range res.Accounts {
		r.local = append(r.local, p.parcel(t, r.to.Address))
	}
	r.remote = res.Remote
	r.from = m.Env.MailFrom
	// What is ours already or null stays: nobody refuses it for where it comes from.
	if !r.from.IsZero() && !a.cfg.Users.Hosted(r.from.Domain) {
		r.from = a.srs.rewrite(r.from, r.to.Address.Domain)
	}
	return nil
}

// parcel finds or makes the copy for an account.
func (p *plan) parcel(t auth.Target, to message.AddrSpec) *parcel {
	i := slices.IndexFunc(p.parcels, func(c *parcel) bool { return c.account == t.Account })
	if i < 0 {
		i = len(p.parcels)
		p.parcels = append(p.parcels, &parcel{account: t.Account})
	}
	c := p.parcels[i]
	if c.detail == "" {
		c.detail = t.Detail
	}
	if !slices.Contains(c.to, to) {
		c.to = append(c.to, to)
	}
	return c
}

// wanted reports whether a recipient is left that a parcel is for.
func (p *plan) wanted(c *parcel) bool {
	return slices.ContainsFunc(p.routes, func(r *route) bool { return r.err == nil && slices.Contains(r.local, c) })
}
