package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// How failed logins are counted. Each is counted for the client's address, for two wider
// networks around it and for the account it tried, whether that exists or not. Whoever
// passes a limit within the window is refused, without a look at the password, for lockFirst, and for
// double that each time it happens again.
const (
	failWindow = 10 * time.Minute
	lockFirst  = 15 * time.Minute
	lockMax    = 24 * time.Hour
	lockMemory = 24 * time.Hour // after that, doubling starts over

	// An account is not locked for networks that it has logged in from within this time:
	// otherwise whoever knows its name could lock its owner out.
	knownFor = 30 * 24 * time.Hour

	// There, guessing is only slowed down: past failKnown failures, one attempt in paceKnown.
	failKnown = 20
	paceKnown = 3 * time.Second

	failAccount     = 100 // failures an account may have, from everywhere together
	throttleEntries = 100_000
)

var failNetworks = [...]struct{ v4, v6, limit int }{
	{32, 64, 10},
	{26, 48, 50},
	{21, 32, 150},
}

// throttle counts failed logins, in memory only.
type throttle struct {
	now func() time.Time
	key [sha256.Size]byte // makes the hashes of wrong passwords worthless to others

	mu      sync.Mutex
	counts  map[string]*failures // by network, by account after "@", and by visit
	wrong   map[[sha256.Size]byte]time.Time
	regular map[visit]time.Time
}

type failures struct {
	since       time.Time
	n           int
	lockedUntil time.Time
	locks       int
}

// visit is an account and a network it has logged in from.
type visit struct {
	account string
	network netip.Prefix
}

func (v visit) String() string { return v.account + " " + v.network.String() }

func newThrottle(now func() time.Time) *throttle {
	t := &throttle{
		now:     now,
		counts:  make(map[string]*failures),
		wrong:   make(map[[sha256.Size]byte]time.Time),
		regular: make(map[visit]time.Time),
	}
	rand.Read(t.key[:])
	return t
}

// mask is the network of addr with the v4 or v6 length.
func mask(addr netip.Addr, v4, v6 int) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := v6
	if addr.Is4() {
		bits = v4
	}
	p, _ := addr.Prefix(bits) // fails for the zero Addr only, with the zero Prefix
	return p
}

// home is the network by which we remember where an account logs in from.
func home(account string, addr netip.Addr) visit { return visit{account, mask(addr, 26, 48)} }

// refused reports whether a login is to be refused unseen.
func (t *throttle) refused(addr netip.Addr, account string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.known(account, addr, now) {
		return t.paced(home(account, addr).String(), now)
	}
	for _, n := range failNetworks {
		if t.locked(mask(addr, n.v4, n.v6).String(), now) {
			return true
		}
	}
	return t.locked("@"+account, now)
}

func (t *throttle) known(account string, addr netip.Addr, now time.Time) bool {
	at, ok := t.regular[home(account, addr)]
	return ok && now.Sub(at) < knownFor
}

// paced lets one attempt in paceKnown through where too many have failed.
func (t *throttle) paced(key string, now time.Time) bool {
	f := t.counts[key]
	if f == nil || f.n < failKnown || now.Sub(f.since) > failWindow {
		return false
	}
	if now.Before(f.lockedUntil) {
		return true
	}
	f.lockedUntil = now.Add(paceKnown)
	return false
}

func (t *throttle) locked(key string, now time.Time) bool {
	f := t.counts[key]
	return f != nil && now.Before(f.lockedUntil)
}

// failed counts one. The same wrong password for the same account counts once a day: it is a
// phone that has not heard of the new one, not somebody who guesses. password may be
// nil where it isn't known (SCRAM). Whoever is locked by it is returned.
func (t *throttle) failed(addr netip.Addr, account string, password []byte) (locked []lock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if password != nil {
		hash := [sha256.Size]byte(hmacSHA256(t.key[:], []byte(account), []byte{0}, password))
		if at, again := t.wrong[hash]; again && now.Sub(at) < lockMemory {
			return nil
		}
		if len(t.wrong) < throttleEntries {
			t.wrong[hash] = now
		}
	}
	count := func(who, key string, limit int) {
		if until, ok := t.count(key, limit, now); ok {
			locked = append(locked, lock{who, until})
		}
	}
	for _, n := range failNetworks {
		network := mask(addr, n.v4, n.v6).String()
		count(network, network, n.limit)
	}
	count(account, "@"+account, failAccount)
	if t.known(account, addr, now) {
		if f := t.entry(home(account, addr).String(), now); f != nil {
			f.n++
		}
	}
	return locked
}

// lock is a network or account whose logins are refused for a while.
type lock struct {
	who   string
	until time.Time
}

// entry finds or begins the count of this window. It is nil when the table is full: so many networks
// at once that the wider ones are in it already.
func (t *throttle) entry(key string, now time.Time) *failures {
	f := t.counts[key]
	if f == nil {
		if len(t.counts) >= throttleEntries {
			t.sweepLocked(now)
		}
		if len(t.counts) >= throttleEntries {
			return nil
		}
		f = &failures{since: now}
		t.counts[key] = f
	}
	if now.Sub(f.since) > failWindow {
		f.since, f.n = now, 0
	}
	return f
}

// count reports whether that was one too many, and how long its like is refused.
func (t *throttle) count(key string, limit int, now time.Time) (until time.Time, locked bool) {
	f := t.entry(key, now)
	if f == nil {
		return
	}
	f.n++
	if f.n < limit {
		return
	}
	if now.Sub(f.lockedUntil) > lockMemory {
		f.locks = 0
	}
	f.lockedUntil = now.Add(min(lockFirst<<min(f.locks, 10), lockMax))
	f.locks++
	f.n = 0
	return f.lockedUntil, true
}

// succeeded remembers where an account logs in from, and reports whether that is worth writing
// down: at most once an hour.
func (t *throttle) succeeded(addr netip.Addr, account string) (visit, time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, now := home(account, addr), t.now()
	if now.Sub(t.regular[v]) < time.Hour {
		return v, now, false
	}
	t.regular[v] = now
	return v, now, true
}

// sweep forgets what has no more effect.
func (t *throttle) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweepLocked(t.now())
}

func (t *throttle) sweepLocked(now time.Time) {
	for k, f := range t.counts {
		if now.Sub(f.since) > failWindow && now.Sub(f.lockedUntil) > lockMemory {
			delete(t.counts, k)
		}
	}
	for k, at := range t.wrong {
		if now.Sub(at) > lockMemory {
			delete(t.wrong, k)
		}
	}
	for v, at := range t.regular {
		if now.Sub(at) > knownFor {
			delete(t.regular, v)
		}
	}
}
