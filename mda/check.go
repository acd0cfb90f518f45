package mda

import (
	"context"
	"errors"
	"sync"
	"time"

	"facteur/auth"
	"facteur/mta"
	"facteur/storage"
	"facteur/storage/message"
)

// Check says whether mail for an address is taken, at RCPT: nil, or the reply that refuses it.
func (a *Agent) Check(ctx context.Context, _ mta.Peer, from, to message.AddrSpec) *mta.Reply {
	if err := a.cfg.Store.Free(); err != nil {
		return replyFor(err)
	}
	if _, ok := a.bounceTo(from, to); ok {
		return nil
	}
	r, err := a.cfg.Users.Resolve(ctx, to)
	if err != nil {
		return replyFor(err)
	}
	if len(r.Remote) > 0 {
		return nil
	}
	// With several accounts the message is taken as long as one has room: the queue carries the rest.
	var reply *mta.Reply
	for _, t := range r.Accounts {
		if reply = a.room(ctx, t.Account); reply == nil {
			return nil
		}
	}
	return reply
}

// bounceTo returns whom a bounce for a signed reverse-path of ours is for.
func (a *Agent) bounceTo(from, to message.AddrSpec) (message.AddrSpec, bool) {
	if !from.IsZero() || !a.cfg.Users.Hosted(to.Domain) {
		return message.AddrSpec{}, false
	}
	return a.srs.reverse(to)
}

// room answers 452 for an account over its quota.
func (a *Agent) room(ctx context.Context, name string) *mta.Reply {
	now := a.cfg.Now()
	if over, known := a.full.get(name, now); known {
		if over {
			return overQuota()
		}
		return nil
	}
	acct, err := a.open(ctx, name)
	if err != nil {
		return replyFor(err)
	}
	defer acct.Release()
	quota := acct.Quota()
	if quota == (storage.Quota{}) {
		a.full.set(name, false, now)
		return nil
	}
	usage, err := acct.Usage(ctx)
	if err != nil {
		return mta.TempFail(err)
	}
	over := quota.Bytes > 0 && usage.Bytes >= quota.Bytes || quota.Messages > 0 && usage.Messages >= quota.Messages
	a.full.set(name, over, now)
	if over {
		return overQuota()
	}
	return nil
}

// open opens an account's mail, which is made when it was never used.
func (a *Agent) open(ctx context.Context, name string) (*storage.Account, error) {
	acct, err := a.cfg.Store.Account(ctx, name)
	if !errors.Is(err, storage.ErrNoAccount) {
		return acct, err
	}
	if err := a.cfg.Store.CreateAccount(ctx, name); err != nil {
		return nil, err
	}
	return a.cfg.Store.Account(ctx, name)
}

// fullAccounts remembers for a moment which accounts are full, so that RCPT doesn't open each.
type fullAccounts struct {
	mu  sync.Mutex
	now map[string]fullness
}

type fullness struct {
	over  bool
	until time.Time
}

const (
	fullFor     = 10 * time.Second
	fullEntries = 10_000
)

func (f *fullAccounts) get(name string, now time.Time) (over, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.now[name]
	return e.over, ok && now.Before(e.until)
}

func (f *fullAccounts) set(name string, over bool, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == nil || len(f.now) >= fullEntries {
		f.now = make(map[string]fullness)
	}
	f.now[name] = fullness{over, now.Add(fullFor)}
}

func overQuota() *mta.Reply {
	return mta.NewReply(452, [3]int{4, 2, 2}, "The mailbox is full, please try again later")
}

// replyFor turns the errors of the rooms below into what the peer hears.
func replyFor(err error) *mta.Reply {
	var reply *mta.Reply
	switch {
	case errors.As(err, &reply):
		return reply
	case errors.Is(err, auth.ErrNoUser):
		return mta.NewReply(550, [3]int{5, 1, 1}, "No such user here")
	case errors.Is(err, auth.ErrNotHosted):
		return mta.NewReply(550, [3]int{5, 7, 1}, "We don't relay to that domain")
	case errors.Is(err, auth.ErrDisabled):
		return mta.NewReply(550, [3]int{5, 2, 1}, "The mailbox takes no mail")
	case errors.Is(err, storage.ErrOverQuota):
		return overQuota()
	case errors.Is(err, storage.ErrDiskFull):
		return &mta.Reply{Code: 452, Enhanced: [3]int{4, 3, 1}, Text: "No room for mail now, please try again later", Err: err}
	}
	return mta.TempFail(err)
}
