package auth

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// Alias sends mail for one address on to others.
type Alias struct {
	Address string
	Targets []message.AddrSpec
}

// AddAlias makes an alias; its domain must be hosted. Targets may be anywhere, and need not exist yet.
func (d *Directory) AddAlias(ctx context.Context, a Alias) error {
	addr, err := message.ParseAddrSpec(a.Address)
	if err != nil {
		return fmt.Errorf("alias %q: %w: %w", a.Address, ErrInvalid, err)
	}
	if len(a.Targets) == 0 {
		return fmt.Errorf("alias %q: %w: it leads nowhere", a.Address, ErrInvalid)
	}
	targets := make([]string, len(a.Targets))
	for i, t := range a.Targets {
		targets[i] = t.String()
		if _, err := message.ParseAddrSpec(targets[i]); err != nil {
			return fmt.Errorf("alias %q: target %q: %w: %w", a.Address, targets[i], ErrInvalid, err)
		}
	}
	err = d.change(ctx, func(s *snapshot, tx *sqlite.Tx) error {
		dom, err := s.free(addr)
		if err != nil {
			return err
		}
		address := message.AddrSpec{Local: addr.Local, Domain: dom.Name}.String()
		_, err = tx.Exec("INSERT INTO aliases (address, domain, targets) VALUES (?,?,?)", address, dom.Name, strings.Join(targets, "\n"))
		return err
	})
	return wrap(err, "add alias %s", a.Address)
}

// Aliases lists them by address.
func (d *Directory) Aliases(context.Context) ([]Alias, error) {
	s := d.snap.Load()
	list := make([]Alias, 0, len(s.aliases))
	for _, a := range s.aliases {
		list = append(list, Alias{Address: a.Address, Targets: slices.Clone(a.Targets)})
	}
	slices.SortFunc(list, func(a, b Alias) int { return cmp.Compare(a.Address, b.Address) })
	return list, nil
}

// RemoveAlias removes the alias with an address, in any spelling; ErrNotFound.
func (d *Directory) RemoveAlias(ctx context.Context, address string) error {
	addr, err := message.ParseAddrSpec(address)
	if err != nil {
		return fmt.Errorf("alias %q: %w: %w", address, ErrInvalid, err)
	}
	err = d.change(ctx, func(s *snapshot, tx *sqlite.Tx) error {
		a := s.aliases[s.key(addr)]
		if a == nil {
			return ErrNotFound
		}
		return one(tx.Exec("DELETE FROM aliases WHERE address=?", a.Address))
	})
	return wrap(err, "remove alias %s", address)
}
