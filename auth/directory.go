package auth

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"facteur/storage/sqlite"
)

// Errors that callers branch on.
var (
	ErrCredentials = errors.New("wrong user name or password") // also unknown, disabled, wrong scope: never told apart
	ErrThrottled   = errors.New("too many failed logins")      // drop the connection: 421, BYE
	ErrMechanism   = errors.New("no such mechanism")
	ErrCancelled   = errors.New("login cancelled by the client") // "*"
	ErrMalformed   = errors.New("malformed login")
	ErrNoUser      = errors.New("no such user here")
	ErrNotHosted   = errors.New("domain is not hosted here")
	ErrDisabled    = errors.New("disabled")
	ErrNotFound    = errors.New("not found")
	ErrTaken       = errors.New("exists already")
	ErrInUse       = errors.New("still has accounts or aliases")
	ErrInvalid     = errors.New("not valid") // a name, address or password that can't be
)

// Service is what a login is for; an app password may be limited to some.
type Service string

const (
	IMAP Service = "imap"
	SMTP Service = "smtp"
	POP3 Service = "pop3"
)

// Client is who tries to log in.
type Client struct {
	Addr    netip.Addr
	Service Service
	TLS     *tls.ConnectionState // nil: in the clear
}

// Login is a login that succeeded.
type Login struct {
	Account     string // "alice@example.org"
	AppPassword string // its name; empty: the account's own password
	// Revoked is closed when the account is disabled, its password changed, or the app
	// password revoked or expired: the session ends. Release the Login at its end.
	Revoked <-chan struct{}

	release     func()
	whenRevoked func(wake func())
}

// Release says that the session has ended.
func (l *Login) Release() {
	if l.release != nil {
		l.release()
	}
}

// WhenRevoked has wake called once Revoked is closed, or at once when it is closed already: for sessions that
// have no goroutine to spare for the channel. wake must not block, and not call the Login.
func (l *Login) WhenRevoked(wake func()) {
	if l.whenRevoked != nil {
		l.whenRevoked(wake)
	}
}

// Config of a Directory. The zero value of a field means what its comment says.
type Config struct {
	Log        *slog.Logger
	Now        func() time.Time // time.Now
	Hostname   string           // postmaster and abuse there resolve too, also when it is not hosted
	Separators string           // between user and subaddress, such as "+"; several are possible; empty: there are no subaddresses
	IgnoreDots bool             // j.doe is jdoe
	Plus       bool             // offer SCRAM-SHA-256-PLUS
	Throttle   bool             // count failed logins; off in the demo
	Hash       HashCost         // of passwords: 19 MiB, two passes, one lane
	// Leaf is the certificate shown to clients that ask for a name; with it, the channel binding
	// tls-server-end-point works beside tls-exporter. Nil: it doesn't.
	Leaf func(serverName string) *x509.Certificate
}

// Directory is the open server.db. It is safe for concurrent use.
type Directory struct {
	cfg      Config
	db       *sqlite.DB
	hash     *hasher
	recent   *recent
	throttle *throttle
	notes    notes
	sessions sessions
	secret   []byte    // of this server.db: what unknown users are shown depends on it
	fakeKeys scramKeys // what their proofs are compared with

	write sync.Mutex // one change at a time, from the look at the snapshot to the new one
	snap  atomic.Pointer[snapshot]
}

// Open opens or creates the database at path. Close it after use.
func Open(path string, cfg Config) (*Directory, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Hash == (HashCost{}) {
		cfg.Hash = defaultHashCost
	}
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	d := &Directory{cfg: cfg, db: db, hash: newHasher(cfg.Hash), recent: newRecent(), throttle: newThrottle(cfg.Now)}
	if err := d.start(context.Background()); err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return d, nil
}

// start reads all that is kept in memory.
func (d *Directory) start(ctx context.Context) error {
	var err error
	if d.secret, err = serverSecret(ctx, d.db); err != nil {
		return err
	}
	rand.Read(d.fakeKeys.stored[:])
	rand.Read(d.fakeKeys.server[:])
	if d.throttle.regular, err = readVisits(ctx, d.db); err != nil {
		return err
	}
	return d.reload(ctx)
}

// Key returns 32 random octets that are the same for as long as this server.db lives, and others
// for each purpose: for signatures that only we have to know again, such as SRS addresses.
func (d *Directory) Key(purpose string) []byte { return hmacSHA256(d.secret, []byte(purpose)) }

// Run writes down what logins left, ends those whose app password has expired and forgets old
// failures, every minute until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.sweep(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *Directory) sweep(ctx context.Context) {
	now, s := d.cfg.Now(), d.snap.Load()
	d.throttle.sweep()
	d.recent.sweep(now)
	d.sessions.keep(func(a *account, app *appPassword) bool {
		return s.same(a, app) && (app == nil || !app.expired(now))
	})
	if err := d.notes.flush(ctx, d.db, now); err != nil {
		d.cfg.Log.Error("last logins were not written down", "error", err)
	}
}

// Backup writes a consistent copy of server.db to path, which must not exist, while everything goes on.
func (d *Directory) Backup(ctx context.Context, path string) error {
	return wrap(d.db.Backup(ctx, path), "copy the accounts to %s", path)
}

// Close writes down what logins left and closes the database.
func (d *Directory) Close() error {
	return errors.Join(d.notes.flush(context.Background(), d.db, d.cfg.Now()), d.db.Close())
}

// change makes a change and shows it: from here on nobody sees the old state, and the sessions that
// it forbids have been told to end. do looks at the state that it changes.
func (d *Directory) change(ctx context.Context, do func(s *snapshot, tx *sqlite.Tx) error) error {
	d.write.Lock()
	defer d.write.Unlock()
	err := d.db.Write(ctx, func(tx *sqlite.Tx) error { return do(d.snap.Load(), tx) })
	if err != nil {
		return err
	}
	// The change stands, so a caller who went away meanwhile must not keep it from being seen.
	return d.reload(context.WithoutCancel(ctx))
}

// reload reads a new snapshot and ends the sessions that it forbids.
func (d *Directory) reload(ctx context.Context) error {
	s, err := readSnapshot(ctx, d.db, d.cfg)
	if err != nil {
		return err
	}
	d.snap.Store(s)
	d.sessions.keep(s.same)
	return nil
}
