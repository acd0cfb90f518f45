package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"facteur/storage/sqlite"
)

// AppPassword is a generated secret for one device or program.
type AppPassword struct {
	Account, Name string
	Services      []Service // empty: all
	Created       time.Time
	Expires       time.Time // zero: never
	LastUsed      time.Time
	LastFrom      string
}

// AddAppPassword makes a secret of 125 random bits; it is shown once and not kept.
func (d *Directory) AddAppPassword(ctx context.Context, p AppPassword) (secret string, err error) {
	if p.Name == "" || len(p.Name) > 200 {
		return "", fmt.Errorf("app password: %w: it needs a name", ErrInvalid)
	}
	for _, s := range p.Services {
		if !slices.Contains([]Service{IMAP, SMTP, POP3}, s) {
			return "", fmt.Errorf("app password %s: %w: service %q is none of imap, smtp, pop3", p.Name, ErrInvalid, s)
		}
	}
	secret = newAppSecret()
	digest := appDigest(secret)
	err = d.change(ctx, func(s *snapshot, tx *sqlite.Tx) error {
		a := s.user(p.Account)
		if a == nil {
			return ErrNotFound
		}
		keys, err := newScramKeys(secret, a.scramSalt)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO app_passwords (account, name, services, created, expires, digest, scram) VALUES (?,?,?,?,?,?,?)`,
			a.id, p.Name, joinServices(p.Services), toUnix(d.cfg.Now()), toUnix(p.Expires), digest[:], keys.bytes())
		if sqlite.IsConstraint(err) {
			return ErrTaken
		}
		return err
	})
	if err != nil {
		return "", wrap(err, "add app password %s of %s", p.Name, p.Account)
	}
	return secret, nil
}

// AppPasswords lists those of an account by age.
func (d *Directory) AppPasswords(ctx context.Context, account string) ([]AppPassword, error) {
	a := d.snap.Load().user(account)
	if a == nil {
		return nil, fmt.Errorf("app passwords of %s: %w", account, ErrNotFound)
	}
	if err := d.notes.flush(ctx, d.db, d.cfg.Now()); err != nil {
		return nil, wrap(err, "app passwords of %s", account)
	}
	const query = "SELECT name, services, created, expires, last_used, last_from FROM app_passwords WHERE account=? ORDER BY id"
	var list []AppPassword
	err := each(ctx, d.db, query, []any{a.id}, func(rows *sql.Rows) error {
		p := AppPassword{Account: a.Name}
		var services string
		var created, expires, used int64
		if err := rows.Scan(&p.Name, &services, &created, &expires, &used, &p.LastFrom); err != nil {
			return err
		}
		p.Services = parseServices(services)
		p.Created, p.Expires, p.LastUsed = fromUnix(created), fromUnix(expires), fromUnix(used)
		list = append(list, p)
		return nil
	})
	return list, wrap(err, "app passwords of %s", account)
}

// RevokeAppPassword removes one and ends its sessions; ErrNotFound.
func (d *Directory) RevokeAppPassword(ctx context.Context, account, name string) error {
	err := d.changeAccount(ctx, account, func(id int64, tx *sqlite.Tx) error {
		return one(tx.Exec("DELETE FROM app_passwords WHERE account=? AND name=?", id, name))
	})
	return wrap(err, "revoke app password %s of %s", name, account)
}

// newAppSecret returns five groups of five letters and digits.
func newAppSecret() string {
	alphabet := base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)
	b := make([]byte, 16)
	rand.Read(b)
	text := alphabet.EncodeToString(b)[:25]
	return strings.Join([]string{text[:5], text[5:10], text[10:15], text[15:20], text[20:]}, "-")
}

// appDigest is what is kept of an app password. Hyphens, spaces and case are how it was shown and
// typed, and don't count.
func appDigest(secret string) [sha256.Size]byte {
	b := make([]byte, 0, len(secret))
	for i := 0; i < len(secret); i++ {
		switch c := secret[i]; {
		case c == '-' || c == ' ':
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return sha256.Sum256(b)
}
