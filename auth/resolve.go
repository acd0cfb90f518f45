package auth

import (
	"context"
	"slices"
	"strings"

	"facteur/storage/message"
)

// Resolution is what an address leads to.
type Resolution struct {
	Accounts []Target           // local accounts
	Remote   []message.AddrSpec // addresses elsewhere that an alias points to
}

// Target is a local account, and the subaddress that mail for it had.
type Target struct {
	Account string
	Detail  string // "shop" of bob+shop@
}

// Resolve follows aliases, subaddresses and the catch-all of a hosted domain to the end.
// ErrNotHosted, ErrNoUser, or ErrDisabled when there is nobody to take the mail. <Postmaster>
// without a domain, or at the server's own name, is the one of the oldest domain (RFC 5321 4.1.1.3
// and 4.5.1).
func (d *Directory) Resolve(_ context.Context, to message.AddrSpec) (Resolution, error) {
	return d.snap.Load().resolve(to)
}

// Hosted reports whether a domain is ours, in any spelling. One that is disabled still is.
func (d *Directory) Hosted(domain string) bool { return d.snap.Load().domain(domain) != nil }

// MaySendAs reports whether an account may use an address as reverse-path or author:
// its own, with any subaddress, and every other that leads to it, be it by alias or
// catch-all. The null reverse-path is nobody's: a caller that allows it does not ask.
func (d *Directory) MaySendAs(_ context.Context, name string, from message.AddrSpec) (bool, error) {
	s := d.snap.Load()
	a := s.user(name)
	if a == nil || !s.live(a) || from.IsZero() || from.Domain == "" {
		return false, nil
	}
	r, err := s.resolve(from)
	if err != nil {
		return false, nil // nobody's address, so not the account's
	}
	return slices.ContainsFunc(r.Accounts, func(t Target) bool { return t.Account == a.Name }), nil
}

// resolve is Resolve on one snapshot.
func (s *snapshot) resolve(to message.AddrSpec) (Resolution, error) {
	own := to.Domain == "" || strings.EqualFold(to.Domain, s.hostname) && s.domain(to.Domain) == nil
	if own && isRole(to.Local) && len(s.first) > 0 {
		to.Domain = s.first[0].Name
	}
	if s.domain(to.Domain) == nil {
		return Resolution{}, ErrNotHosted
	}
	w := walk{s: s}
	w.follow(to, "")
	switch {
	case len(w.found.Accounts) > 0 || len(w.found.Remote) > 0:
		return w.found, nil
	case w.disabled:
		return Resolution{}, ErrDisabled
	}
	return Resolution{}, ErrNoUser
}

// A walk follows one address to all its ends.
type walk struct {
	s        *snapshot
	seen     map[string]bool // aliases and catch-alls on the way: a second visit is a loop or a double
	found    Resolution
	disabled bool // somebody would take the mail, but for being disabled
}

// follow adds what an address leads to. detail is the subaddress it came with, for targets that
// have none of their own.
func (w *walk) follow(to message.AddrSpec, detail string) {
	dom := w.s.domain(to.Domain)
	switch {
	case dom == nil:
		w.addRemote(to)
		return
	case dom.Disabled:
		w.disabled = true
		return
	}
	acct, alias, own := w.s.lookup(to)
	if own != "" {
		detail = own
	}
	switch {
	case acct != nil:
		w.addAccount(acct, detail)
	case alias != nil:
		if w.visit(alias.Address) {
			for _, target := range alias.Targets {
				w.follow(target, detail)
			}
		}
	case dom.CatchAll != "":
		if target, err := message.ParseAddrSpec(dom.CatchAll); err == nil && w.visit("@"+dom.Name) {
			w.follow(target, detail)
		}
	}
}

func (w *walk) visit(what string) bool {
	if w.seen[what] {
		return false
	}
	if w.seen == nil {
		w.seen = make(map[string]bool)
	}
	w.seen[what] = true
	return true
}

func (w *walk) addAccount(a *account, detail string) {
	if a.Disabled {
		w.disabled = true
		return
	}
	if !slices.ContainsFunc(w.found.Accounts, func(t Target) bool { return t.Account == a.Name }) {
		w.found.Accounts = append(w.found.Accounts, Target{Account: a.Name, Detail: detail})
	}
}

func (w *walk) addRemote(to message.AddrSpec) {
	if !slices.ContainsFunc(w.found.Remote, func(a message.AddrSpec) bool { return a.Key() == to.Key() }) {
		w.found.Remote = append(w.found.Remote, to)
	}
}

// lookup finds who has an address of a hosted domain. The whole local-part counts first; then it
// is cut at separators from the right, so that mary-jane-shop is the account mary-jane
// before it is mary (RFC 5233 leaves that to us).
func (s *snapshot) lookup(to message.AddrSpec) (*account, *Alias, string) {
	if acct, alias := s.exact(to); acct != nil || alias != nil {
		return acct, alias, ""
	}
	for i := len(to.Local) - 1; i > 0; i-- {
		if !strings.ContainsRune(s.separators, rune(to.Local[i])) {
			continue
		}
		base := message.AddrSpec{Local: to.Local[:i], Domain: to.Domain}
		if acct, alias := s.exact(base); acct != nil || alias != nil {
			return acct, alias, to.Local[i+1:]
		}
	}
	return nil, nil, ""
}

func (s *snapshot) exact(a message.AddrSpec) (*account, *Alias) {
	key := s.key(a)
	if acct := s.accounts[key]; acct != nil {
		return acct, nil
	}
	if alias := s.aliases[key]; alias != nil {
		return nil, alias
	}
	if isRole(a.Local) {
		return s.keeper(a.Domain), nil
	}
	return nil, nil
}

// isRole: mail for postmaster is taken always (RFC 5321 4.5.1), and so is abuse (RFC 2142 2).
func isRole(local string) bool {
	return strings.EqualFold(local, "postmaster") || strings.EqualFold(local, "abuse")
}

// keeper is who gets the mail of a role that no account or alias claims: the domain's oldest
// account, or the server's when the domain has none.
func (s *snapshot) keeper(domain string) *account {
	var other *account
	name, err := message.ASCIIDomain(domain)
	if err != nil {
		return nil
	}
	for _, a := range s.oldest {
		switch {
		case !s.live(a):
		case a.domain == name:
			return a
		case other == nil:
			other = a
		}
	}
	return other
}
