package smtpd

import (
	"net/netip"
	"sync"
	"time"

	"facteur/mta"
)

// crowd counts who is here, by address and by the networks around it: a provider hands out
// addresses by the thousand, so one network may not have more than its share either.
type crowd struct {
	limits Limits

	mu     sync.Mutex
	total  int
	here   map[netip.Prefix]int
	minute int64 // that sent is about
	sent   map[netip.Prefix]int
}

// shares: how many times as much as one address a wider network may have.
var shares = [3]int{1, 3, 9}

func newCrowd(l Limits) *crowd {
	return &crowd{limits: l, here: make(map[netip.Prefix]int), sent: make(map[netip.Prefix]int)}
}

// networks are the address itself (an IPv6 customer gets a /64) and two wider ones.
func networks(a netip.Addr) [3]netip.Prefix {
	bits := [3]int{32, 26, 21}
	if a.Is6() {
		bits = [3]int{64, 48, 32}
	}
	var p [3]netip.Prefix
	for i, b := range bits {
		p[i], _ = a.WithZone("").Prefix(b)
	}
	return p
}

// enter counts a session, until leave is called. A reply means that there are too many.
func (c *crowd) enter(a netip.Addr) (leave func(), refusal *mta.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limits.Sessions > 0 && c.total >= c.limits.Sessions {
		return nil, mta.NewReply(421, [3]int{4, 3, 2}, "Too many connections, please try again later")
	}
	if c.limits.PerAddress == 0 || !a.IsValid() {
		c.total++
		return func() { c.leave(nil) }, nil
	}
	nets := networks(a)
	for i, p := range nets {
		if c.here[p] >= c.limits.PerAddress*shares[i] {
			return nil, mta.NewReply(421, [3]int{4, 7, 0}, "Too many connections from %s", p)
		}
	}
	c.total++
	for _, p := range nets {
		c.here[p]++
	}
	return func() { c.leave(nets[:]) }, nil
}

func (c *crowd) leave(nets []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	for _, p := range nets {
		if c.here[p]--; c.here[p] == 0 {
			delete(c.here, p)
		}
	}
}

// message counts a message begun. A reply means that there were too many this minute.
func (c *crowd) message(a netip.Addr, now time.Time) *mta.Reply {
	if c.limits.PerMinute == 0 || !a.IsValid() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := now.Unix() / 60; m != c.minute {
		c.minute = m
		clear(c.sent)
	}
	nets := networks(a)
	for i, p := range nets {
		if c.sent[p] >= c.limits.PerMinute*shares[i] {
			return mta.NewReply(451, [3]int{4, 7, 0}, "Too many messages from %s, please try again later", p)
		}
	}
	for _, p := range nets {
		c.sent[p]++
	}
	return nil
}
