package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Password checks a user name and password (IMAP LOGIN, POP3 PASS). It blocks on the hash.
func (d *Directory) Password(ctx context.Context, c Client, user, password string) (*Login, error) {
	if d.throttled(c, user) {
		return nil, ErrThrottled
	}
	s := d.snap.Load()
	acct, secret := s.user(user), prepare(password)
	app, err := d.checkPassword(ctx, s, acct, c.Service, secret)
	if err != nil {
		if errors.Is(err, ErrCredentials) {
			d.countFailure(c, user, []byte(secret))
		}
		return nil, err
	}
	return d.login(c, acct, app)
}

// checkPassword returns the app password that matched, nil for the account's own, or
// ErrCredentials. What fails costs one argon2id hash, whether it is the password, the user, the
// scope or the state that is wrong.
func (d *Directory) checkPassword(ctx context.Context, s *snapshot, acct *account, service Service, secret string) (*appPassword, error) {
	encoded, usable := d.hash.dummy, false
	if acct != nil {
		encoded, usable = acct.hash, s.live(acct)
		if app := acct.findApp(secret); app != nil && usable && app.allows(service) && !app.expired(d.cfg.Now()) {
			return app, nil
		}
	}
	known := func() bool { return usable && d.recent.has(acct, secret, d.cfg.Now()) }
	if known() {
		return nil, nil
	}
	ok, stale, err := d.hash.verify(ctx, secret, encoded, known)
	if err != nil {
		return nil, fmt.Errorf("check password: %w", err)
	}
	if !ok || !usable {
		return nil, ErrCredentials
	}
	if stale {
		if err := d.rehash(ctx, acct, secret); err != nil {
			d.cfg.Log.Warn("a password's hash was not renewed", "account", acct.Name, "error", err)
		}
	}
	d.recent.add(acct, secret, d.cfg.Now())
	return nil, nil
}

// findApp compares with each app password.
func (a *account) findApp(secret string) *appPassword {
	digest := appDigest(secret)
	var found *appPassword
	for _, app := range a.apps {
		if subtle.ConstantTimeCompare(app.digest[:], digest[:]) == 1 {
			found = app
		}
	}
	return found
}

// login makes the session. Whatever changed while the password was checked counts: a session of
// an account that was disabled meanwhile ends at once.
func (d *Directory) login(c Client, acct *account, app *appPassword) (*Login, error) {
	login := d.sessions.add(acct, app)
	now := d.snap.Load()
	if !now.same(acct, app) {
		login.Release()
		return nil, ErrCredentials
	}
	if d.cfg.Throttle && c.Addr.IsValid() {
		if v, at, news := d.throttle.succeeded(c.Addr, acct.Name); news {
			d.notes.visited(v, at)
		}
	}
	if app != nil {
		d.notes.used(app.id, d.cfg.Now(), c.Addr.String())
	}
	return login, nil
}

// same reports whether what a login was checked against still stands in s.
func (s *snapshot) same(acct *account, app *appPassword) bool {
	now := s.accounts[acct.key]
	if now == nil || now.id != acct.id || !s.live(now) {
		return false
	}
	if app == nil {
		return now.scram == acct.scram
	}
	return now.app(app.id) != nil
}

func (a *account) app(id int64) *appPassword {
	for _, p := range a.apps {
		if p.id == id {
			return p
		}
	}
	return nil
}

// checkProof is checkPassword for SCRAM: match is tried on each secret of the account. The login is
// made later, when the client has seen our signature.
func (d *Directory) checkProof(c Client, user string, match func(scramKeys) bool) (scramKeys, func() (*Login, error), error) {
	s := d.snap.Load()
	acct := s.user(user)
	keys, app, ok := d.fakeKeys, (*appPassword)(nil), false
	if acct == nil {
		match(keys) // for the time it takes
	} else {
		keys, app, ok = acct.proven(match)
		ok = ok && s.live(acct) && (app == nil || app.allows(c.Service) && !app.expired(d.cfg.Now()))
	}
	if !ok {
		d.countFailure(c, user, nil)
		return scramKeys{}, nil, ErrCredentials
	}
	return keys, func() (*Login, error) { return d.login(c, acct, app) }, nil
}

// proven finds the secret that a proof was made with.
func (a *account) proven(match func(scramKeys) bool) (scramKeys, *appPassword, bool) {
	ok := match(a.scram)
	keys, app := a.scram, (*appPassword)(nil)
	for _, p := range a.apps {
		if match(p.scram) && !ok {
			keys, app, ok = p.scram, p, true
		}
	}
	return keys, app, ok
}

// scramSalt is the account's, or for an unknown user one that looks as random and stays the
// same, also over a restart: otherwise it would tell who exists.
func (d *Directory) scramSalt(user string) []byte {
	if acct := d.snap.Load().user(user); acct != nil {
		return acct.scramSalt
	}
	return hmacSHA256(d.secret, []byte("scram salt"), []byte(d.loginKey(user)))[:scramSaltLen]
}

// loginKey is the form of a login name to count and compare by. It is worked out without a look
// at whether the user exists, which its time would tell.
func (d *Directory) loginKey(user string) string { return d.snap.Load().loginKey(user) }

func (d *Directory) sameUser(a, b string) bool { return d.loginKey(a) == d.loginKey(b) }

func (d *Directory) throttled(c Client, user string) bool {
	return d.cfg.Throttle && d.throttle.refused(c.Addr, d.loginKey(user))
}

func (d *Directory) countFailure(c Client, user string, secret []byte) {
	if !d.cfg.Throttle {
		return
	}
	for _, l := range d.throttle.failed(c.Addr, d.loginKey(user), secret) {
		d.cfg.Log.Warn("too many failed logins: more are refused for a while", "from", l.who, "until", l.until.UTC())
	}
}

// recentFor is how long a password that was right is taken without its hash: phones log in anew
// all the time.
const recentFor = 10 * time.Minute

// recent remembers passwords that were right, as an HMAC under a key that lives no longer than
// the process.
type recent struct {
	key [sha256.Size]byte
	mu  sync.Mutex
	ok  map[[sha256.Size]byte]time.Time // until when
}

func newRecent() *recent {
	r := &recent{ok: make(map[[sha256.Size]byte]time.Time)}
	rand.Read(r.key[:])
	return r
}

// id binds an entry to the account's present secret, so that a new password makes it void.
func (r *recent) id(a *account, secret string) [sha256.Size]byte {
	return [sha256.Size]byte(hmacSHA256(r.key[:], a.scram.stored[:], a.scramSalt, []byte(a.Name), []byte{0}, []byte(secret)))
}

func (r *recent) has(a *account, secret string, now time.Time) bool {
	id := r.id(a, secret)
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.ok[id])
}

func (r *recent) add(a *account, secret string, now time.Time) {
	id := r.id(a, secret)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ok[id] = now.Add(recentFor)
}

func (r *recent) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, until := range r.ok {
		if !now.Before(until) {
			delete(r.ok, id)
		}
	}
}
