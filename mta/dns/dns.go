package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// Kind says why a look-up gave no records.
type Kind uint8

const (
	NXDomain  Kind = iota // the name does not exist
	NoData                // the name exists, but has no record of the type
	Temporary             // no server answered in time, or SERVFAIL, REFUSED: try again
	Invalid               // not a name that can be asked for
)

// Error is the error of every look-up.
type Error struct {
	Name, Type string
	Kind       Kind
	Err        error // the cause, may be nil
}

func (e *Error) Error() string {
	what := [...]string{"no such name", "no such record", "no answer", "not a domain name"}[e.Kind]
	if e.Err != nil {
		return fmt.Sprintf("dns: %s %s: %s: %v", e.Type, e.Name, what, e.Err)
	}
	return fmt.Sprintf("dns: %s %s: %s", e.Type, e.Name, what)
}

func (e *Error) Unwrap() error { return e.Err }

// IsNotFound reports that DNS said for certain that there is no such record.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == NXDomain || e.Kind == NoData)
}

// IsNXDomain reports that DNS said for certain that there is no such name.
func IsNXDomain(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == NXDomain
}

// IsTemporary reports that nobody knows.
func IsTemporary(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == Temporary
}

// Answer holds the records of one look-up. Records is never empty without an error.
type Answer[T any] struct {
	Records   []T
	Name      string // the name at the end of a chain of CNAMEs
	Authentic bool   // the server vouches for DNSSEC, and we trust it
	TTL       time.Duration
}

// MX is one MX record; Host is in lower case without its final dot, "" for "." (RFC 7505).
type MX struct {
	Preference uint16
	Host       string
}

// SRV is where one SRV record leads; Host is as in MX, "" when the service is not offered (RFC 2782).
type SRV struct {
	Port uint16
	Host string
}

// Config of a Resolver.
type Config struct {
	Servers []netip.AddrPort // empty: those of /etc/resolv.conf
	Zone    *Zone            // not nil: answers, and no server is asked
	Timeout time.Duration    // for one try at one server: 3 s
	Trust   bool             // believe the AD bit: the servers are on this machine or reached safely
	Now     func() time.Time
	Log     *slog.Logger
}

// Resolver asks and remembers. It is safe for concurrent use, and has no goroutine of its own
// beyond the look-ups that run.
type Resolver struct {
	servers func() []netip.AddrPort
	zone    *Zone
	timeout time.Duration
	trust   bool
	now     func() time.Time
	log     *slog.Logger
	cache   *cache
	flights flights
}

// New returns a Resolver.
func New(cfg Config) (*Resolver, error) {
	r := &Resolver{zone: cfg.Zone, timeout: cfg.Timeout, trust: cfg.Trust, now: cfg.Now, log: cfg.Log}
	if r.timeout == 0 {
		r.timeout = 3 * time.Second
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	for _, s := range cfg.Servers {
		if !s.IsValid() || s.Port() == 0 {
			return nil, fmt.Errorf("dns server %v: want an address and a port", s)
		}
	}
	if len(cfg.Servers) > 0 {
		r.servers = func() []netip.AddrPort { return cfg.Servers }
	} else {
		r.servers = newResolvConf("/etc/resolv.conf", r.now, r.log).servers
	}
	r.cache = newCache(r.now)
	return r, nil
}

// TXT returns each record with its strings joined without a space.
func (r *Resolver) TXT(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, r, name, mdns.TypeTXT, func(rr mdns.RR) (string, bool) {
		t, ok := rr.(*mdns.TXT)
		if !ok {
			return "", false
		}
		return unescape(strings.Join(t.Txt, "")), true
	})
}

// MX returns the records in the order of the answer, not sorted.
func (r *Resolver) MX(ctx context.Context, name string) (Answer[MX], error) {
	return lookup(ctx, r, name, mdns.TypeMX, func(rr mdns.RR) (MX, bool) {
		m, ok := rr.(*mdns.MX)
		if !ok {
			return MX{}, false
		}
		return MX{Preference: m.Preference, Host: plain(m.Mx)}, true
	})
}

// IPv4 returns the addresses of A records.
func (r *Resolver) IPv4(ctx context.Context, name string) (Answer[netip.Addr], error) {
	return lookup(ctx, r, name, mdns.TypeA, func(rr mdns.RR) (netip.Addr, bool) {
		a, ok := rr.(*mdns.A)
		if !ok {
			return netip.Addr{}, false
		}
		addr, ok := netip.AddrFromSlice(a.A.To4())
		return addr, ok
	})
}

// IPv6 returns the addresses of AAAA records.
func (r *Resolver) IPv6(ctx context.Context, name string) (Answer[netip.Addr], error) {
	return lookup(ctx, r, name, mdns.TypeAAAA, func(rr mdns.RR) (netip.Addr, bool) {
		a, ok := rr.(*mdns.AAAA)
		if !ok {
			return netip.Addr{}, false
		}
		return netip.AddrFromSlice(a.AAAA.To16())
	})
}

// PTR returns the names of an address, lower case, without the final dot.
func (r *Resolver) PTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	name, err := ReverseName(addr)
	if err != nil {
		return Answer[string]{}, &Error{Name: addr.String(), Type: "PTR", Kind: Invalid, Err: err}
	}
	return lookup(ctx, r, strings.TrimSuffix(name, "."), mdns.TypePTR, func(rr mdns.RR) (string, bool) {
		p, ok := rr.(*mdns.PTR)
		if !ok {
			return "", false
		}
		return plain(p.Ptr), true
	})
}

// ReverseName is the name of an address's PTR record, with its final dot.
func ReverseName(addr netip.Addr) (string, error) {
	return mdns.ReverseAddr(addr.Unmap().WithZone("").String())
}

// SRV returns the records in the order of the answer, not sorted.
func (r *Resolver) SRV(ctx context.Context, name string) (Answer[SRV], error) {
	return lookup(ctx, r, name, mdns.TypeSRV, func(rr mdns.RR) (SRV, bool) {
		s, ok := rr.(*mdns.SRV)
		if !ok {
			return SRV{}, false
		}
		return SRV{Port: s.Port, Host: plain(s.Target)}, true
	})
}

// lookup asks for records and decodes those of the type. What decode refuses is not in the answer.
func lookup[T any](ctx context.Context, r *Resolver, name string, qtype uint16, decode func(mdns.RR) (T, bool)) (Answer[T], error) {
	found, cached, err := r.find(ctx, name, qtype)
	var ans Answer[T]
	if err == nil {
		ans = Answer[T]{Name: plain(found.name), Authentic: found.authentic && r.trust, TTL: found.ttl}
		for _, rr := range found.records {
			if v, ok := decode(rr); ok {
				ans.Records = append(ans.Records, v)
			}
		}
		if len(ans.Records) == 0 {
			err = &Error{Name: name, Type: mdns.TypeToString[qtype], Kind: NoData}
		}
	}
	traceLookup(ctx, name, qtype, ans.Records, cached, err)
	return ans, err
}
