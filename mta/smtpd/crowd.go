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

	mu               sync.Mutex
	total, strangers int
	here             map[netip.Prefix]int
	minute           int64 // that sent is about
	sent             map[netip.Prefix]int
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

// seat is a session's place in the crowd.
type seat struct {
	c        *crowd
	nets     [3]netip.Prefix
	counted  bool // in nets
	stranger bool // not logged in
}

// enter gives a session its seat. A reply means that there are too many.
func (c *crowd) enter(a netip.Addr) (*seat, *mta.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.limits
	if l.Sessions > 0 && (c.total >= l.Sessions || c.strangers >= l.Sessions-l.Reserve) {
		return nil, mta.NewReply(421, [3]int{4, 3, 2}, "Too many connections, please try again later")
	}
	s := &seat{c: c, stranger: true}
	if l.PerAddress > 0 && a.IsValid() {
		s.nets, s.counted = networks(a), true
		for i, p := range s.nets {
			if c.here[p] >= l.PerAddress*shares[i] {
				return nil, mta.NewReply(421, [3]int{4, 7, 0}, "Too many connections from %s", p)
			}
		}
		for _, p := range s.nets {
			c.here[p]++
		}
	}
	c.total++
	c.strangers++
	return s, nil
}

// login gives the address its share back: many users may come from one.
func (s *seat) login() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.known()
}

// leave gives up the seat.
func (s *seat) leave() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.known()
	s.c.total--
}

func (s *seat) known() {
	if s.stranger {
		s.stranger = false
		s.c.strangers--
	}
	if !s.counted {
		return
	}
	s.counted = false
	for _, p := range s.nets {
		if s.c.here[p]--; s.c.here[p] == 0 {
			delete(s.c.here, p)
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
