package mda

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"facteur/mta"
	"facteur/storage"
	"facteur/storage/message"
)

// atOnce is how many copies of one message are stored side by side.
const atOnce = 8

// Deliver makes a message durable for each of to: stored in the accounts' mailboxes, or handed to the queue
// where an address leads elsewhere. One Result for each of to, in order; without an error we are
// responsible now. It blocks on fsync.
func (a *Agent) Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result {
	p := a.planFor(ctx, m, to)
	// The queue comes first: when it can't take its part, nobody has the message yet, and the sender
	// may come again.
	for _, r := range p.routes {
		if r.err == nil && len(r.remote) > 0 {
			r.err = a.queue(ctx, m, r.to, r.from, r.remote)
		}
	}
	a.storeAll(ctx, m, slices.DeleteFunc(p.parcels, func(c *parcel) bool { return !p.wanted(c) }))
	a.promiseRest(ctx, m, p.routes)

	results := make([]mta.Result, len(to))
	for i, r := range p.routes {
		results[i] = mta.Result{To: r.to, At: a.cfg.Now()}
		if len(r.remote) > 0 {
			results[i].Expanded = len(r.remote)+len(r.local) > 1
			results[i].Relayed = !results[i].Expanded
		}
		if err := r.outcome(); err != nil {
			results[i].Err = replyFor(err)
		}
	}
	return results
}

// storeAll stores copies side by side; the errors are in the parcels.
func (a *Agent) storeAll(ctx context.Context, m *mta.Message, parcels []*parcel) {
	if len(parcels) == 1 { // mostly: a goroutine would begin with a small stack and grow it
		parcels[0].err = a.store(ctx, m, parcels[0])
		return
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, c := range parcels {
		group.Go(func() error {
			c.err = a.store(ctx, m, c)
			return nil
		})
	}
	group.Wait()
}

// store delivers the copy of one account.
func (a *Agent) store(ctx context.Context, m *mta.Message, c *parcel) error {
	acct, err := a.open(ctx, c.account)
	if err != nil {
		return fmt.Errorf("open account %s: %w", c.account, err)
	}
	defer acct.Release()
	mailbox, err := a.file(ctx, acct, c.detail, m.Junk)
	if err != nil {
		return fmt.Errorf("file for %s: %w", c.account, err)
	}
	prefix := slices.Concat(returnPath(m.Env.MailFrom), deliveredTo(c.to), m.Prefix)
	size := int64(len(prefix)) + m.Body.Size()
	stored, err := acct.Deliver(ctx, storage.Delivery{
		Prefix:    prefix,
		Body:      m.Body,
		BodySize:  m.Body.Size(),
		Mailboxes: []string{mailbox},
		Internal:  m.Arrived,
		OverQuota: m.Env.MailFrom.IsZero() && !m.Peer.Addr.IsValid(), // a report of our own
	})
	if limit := acct.Quota().Bytes; errors.Is(err, storage.ErrOverQuota) && limit > 0 && size > limit {
		return mta.NewReply(552, [3]int{5, 2, 2}, "The message is larger than the whole mailbox may be")
	}
	if err != nil {
		return fmt.Errorf("store for %s: %w", c.account, err)
	}
	for _, s := range stored {
		a.cfg.Log.Info("message delivered", "id", m.ID, "from", m.Env.MailFrom.String(), "to", c.to[0].String(),
			"account", c.account, "mailbox", s.Mailbox, "uid", s.UID, "path", s.Path, "size", size)
	}
	return nil
}

// queue adds a message with an ID of its own for the addresses that a recipient leads to. They inherit its
// DSN parameters but for SUCCESS, which is answered here, once: with "expanded", or "relayed" for a single one (RFC 3461 5.2.7).
func (a *Agent) queue(ctx context.Context, m *mta.Message, rcpt mta.Recipient, from message.AddrSpec, targets []message.AddrSpec) error {
	next := *m
	next.ID = mta.NewID()
	next.Env.MailFrom = from
	next.Env.To = make([]mta.Recipient, len(targets))
	for i, t := range targets {
		next.Env.To[i] = mta.Recipient{Address: t, ORCPT: rcpt.ORCPT, Notify: withoutSuccess(rcpt.Notify)}
		next.Env.UTF8 = next.Env.UTF8 || t.NeedsUTF8()
	}
	next.Prefix = slices.Concat(deliveredTo([]message.AddrSpec{rcpt.Address}), m.Prefix)
	if err := a.cfg.Forward.Add(ctx, &next); err != nil {
		return fmt.Errorf("send on from %s: %w", rcpt.Address, err)
	}
	a.cfg.Log.Info("sent on", "id", m.ID, "as", next.ID, "from", from.String(), "to", rcpt.Address.String(), "targets", addresses(targets))
	return nil
}

// addresses writes a list for the log, whose readers don't know AddrSpec.
func addresses(list []message.AddrSpec) string {
	var b strings.Builder
	for i, a := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a.String())
	}
	return b.String()
}

func withoutSuccess(n mta.Notify) mta.Notify {
	if n == mta.NotifySuccess {
		return mta.NotifyNever // the zero value would ask for more than the sender did
	}
	return n &^ mta.NotifySuccess
}

// promiseRest hands the queue what could not be stored of a recipient of whom another part has the message: the recipient as a
// whole is promised. So are the accounts then, to all recipients that lead there, since an account gets one copy.
func (a *Agent) promiseRest(ctx context.Context, m *mta.Message, routes []*route) {
	for i := 0; i < len(routes); i++ {
		if r := routes[i]; r.err == nil && r.inPart() {
			r.err = a.queueRest(ctx, m, r)
			i = -1 // others may have got through in part by that
		}
	}
}

func (a *Agent) queueRest(ctx context.Context, m *mta.Message, r *route) error {
	var failed []message.AddrSpec
	for _, c := range r.local {
		if c.err == nil {
			continue
		}
		addr, err := message.ParseAddrSpec(c.account)
		if err != nil {
			return err
		}
		failed = append(failed, addr)
	}
	a.cfg.Log.Warn("delivered in part, the queue has the rest", "id", m.ID, "to", r.to.Address.String(), "error", errors.Join(r.failures()...))
	if err := a.queue(ctx, m, r.to, m.Env.MailFrom, failed); err != nil {
		return err
	}
	for _, c := range r.local {
		c.err = nil
	}
	return nil
}

// worst picks the error to answer with: a temporary one where there is one, since then it is worth
// coming again.
func worst(errs []error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return replyFor(err).Temporary() })
	return errs[max(i, 0)]
}
