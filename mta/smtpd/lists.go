package smtpd

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"facteur/mta"
	"facteur/mta/dns"
)

const (
	listWait    = 5 * time.Second
	findingKept = time.Hour
)

// Addresses asks DNS for A records: *dns.Resolver.
type Addresses interface {
	IPv4(ctx context.Context, name string) (dns.Answer[netip.Addr], error)
}

// List is one DNS list of addresses (RFC 5782).
type List struct {
	Zone  string
	Allow bool // a list of good ones: who is on it is not looked for on the others
}

// Lists asks DNS lists about peers. A list that is out of order is not asked for an hour: one that
// says we may not ask (127.255.255.x), that answers with something else than a code, or that
// lists everybody.
type Lists struct {
	DNS   Addresses
	Lists []List
	Log   *slog.Logger
	Now   func() time.Time

	mu    sync.Mutex
	found map[string]finding // by zone
}

// finding is what was found out about a list, for as long as it counts.
type finding struct {
	suspended time.Time // until then: it is not asked
	proven    time.Time // until then: it does not list everybody
}

var (
	codes    = netip.MustParsePrefix("127.0.0.0/8")
	mayNot   = netip.MustParsePrefix("127.255.255.0/24")
	nobodyIs = netip.MustParseAddr("127.0.0.1") // RFC 5782 5: never listed
)

// Check returns the reply for a peer that is listed, nil for others. Lists that don't answer count as
// if they had said no.
func (l *Lists) Check(ctx context.Context, peer netip.Addr) *mta.Reply {
	ctx, cancel := context.WithTimeout(ctx, listWait)
	defer cancel()
	hits := make([]bool, len(l.Lists))
	var wg sync.WaitGroup
	for i := range l.Lists {
		wg.Go(func() { hits[i] = l.listed(ctx, l.Lists[i].Zone, peer) })
	}
	wg.Wait()
	zone := ""
	for i, hit := range hits {
		switch {
		case hit && l.Lists[i].Allow:
			return nil
		case hit && zone == "":
			zone = l.Lists[i].Zone
		}
	}
	if zone == "" {
		return nil
	}
	return mta.NewReply(550, [3]int{5, 7, 1}, "%s is listed by %s", peer, zone)
}

// listed asks one list.
func (l *Lists) listed(ctx context.Context, zone string, peer netip.Addr) bool {
	if l.Now().Before(l.finding(zone).suspended) {
		return false
	}
	answer, err := l.DNS.IPv4(ctx, reverse(peer)+"."+zone)
	if err != nil {
		return false
	}
	for _, a := range answer.Records {
		switch {
		case mayNot.Contains(a):
			l.suspend(zone, fmt.Sprintf("answers %s: we may not ask", a))
			return false
		case !codes.Contains(a):
			l.suspend(zone, fmt.Sprintf("answers %s, which is no code", a))
			return false
		}
	}
	return l.sane(ctx, zone)
}

// sane finds out whether a list that has a hit lists everybody: dead lists do.
func (l *Lists) sane(ctx context.Context, zone string) bool {
	if l.Now().Before(l.finding(zone).proven) {
		return true
	}
	if _, err := l.DNS.IPv4(ctx, reverse(nobodyIs)+"."+zone); err == nil {
		l.suspend(zone, "lists everybody")
		return false
	} else if !dns.IsNotFound(err) {
		return false
	}
	l.note(zone, finding{proven: l.Now().Add(findingKept)})
	return true
}

func (l *Lists) suspend(zone, why string) {
	l.note(zone, finding{suspended: l.Now().Add(findingKept)})
	l.Log.Warn("DNS list is out of order, not asked for an hour", "zone", zone, "why", why)
}

func (l *Lists) finding(zone string) finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.found[zone]
}

func (l *Lists) note(zone string, f finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == nil {
		l.found = make(map[string]finding)
	}
	l.found[zone] = f
}

// reverse writes an address as lists want it (RFC 5782 2.1, 2.4).
func reverse(a netip.Addr) string {
	var parts []string
	if a.Is4() {
		for _, b := range a.As4() {
			parts = append(parts, fmt.Sprint(b))
		}
	} else {
		for _, b := range a.As16() {
			parts = append(parts, fmt.Sprintf("%x", b>>4), fmt.Sprintf("%x", b&15))
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, ".")
}
