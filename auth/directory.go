package auth

import (
	"context"
	"time"

	"facteur/storage/message"
)

// Account is one account as the admin sees it.
type Account struct {
	Name         string // its address
	Disabled     bool
	Created      time.Time
	QuotaBytes   int64 // 0: none
	QuotaMessage int64
	SendPerDay   int      // messages a day; 0: the server's default
	NoCaps       []string // IMAP capabilities not shown to this account
}

// Domain is a hosted domain.
type Domain struct {
	Name     string // in A-labels
	Disabled bool
	CatchAll string // address that takes mail for unknown users; empty: refuse
	Created  time.Time
}

// Alias sends mail for one address on to others.
type Alias struct {
	Address string
	Targets []message.AddrSpec
}

// AppPassword is a generated secret for one device or program.
type AppPassword struct {
	Account, Name string
	Services      []Service // empty: all
	Created       time.Time
	Expires       time.Time // zero: never
	LastUsed      time.Time
	LastFrom      string
}

func (d *Directory) AddDomain(ctx context.Context, dom Domain) error        { panic("not built yet") }
func (d *Directory) Domains(ctx context.Context) ([]Domain, error)          { panic("not built yet") }
func (d *Directory) UpdateDomain(ctx context.Context, dom Domain) error     { panic("not built yet") }
func (d *Directory) RemoveDomain(ctx context.Context, name string) error    { panic("not built yet") } // only without accounts and aliases
func (d *Directory) AddAccount(ctx context.Context, name, pw string) error  { panic("not built yet") } // its domain must be hosted
func (d *Directory) Accounts(ctx context.Context) ([]Account, error)        { panic("not built yet") }
func (d *Directory) Account(ctx context.Context, n string) (Account, error) { panic("not built yet") }
func (d *Directory) UpdateAccount(ctx context.Context, a Account) error     { panic("not built yet") } // all but Name and Created
func (d *Directory) SetPassword(ctx context.Context, name, pw string) error { panic("not built yet") }
func (d *Directory) RemoveAccount(ctx context.Context, name string) error   { panic("not built yet") }
func (d *Directory) AddAlias(ctx context.Context, a Alias) error            { panic("not built yet") }
func (d *Directory) Aliases(ctx context.Context) ([]Alias, error)           { panic("not built yet") }
func (d *Directory) RemoveAlias(ctx context.Context, address string) error  { panic("not built yet") }

// AddAppPassword makes a secret of at least 100 bits; it is shown once and not kept.
func (d *Directory) AddAppPassword(ctx context.Context, p AppPassword) (secret string, err error) {
	panic("not built yet")
}
func (d *Directory) AppPasswords(ctx context.Context, account string) ([]AppPassword, error) {
	panic("not built yet")
}
func (d *Directory) RevokeAppPassword(ctx context.Context, account, name string) error {
	panic("not built yet")
}
