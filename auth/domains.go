package auth

import (
	"context"
	"fmt"
	"time"

	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// Domain is a hosted domain.
type Domain struct {
	Name     string // in A-labels
	Disabled bool
	CatchAll string // address that takes mail for unknown users; empty: refuse
	Created  time.Time
}

// AddDomain hosts a domain. Created is set here.
func (d *Directory) AddDomain(ctx context.Context, dom Domain) error {
	dom, err := dom.checked()
	if err != nil {
		return err
	}
	err = d.change(ctx, func(s *snapshot, tx *sqlite.Tx) error {
		if s.domains[dom.Name] != nil {
			return ErrTaken
		}
		_, err := tx.Exec("INSERT INTO domains (name, disabled, catch_all, created) VALUES (?,?,?,?)",
			dom.Name, dom.Disabled, dom.CatchAll, toUnix(d.cfg.Now()))
		return err
	})
	return wrap(err, "add domain %s", dom.Name)
}

// Domains lists them by age.
func (d *Directory) Domains(context.Context) ([]Domain, error) {
	s := d.snap.Load()
	list := make([]Domain, len(s.first))
	for i, dom := range s.first {
		list[i] = *dom
	}
	return list, nil
}

// UpdateDomain sets everything but Name and Created.
func (d *Directory) UpdateDomain(ctx context.Context, dom Domain) error {
	dom, err := dom.checked()
	if err != nil {
		return err
	}
	err = d.change(ctx, func(_ *snapshot, tx *sqlite.Tx) error {
		return one(tx.Exec("UPDATE domains SET disabled=?, catch_all=? WHERE name=?", dom.Disabled, dom.CatchAll, dom.Name))
	})
	return wrap(err, "change domain %s", dom.Name)
}

// RemoveDomain removes a domain that has neither accounts nor aliases, ErrInUse otherwise.
func (d *Directory) RemoveDomain(ctx context.Context, name string) error {
	name, err := domainName(name)
	if err != nil {
		return err
	}
	err = d.change(ctx, func(_ *snapshot, tx *sqlite.Tx) error {
		err := one(tx.Exec("DELETE FROM domains WHERE name=?", name))
		if sqlite.IsConstraint(err) {
			return ErrInUse
		}
		return err
	})
	return wrap(err, "remove domain %s", name)
}

// checked brings a domain that somebody has written into the form of the database.
func (dom Domain) checked() (Domain, error) {
	name, err := domainName(dom.Name)
	if err != nil {
		return dom, err
	}
	dom.Name = name
	dom.CatchAll, err = catchAllAddress(dom.CatchAll)
	return dom, err
}

// domainName brings a domain into the form of the database.
func domainName(s string) (string, error) {
	name, err := message.ParseDomain(s)
	if err != nil {
		return "", fmt.Errorf("domain %q: %w", s, ErrInvalid)
	}
	return name, nil
}

func catchAllAddress(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	addr, err := message.ParseAddrSpec(s)
	if err != nil {
		return "", fmt.Errorf("catch-all %q: %w: %w", s, ErrInvalid, err)
	}
	return addr.String(), nil
}

// wrap is fmt.Errorf for an error that may be nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
