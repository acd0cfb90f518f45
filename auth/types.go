package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"facteur/storage/message"
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
)

// Service is what a login is for; an app password may be limited to some.
type Service string

const (
	IMAP  Service = "imap"
	SMTP  Service = "smtp"
	POP3  Service = "pop3"
	Sieve Service = "sieve"
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
	release func()
}

// Release says that the session has ended.
func (l *Login) Release() {
	if l.release != nil {
		l.release()
	}
}

// Config of a Directory.
type Config struct {
	Log        *slog.Logger
	Now        func() time.Time // time.Now
	Separators string           // between user and subaddress: "+"; several are possible
	IgnoreDots bool             // j.doe is jdoe
	Plus       bool             // offer SCRAM-SHA-256-PLUS
	Throttle   bool             // count failed logins; off in the demo
}

// Directory is the open server.db. It is safe for concurrent use.
type Directory struct{}

// Open opens or creates the database at path.
func Open(path string, cfg Config) (*Directory, error) { panic("not built yet") }

// Run sweeps what has expired until ctx ends.
func (d *Directory) Run(ctx context.Context) error { panic("not built yet") }

// Close closes the database.
func (d *Directory) Close() error { panic("not built yet") }

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
// ErrNotHosted, ErrNoUser, or ErrDisabled when there is nobody to take the mail.
func (d *Directory) Resolve(ctx context.Context, to message.AddrSpec) (Resolution, error) {
	panic("not built yet")
}

// Hosted reports whether a domain is ours, in any spelling.
func (d *Directory) Hosted(domain string) bool { panic("not built yet") }

// MaySendAs reports whether an account may use an address as reverse-path or author:
// its own, with any subaddress, and aliases that lead to it.
func (d *Directory) MaySendAs(ctx context.Context, account string, from message.AddrSpec) (bool, error) {
	panic("not built yet")
}

// Mechanisms lists the SASL mechanisms a client may use now, the best first. Those that
// send the password in the clear only with TLS, or with plainOK.
func (d *Directory) Mechanisms(c Client, plainOK bool) []string { panic("not built yet") }

// Exchange is a SASL exchange on the server's side.
type Exchange interface {
	// Next takes the client's response (nil: none given, as at the start without an initial
	// response) and returns our next challenge, or the login. It blocks on the password
	// hash. Errors: ErrCredentials, ErrThrottled, ErrMalformed, or a fault of ours.
	Next(ctx context.Context, response []byte) (challenge []byte, login *Login, err error)
}

// Exchange starts one. ErrMechanism when the name is unknown or not allowed now.
func (d *Directory) Exchange(mechanism string, c Client, plainOK bool) (Exchange, error) {
	panic("not built yet")
}

// Password checks a user name and password (IMAP LOGIN, POP3 PASS).
func (d *Directory) Password(ctx context.Context, c Client, user, password string) (*Login, error) {
	panic("not built yet")
}
