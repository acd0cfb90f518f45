package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// openDatabase opens server.db. What it holds was promised to an operator: it is durable.
func openDatabase(path string) (*sqlite.DB, error) {
	return sqlite.Open(path, sqlite.Options{Migrations: schema, Durable: true, Readers: 2})
}

// serverSecret reads the random octets of this server.db, and makes them the first time.
func serverSecret(ctx context.Context, db *sqlite.DB) (secret []byte, err error) {
	err = db.Write(ctx, func(tx *sqlite.Tx) error {
		err := tx.QueryRow("SELECT secret FROM server").Scan(&secret)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		secret = make([]byte, sha256.Size)
		rand.Read(secret)
		_, err = tx.Exec("INSERT INTO server (secret) VALUES (?)", secret)
		return err
	})
	return secret, err
}

// readSnapshot reads all domains, accounts and aliases.
func readSnapshot(ctx context.Context, db *sqlite.DB, cfg Config) (*snapshot, error) {
	s := &snapshot{
		domains:    make(map[string]*Domain),
		accounts:   make(map[string]*account),
		aliases:    make(map[string]*Alias),
		hostname:   cfg.Hostname,
		separators: cfg.Separators,
		ignoreDots: cfg.IgnoreDots,
	}
	byID := make(map[int64]*account)
	if err := s.readDomains(ctx, db); err != nil {
		return nil, err
	}
	if err := s.readAccounts(ctx, db, byID); err != nil {
		return nil, err
	}
	if err := s.readAppPasswords(ctx, db, byID); err != nil {
		return nil, err
	}
	if err := s.readAliases(ctx, db); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *snapshot) readDomains(ctx context.Context, db *sqlite.DB) error {
	const query = "SELECT name, disabled, catch_all, created FROM domains ORDER BY id"
	return each(ctx, db, query, nil, func(rows *sql.Rows) error {
		var d Domain
		var created int64
		if err := rows.Scan(&d.Name, &d.Disabled, &d.CatchAll, &created); err != nil {
			return err
		}
		d.Created = fromUnix(created)
		s.domains[d.Name] = &d
		s.first = append(s.first, &d)
		return nil
	})
}

func (s *snapshot) readAccounts(ctx context.Context, db *sqlite.DB, byID map[int64]*account) error {
	const query = `SELECT id, name, domain, disabled, created, quota_bytes, quota_messages, send_per_day,
		no_caps, hash, scram_salt, scram FROM accounts ORDER BY id`
	return each(ctx, db, query, nil, func(rows *sql.Rows) error {
		var a account
		var created int64
		var noCaps string
		var scram []byte
		err := rows.Scan(&a.id, &a.Name, &a.domain, &a.Disabled, &created, &a.QuotaBytes, &a.QuotaMessage,
			&a.SendPerDay, &noCaps, &a.hash, &a.scramSalt, &scram)
		if err != nil {
			return err
		}
		a.Created, a.NoCaps = fromUnix(created), strings.Fields(noCaps)
		if a.scram, err = parseScramKeys(scram); err != nil {
			return fmt.Errorf("account %s: %w", a.Name, err)
		}
		addr, err := message.ParseAddrSpec(a.Name)
		if err != nil {
			return fmt.Errorf("account %q: %w", a.Name, err)
		}
		a.key = s.key(addr)
		s.accounts[a.key], byID[a.id] = &a, &a
		s.oldest = append(s.oldest, &a)
		return nil
	})
}

func (s *snapshot) readAppPasswords(ctx context.Context, db *sqlite.DB, byID map[int64]*account) error {
	const query = "SELECT id, account, name, services, expires, digest, scram FROM app_passwords ORDER BY id"
	return each(ctx, db, query, nil, func(rows *sql.Rows) error {
		var p appPassword
		var account, expires int64
		var services string
		var digest, scram []byte
		if err := rows.Scan(&p.id, &account, &p.name, &services, &expires, &digest, &scram); err != nil {
			return err
		}
		keys, err := parseScramKeys(scram)
		if err != nil || copy(p.digest[:], digest) != sha256.Size {
			return fmt.Errorf("app password %d is damaged", p.id)
		}
		p.services, p.expires, p.scram = parseServices(services), fromUnix(expires), keys
		byID[account].apps = append(byID[account].apps, &p)
		return nil
	})
}

func (s *snapshot) readAliases(ctx context.Context, db *sqlite.DB) error {
	const query = "SELECT address, targets FROM aliases ORDER BY address"
	return each(ctx, db, query, nil, func(rows *sql.Rows) error {
		var al Alias
		var targets string
		if err := rows.Scan(&al.Address, &targets); err != nil {
			return err
		}
		for line := range strings.Lines(targets) {
			t, err := message.ParseAddrSpec(strings.TrimSuffix(line, "\n"))
			if err != nil {
				return fmt.Errorf("alias %s: %w", al.Address, err)
			}
			al.Targets = append(al.Targets, t)
		}
		addr, err := message.ParseAddrSpec(al.Address)
		if err != nil {
			return fmt.Errorf("alias %q: %w", al.Address, err)
		}
		s.aliases[s.key(addr)] = &al
		return nil
	})
}

// readVisits reads where accounts have logged in from.
func readVisits(ctx context.Context, db *sqlite.DB) (map[visit]time.Time, error) {
	visits := make(map[visit]time.Time)
	err := each(ctx, db, "SELECT account, network, at FROM visits", nil, func(rows *sql.Rows) error {
		var account, network string
		var at int64
		if err := rows.Scan(&account, &network, &at); err != nil {
			return err
		}
		if p, err := netip.ParsePrefix(network); err == nil {
			visits[visit{account, p}] = fromUnix(at)
		}
		return nil
	})
	return visits, err
}

func writeNotes(tx *sqlite.Tx, uses map[int64]use, visits map[visit]time.Time, old time.Time) error {
	for app, u := range uses {
		if _, err := tx.Exec("UPDATE app_passwords SET last_used=?, last_from=? WHERE id=?", toUnix(u.at), u.from, app); err != nil {
			return err
		}
	}
	for v, at := range visits {
		if _, err := tx.Exec("INSERT OR REPLACE INTO visits (account, network, at) VALUES (?,?,?)", v.account, v.network.String(), toUnix(at)); err != nil {
			return err
		}
	}
	_, err := tx.Exec("DELETE FROM visits WHERE at<?", toUnix(old))
	return err
}

// each runs a query and calls row for each row.
func each(ctx context.Context, db *sqlite.DB, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// one turns the result of a change of one row into ErrNotFound when there was none.
func one(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrNotFound, err)
	}
	return nil
}

func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromUnix(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}

func parseServices(s string) []Service {
	var list []Service
	for f := range strings.FieldsSeq(s) {
		list = append(list, Service(f))
	}
	return list
}

func joinServices(list []Service) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, " ")
}
