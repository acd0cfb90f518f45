package smtpd

import (
	"context"
	"strings"
	"time"

	"facteur/mta"
	"facteur/storage/message"
)

const nameWait = 3 * time.Second

// mail begins a message (RFC 5321 4.1.1.2).
func (c *conn) mail(ctx context.Context, arg string) *mta.Reply {
	l := &c.s.Limits
	if l.Messages > 0 && c.messages >= l.Messages {
		return replyMessages
	}
	path, params, ok := cutPath(arg, "FROM:")
	if !ok {
		return syntax("MAIL FROM:<address>")
	}
	env := mta.Envelope{}
	if r := eachParam(params, func(k, v string) *mta.Reply { return c.mailParam(&env, k, v) }); r != nil {
		return r
	}
	if path != "" {
		from, r := parsePath(path, env.UTF8, [3]int{5, 1, 7})
		if r != nil {
			return r
		}
		env.MailFrom = from
	}
	if c.s.Free != nil {
		if err := c.s.Free(); err != nil {
			return storageFault(err)
		}
	}
	if c.s.Kind == MX {
		if r := c.meet(ctx); r != nil {
			return r
		}
	} else if r := c.mayUse(ctx, env.MailFrom); r != nil {
		return r
	}
	c.env, c.state = env, stateMail
	return replyMailOK
}

// meet is what an MX asks about the peer itself, once it is clear that it brings mail: is it sending too
// much, what is its name, is it on a list.
func (c *conn) meet(ctx context.Context) *mta.Reply {
	addr := c.peer.Addr.Addr()
	if r := c.s.crowd.message(addr, c.s.Now()); r != nil {
		return r
	}
	if !c.names && c.s.Names != nil && addr.IsValid() {
		ctx, cancel := context.WithTimeout(ctx, nameWait)
		if name := c.s.Names.Reverse(ctx, addr); len(name) < 256 && isHello(name) {
			c.peer.Name = name // DNS may hold any octets, a header may not
		}
		cancel()
		c.names = true
	}
	if !c.looked && c.s.Lists != nil && addr.IsValid() {
		c.listed = c.s.Lists.Check(ctx, addr)
		c.looked = true
	}
	return nil
}

// mayUse: the reverse-path of a submission belongs to the login. The null one is for reports
// of programs (RFC 6409 5.1 lets us choose; a vacation program needs it).
func (c *conn) mayUse(ctx context.Context, from message.AddrSpec) *mta.Reply {
	if from.IsZero() {
		return nil
	}
	return c.mayWriteFrom(ctx, from, "")
}

// mayWriteFrom refuses an address, found in a field or, without one, in the envelope, that the login may not write from.
func (c *conn) mayWriteFrom(ctx context.Context, a message.AddrSpec, field string) *mta.Reply {
	ok, err := c.s.Senders.MaySendAs(ctx, c.login.Account, a)
	switch {
	case err != nil:
		return mta.TempFail(err)
	case !ok:
		return mta.NewReply(550, [3]int{5, 7, 1}, "%s<%s> is not an address of this login", field, a)
	}
	return nil
}

// rcpt adds a recipient (RFC 5321 4.1.1.3).
func (c *conn) rcpt(ctx context.Context, arg string) *mta.Reply {
	c.state = stateRcpt
	path, params, ok := cutPath(arg, "TO:")
	if !ok {
		return syntax("RCPT TO:<address>")
	}
	if l := c.s.Limits.Recipients; l > 0 && len(c.env.To) >= l {
		return replyTooMuch // RFC 5321 4.5.3.1.10
	}
	var to mta.Recipient
	if strings.EqualFold(path, "postmaster") { // RFC 5321 4.1.1.3: without a domain it is ours
		to.Address = message.AddrSpec{Local: "postmaster", Domain: c.s.Hostname}
	} else {
		addr, r := parsePath(path, c.env.UTF8, [3]int{5, 1, 3})
		if r != nil {
			return r
		}
		to.Address = addr
	}
	if r := eachParam(params, func(k, v string) *mta.Reply { return rcptParam(&to, c.env.UTF8, k, v) }); r != nil {
		return r
	}
	switch {
	case c.s.Kind == MX:
		if !c.admit(ctx, to.Address) {
			return nil
		}
	case c.s.Recipients != nil:
		r := c.s.Recipients.Check(ctx, c.peer, c.env.MailFrom, to.Address)
		if r != nil && r.Enhanced == [3]int{5, 1, 1} { // every other answer is for the queue to find
			return r
		}
	}
	c.env.To = append(c.env.To, to)
	return replyRcptOK
}

// admit asks whether we take mail for an address, and gives the answer when we don't. Postmaster is
// to be reached in any case (RFC 5321 4.5.1). Who tries addresses that don't exist gets slower
// answers, then none.
func (c *conn) admit(ctx context.Context, to message.AddrSpec) bool {
	if c.listed != nil && !strings.EqualFold(to.Local, "postmaster") {
		c.answer(ctx, c.listed)
		return false
	}
	r := c.s.Recipients.Check(ctx, c.peer, c.env.MailFrom, to)
	if r == nil {
		return true
	}
	if !r.Permanent() {
		c.answer(ctx, r)
		return false
	}
	c.say(r)
	c.s.Log.Info("recipient refused", "peer", c.peer.Addr.String(), "from", c.env.MailFrom.String(), "to", to.String(), "reply", r.Error())
	c.unknown++
	switch limit := c.s.Limits.Unknown; {
	case limit > 0 && c.unknown >= limit:
		c.say(replyStrangers)
	case limit > 0 && c.unknown > limit/4:
		c.pause(ctx)
	}
	return false
}
