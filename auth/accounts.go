package auth

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"facteur/storage/message"
	"facteur/storage/sqlite"
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

// AddAccount makes an account; its domain must be hosted.
func (d *Directory) AddAccount(ctx context.Context, name, pw string) error {
	return d.AddAccountAfter(ctx, name, pw, func() error { return nil })
}

// AddAccountAfter is AddAccount that calls before when nothing speaks against the account any more, and makes the
// account when that has succeeded: a crash in between leaves what before has made, and no account. before must not
// call the Directory.
func (d *Directory) AddAccountAfter(ctx context.Context, name, pw string, before func() error) error {
	addr, err := accountAddress(name)
	if err != nil {
		return err
	}
	salt := newScramSalt()
	hash, keys, err := d.derive(ctx, pw, salt)
	if err != nil {
		return wrap(err, "add account %s", name)
	}
	err = d.change(ctx, func(s *snapshot, tx *sqlite.Tx) error {
		dom, err := s.free(addr)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO accounts (name, domain, created, hash, scram_salt, scram) VALUES (?,?,?,?,?,?)`,
			addr.Key(), dom.Name, toUnix(d.cfg.Now()), hash, salt, keys.bytes())
		if err != nil {
			return err
		}
		return before()
	})
	return wrap(err, "add account %s", name)
}

// Accounts lists them by name.
func (d *Directory) Accounts(context.Context) ([]Account, error) {
	s := d.snap.Load()
	list := make([]Account, len(s.oldest))
	for i, a := range s.oldest {
		list[i] = a.Account
	}
	slices.SortFunc(list, func(a, b Account) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Account finds one by its address, in any spelling; ErrNotFound.
func (d *Directory) Account(_ context.Context, name string) (Account, error) {
	a := d.snap.Load().user(name)
	if a == nil {
		return Account{}, fmt.Errorf("account %s: %w", name, ErrNotFound)
	}
	return a.Account, nil
}

// UpdateAccount sets everything but Name and Created.
func (d *Directory) UpdateAccount(ctx context.Context, a Account) error {
	if a.QuotaBytes < 0 || a.QuotaMessage < 0 || a.SendPerDay < 0 {
		return fmt.Errorf("account %s: limits: %w", a.Name, ErrInvalid)
	}
	err := d.changeAccount(ctx, a.Name, func(id int64, tx *sqlite.Tx) error {
		return one(tx.Exec(`UPDATE accounts SET disabled=?, quota_bytes=?, quota_messages=?, send_per_day=?, no_caps=? WHERE id=?`,
			a.Disabled, a.QuotaBytes, a.QuotaMessage, a.SendPerDay, strings.Join(a.NoCaps, " "), id))
	})
	return wrap(err, "change account %s", a.Name)
}

// SetPassword gives an account a new password. Its sessions end; those of app passwords live.
func (d *Directory) SetPassword(ctx context.Context, name, pw string) error {
	a := d.snap.Load().user(name)
	if a == nil {
		return fmt.Errorf("set password of %s: %w", name, ErrNotFound)
	}
	// The salt stays: app passwords share it.
	hash, keys, err := d.derive(ctx, pw, a.scramSalt)
	if err != nil {
		return wrap(err, "set password of %s", name)
	}
	err = d.changeAccount(ctx, name, func(id int64, tx *sqlite.Tx) error {
		return one(tx.Exec("UPDATE accounts SET hash=?, scram=? WHERE id=? AND scram_salt=?", hash, keys.bytes(), id, a.scramSalt))
	})
	return wrap(err, "set password of %s", name)
}

// RemoveAccount removes an account with its app passwords. Aliases that lead to it stay, and lead
// nowhere. Its mail is not this room's.
func (d *Directory) RemoveAccount(ctx context.Context, name string) error {
	err := d.changeAccount(ctx, name, func(id int64, tx *sqlite.Tx) error {
		if _, err := tx.Exec("DELETE FROM visits WHERE account=(SELECT name FROM accounts WHERE id=?)", id); err != nil {
			return err
		}
		return one(tx.Exec("DELETE FROM accounts WHERE id=?", id))
	})
	return wrap(err, "remove account %s", name)
}

// changeAccount is change for one account that exists.
func (d *Directory) changeAccount(ctx context.Context, name string, do func(id int64, tx *sqlite.Tx) error) error {
	return d.change(ctx, func(s *snapshot, tx *sqlite.Tx) error {
		a := s.user(name)
		if a == nil {
			return ErrNotFound
		}
		return do(a.id, tx)
	})
}

// derive makes all that is kept of a password.
func (d *Directory) derive(ctx context.Context, pw string, salt []byte) (hash string, keys scramKeys, err error) {
	if pw == "" || len(pw) > 1000 || strings.Contains(pw, "\x00") {
		return "", scramKeys{}, fmt.Errorf("password is empty, too long or has a NUL: %w", ErrInvalid)
	}
	secret := prepare(pw)
	if hash, err = d.hash.hash(ctx, secret); err != nil {
		return "", scramKeys{}, err
	}
	keys, err = newScramKeys(secret, salt)
	return hash, keys, err
}

// rehash replaces the hash of a password that was right by one with our costs.
func (d *Directory) rehash(ctx context.Context, a *account, secret string) error {
	hash, err := d.hash.hash(ctx, secret)
	if err != nil {
		return err
	}
	return d.change(ctx, func(_ *snapshot, tx *sqlite.Tx) error {
		_, err := tx.Exec("UPDATE accounts SET hash=? WHERE id=? AND hash=?", hash, a.id, a.hash)
		return err
	})
}

// accountAddress checks the name of a new account. It becomes a folder and a login name, so it may
// not need quotes.
func accountAddress(name string) (message.AddrSpec, error) {
	addr, err := message.ParseAddrSpec(name)
	switch {
	case err != nil:
		return addr, fmt.Errorf("account %q: %w: %w", name, ErrInvalid, err)
	case addr.String() != addr.Local+"@"+addr.Domain:
		return addr, fmt.Errorf("account %q: %w: the local-part needs quotes", name, ErrInvalid)
	case len(addr.Local) > 64: // RFC 5321 4.5.3.1.1
		return addr, fmt.Errorf("account %q: %w: the local-part is longer than 64 octets", name, ErrInvalid)
	}
	return addr, nil
}

// free returns the domain of an address that is nobody's yet: ErrNotHosted, or ErrTaken by an account or alias.
func (s *snapshot) free(addr message.AddrSpec) (*Domain, error) {
	dom, key := s.domain(addr.Domain), s.key(addr)
	switch {
	case dom == nil:
		return nil, ErrNotHosted
	case s.accounts[key] != nil || s.aliases[key] != nil:
		return nil, ErrTaken
	}
	return dom, nil
}
