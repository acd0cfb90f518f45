package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"facteur/auth"
	"facteur/storage/message"
)

// Domains implements Service.
func (l *Local) Domains(ctx context.Context, _ None) ([]Domain, error) {
	known, err := l.Directory.Domains(ctx)
	var list []Domain
	for _, d := range known {
		list = append(list, Domain{Name: d.Name, Disabled: d.Disabled, CatchAll: d.CatchAll, Created: d.Created})
	}
	return list, err
}

// AddDomain implements Service.
func (l *Local) AddDomain(ctx context.Context, q Domain) (None, error) {
	name, err := domainName(q.Name)
	if err != nil {
		return None{}, err
	}
	if !strings.Contains(name, ".") { // RFC 5321 2.3.5: fully qualified
		return None{}, fmt.Errorf("%w: %q is not a full domain name such as example.org", ErrInvalid, q.Name)
	}
	catchAll, err := catchAllName(q.CatchAll)
	if err != nil {
		return None{}, err
	}
	return None{}, l.Directory.AddDomain(ctx, auth.Domain{Name: name, Disabled: q.Disabled, CatchAll: catchAll})
}

// DisableDomain implements Service.
func (l *Local) DisableDomain(ctx context.Context, q Switch) (None, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	d, err := l.domain(ctx, q.Name)
	if err != nil {
		return None{}, err
	}
	d.Disabled = q.Off
	return None{}, l.Directory.UpdateDomain(ctx, d)
}

// SetCatchAll implements Service.
func (l *Local) SetCatchAll(ctx context.Context, q CatchAll) (None, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	d, err := l.domain(ctx, q.Domain)
	if err != nil {
		return None{}, err
	}
	if d.CatchAll, err = catchAllName(q.Address); err != nil {
		return None{}, err
	}
	return None{}, l.Directory.UpdateDomain(ctx, d)
}

// catchAllName is accountName for a catch-all, which may be empty: there is none.
func catchAllName(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	return accountName(address)
}

// RemoveDomain implements Service.
func (l *Local) RemoveDomain(ctx context.Context, q Name) (None, error) {
	name, err := domainName(q.Name)
	if err != nil {
		return None{}, err
	}
	err = l.Directory.RemoveDomain(ctx, name)
	if errors.Is(err, auth.ErrInUse) {
		err = fmt.Errorf("%w; \"facteur account list\" and \"facteur alias list\" name them", err)
	}
	return None{}, err
}

// domain looks a domain up by any spelling of its name.
func (l *Local) domain(ctx context.Context, name string) (auth.Domain, error) {
	name, err := domainName(name)
	if err != nil {
		return auth.Domain{}, err
	}
	list, err := l.Directory.Domains(ctx)
	if err != nil {
		return auth.Domain{}, err
	}
	i := slices.IndexFunc(list, func(d auth.Domain) bool { return d.Name == name })
	if i < 0 {
		return auth.Domain{}, fmt.Errorf("domain %s: %w", name, ErrNotFound)
	}
	return list[i], nil
}

// domainName puts a domain in A-labels.
func domainName(name string) (string, error) {
	d, err := message.ParseDomain(name)
	if err != nil {
		return "", fmt.Errorf("%w: %q is not a domain name", ErrInvalid, name)
	}
	return d, nil
}

// hostedDomain is domainName for a domain that has to be ours.
func (l *Local) hostedDomain(name string) (string, error) {
	d, err := domainName(name)
	if err == nil && !l.Directory.Hosted(d) {
		err = unhosted(fmt.Errorf("%s: %w", d, auth.ErrNotHosted))
	}
	return d, err
}

// unhosted adds what to do about a domain that is not ours.
func unhosted(err error) error {
	if errors.Is(err, auth.ErrNotHosted) {
		return fmt.Errorf("%w; \"facteur domain add\" adds it", err)
	}
	return err
}

// DomainRecords implements Service.
func (l *Local) DomainRecords(ctx context.Context, q Name) ([]Record, error) {
	domain, err := l.hostedDomain(q.Name)
	if err != nil {
		return nil, err
	}
	keys, err := l.Keys(ctx, Name{domain})
	if err != nil {
		return nil, err
	}
	return l.Site.Records(domain, keys), nil
}

// Aliases implements Service.
func (l *Local) Aliases(ctx context.Context, _ None) ([]Alias, error) {
	known, err := l.Directory.Aliases(ctx)
	var list []Alias
	for _, a := range known {
		out := Alias{Address: a.Address}
		for _, t := range a.Targets {
			out.Targets = append(out.Targets, t.String())
		}
		list = append(list, out)
	}
	return list, err
}

// AddAlias implements Service.
func (l *Local) AddAlias(ctx context.Context, q Alias) (None, error) {
	address, err := accountName(q.Address)
	if err != nil {
		return None{}, err
	}
	if domain, all := strings.CutPrefix(address, "*@"); all { // a name like any other to SMTP, but nobody means that
		return None{}, fmt.Errorf("%w: * stands for no name here; \"facteur domain catch-all %s ADDRESS\" leads all unknown ones to ADDRESS", ErrInvalid, domain)
	}
	a := auth.Alias{Address: address}
	for _, t := range q.Targets {
		target, err := message.ParseAddrSpec(t)
		if err != nil {
			return None{}, fmt.Errorf("target %q is %w: %w", t, ErrInvalid, err)
		}
		if target.Key() == address {
			return None{}, fmt.Errorf("%w: alias %s leads to itself", ErrInvalid, address)
		}
		a.Targets = append(a.Targets, target)
	}
	if len(a.Targets) == 0 {
		return None{}, fmt.Errorf("%w: alias %s has no target", ErrInvalid, address)
	}
	return None{}, unhosted(l.Directory.AddAlias(ctx, a))
}

// RemoveAlias implements Service.
func (l *Local) RemoveAlias(ctx context.Context, q Name) (None, error) {
	address, err := accountName(q.Name)
	if err != nil {
		return None{}, err
	}
	return None{}, l.Directory.RemoveAlias(ctx, address)
}
