package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"facteur/mta"
	"facteur/mta/dns"
)

// Resolver is what the room needs of *dns.Resolver.
type Resolver interface {
	MX(ctx context.Context, name string) (dns.Answer[dns.MX], error)
	IPv4(ctx context.Context, name string) (dns.Answer[netip.Addr], error)
	IPv6(ctx context.Context, name string) (dns.Answer[netip.Addr], error)
	TXT(ctx context.Context, name string) (dns.Answer[string], error)
}

// host is one server that takes mail for a domain.
type host struct {
	name       string // as the MX record has it; policies compare this name
	preference uint16
	addrs      []netip.Addr // set for a domain literal: nothing to look up
}

// maxHosts of one domain are tried in one delivery: a list without end would keep it
// busy for hours (RFC 5321 5.1 wants two at least).
const maxHosts = 10

// hosts are the servers for a domain in the order to try them (RFC 5321 5.1).
// authentic says that DNSSEC vouches for the list.
func (s *Sender) hosts(ctx context.Context, domain string) (list []host, authentic bool, fault *mta.Reply) {
	if strings.HasPrefix(domain, "[") {
		addr, err := parseLiteral(domain)
		if err != nil {
			return nil, false, mta.NewReply(550, [3]int{5, 1, 2}, "%s is no address of a server", domain)
		}
		return []host{{name: domain, addrs: []netip.Addr{addr}}}, false, nil
	}
	answer, err := s.cfg.Resolver.MX(ctx, domain)
	switch {
	case dns.IsNXDomain(err):
		return nil, false, &mta.Reply{Code: 550, Enhanced: [3]int{5, 1, 2}, Err: err,
			Text: fmt.Sprintf("The domain %s does not exist", domain)}
	case dns.IsNotFound(err):
		// No MX: the domain is its own server (RFC 5321 5.1, implicit MX).
		return []host{{name: domain}}, false, nil
	case dns.IsTemporary(err):
		return nil, false, unresolved(domain, err)
	case err != nil:
		return nil, false, &mta.Reply{Code: 550, Enhanced: [3]int{5, 1, 2}, Err: err,
			Text: fmt.Sprintf("%s is no name that DNS could know", domain)}
	}
	null := false
	for _, mx := range answer.Records {
		switch {
		case mx.Host == "":
			null = true
		case isHostName(mx.Host):
			list = append(list, host{name: mx.Host, preference: mx.Preference})
		}
	}
	switch {
	case len(list) == 0 && null:
		// RFC 7505 3 and 4.2: a null MX says that the domain takes no mail.
		return nil, false, mta.NewReply(556, [3]int{5, 1, 10}, "The domain %s takes no mail (null MX)", domain)
	case len(list) == 0:
		return nil, false, mta.NewReply(550, [3]int{5, 4, 4}, "The MX records of %s name no server", domain)
	}
	sortMX(list)
	list = list[:min(len(list), maxHosts)]
	list, looped := s.beforeSelf(list)
	if len(list) == 0 && looped {
		return nil, false, loopReply(domain)
	}
	return list, answer.Authentic, nil
}

// isHostName reports whether a name from DNS, which may hold any octets, can be a server's: it goes to logs, to the queue's
// history and into reports.
func isHostName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', isDigit(c), c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// sortMX orders by preference; equals are shuffled, so that the load spreads
// (RFC 5321 5.1).
func sortMX(list []host) {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b host) int { return cmp.Compare(a.preference, b.preference) })
}

// beforeSelf drops our own host from the list, and every host that is no better
// than we are: mail that goes there comes back (RFC 5321 5.1).
func (s *Sender) beforeSelf(list []host) (better []host, looped bool) {
	for i, h := range list {
		if slices.ContainsFunc(s.cfg.SelfNames, func(n string) bool { return strings.EqualFold(n, h.name) }) {
			return slices.DeleteFunc(slices.Clone(list[:i]), func(o host) bool { return o.preference >= h.preference }), true
		}
	}
	return list, false
}

func loopReply(domain string) *mta.Reply {
	return mta.NewReply(554, [3]int{5, 4, 6}, "Mail for %s loops back to this server, which does not host it", domain)
}

func unresolved(name string, err error) *mta.Reply {
	return &mta.Reply{Code: 451, Enhanced: [3]int{4, 4, 3}, Err: err,
		Text: fmt.Sprintf("DNS gives no answer about %s", name)}
}

// errNoAddress: DNS says for certain that a host has no address.
var errNoAddress = errors.New("the server's name has no address")

// addresses looks up a host's addresses, IPv6 and IPv4 in turn, IPv6 first. One
// family's failure is no failure while the other has an answer.
func (s *Sender) addresses(ctx context.Context, h host) ([]netip.Addr, error) {
	if h.addrs != nil {
		return h.addrs, nil
	}
	type found struct {
		addrs []netip.Addr
		err   error
	}
	six := make(chan found, 1)
	go func() {
		a, err := s.cfg.Resolver.IPv6(ctx, h.name)
		six <- found{a.Records, err}
	}()
	a, err4 := s.cfg.Resolver.IPv4(ctx, h.name)
	v6 := <-six
	list := interleave(slices.Clone(v6.addrs), slices.Clone(a.Records))
	if len(list) > 0 {
		return list, nil
	}
	if dns.IsNotFound(err4) && dns.IsNotFound(v6.err) {
		return nil, fmt.Errorf("%s: %w", h.name, errNoAddress)
	}
	return nil, fmt.Errorf("addresses of %s: %w", h.name, cmp.Or(err4, v6.err))
}

func interleave(six, four []netip.Addr) []netip.Addr {
	for _, l := range [][]netip.Addr{six, four} {
		rand.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
	}
	var out []netip.Addr
	for i := range max(len(six), len(four)) {
		if i < len(six) {
			out = append(out, six[i])
		}
		if i < len(four) {
			out = append(out, four[i])
		}
	}
	return out
}

// parseLiteral reads "[192.0.2.1]" and "[IPv6:2001:db8::1]" (RFC 5321 4.1.3).
func parseLiteral(s string) (netip.Addr, error) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		addr, err := netip.ParseAddr(s[5:])
		return addr.Unmap(), err
	}
	addr, err := netip.ParseAddr(s)
	if err == nil && !addr.Is4() {
		err = fmt.Errorf("IPv6 literal %q lacks its tag", s)
	}
	return addr, err
}

// certName is a server's name as its certificate has it: of an address literal the address. The handshake names that
// to nobody (RFC 6066 3 allows no address there), which crypto/tls sees to.
func certName(host string) string {
	if strings.HasPrefix(host, "[") {
		if addr, err := parseLiteral(host); err == nil {
			return addr.String()
		}
	}
	return host
}

// hostOf makes a host of a configured name or address.
func hostOf(name string) host {
	if addr, err := netip.ParseAddr(name); err == nil {
		return host{name: name, addrs: []netip.Addr{addr}}
	}
	if strings.EqualFold(name, "localhost") { // RFC 6761 6.3: never asked of DNS
		return host{name: name, addrs: []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}}
	}
	return host{name: name}
}
