package sender

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"facteur/mta/dns"
)

// The results of SPF (RFC 7208 2.6).
const (
	SPFNone      = "none"
	SPFNeutral   = "neutral"
	SPFPass      = "pass"
	SPFFail      = "fail"
	SPFSoftFail  = "softfail"
	SPFTempError = "temperror"
	SPFPermError = "permerror"
)

// Limits of RFC 7208 4.6.4.
const (
	maxSPFLookups = 10 // terms that ask DNS
	maxSPFVoid    = 2  // terms with a question that has no answer
	maxSPFNames   = 10 // hosts of one mx or ptr
)

// SPF is the outcome of one check.
type SPF struct {
	Result      string `json:"result"`
	Identity    string `json:"identity"`            // "mailfrom" or "helo"
	Sender      string `json:"sender"`              // local-part@domain that was checked
	Domain      string `json:"domain"`              // whose record was asked for
	Explanation string `json:"explanation"`         // of the domain's owner, for the refused sender; ASCII, one line
	Mechanism   string `json:"mechanism,omitempty"` // the term that matched
	Reason      string `json:"reason,omitempty"`    // of none, temperror and permerror
}

// SPFParams is what is known of the client and its sender.
type SPFParams struct {
	IP       netip.Addr
	Helo     string
	Local    string // local-part of the sender; empty: postmaster
	Domain   string // the domain to check
	Identity string // "mailfrom" or "helo", for the report
	Receiver string // our name, for %{r}
	Now      time.Time
}

// CheckSPF is check_host() of RFC 7208 4. The context bounds its time.
func CheckSPF(ctx context.Context, resolver *dns.Resolver, p SPFParams) SPF {
	c := &spfCheck{ctx: ctx, resolver: resolver, ip: p.IP.Unmap().WithZone(""), helo: p.Helo, local: p.Local,
		domain: strings.TrimSuffix(p.Domain, "."), receiver: p.Receiver, now: p.Now}
	if c.local == "" {
		c.local = "postmaster" // RFC 7208 4.3
	}
	if c.receiver == "" {
		c.receiver = "unknown"
	}
	out := SPF{Identity: p.Identity, Sender: c.local + "@" + c.domain, Domain: c.domain}
	v := c.check(c.domain)
	out.Result, out.Mechanism = v.result, v.mechanism
	if v.err != nil {
		out.Reason = reason(v.err)
	}
	if v.result == SPFFail && v.exp != "" {
		out.Explanation = c.explain(v.exp, v.domain)
	}
	return out
}

// spfCheck is the state of one check with all its includes and redirects.
type spfCheck struct {
	ctx           context.Context
	resolver      *dns.Resolver
	ip            netip.Addr
	helo          string
	local, domain string // of the sender
	receiver      string
	now           time.Time

	lookups, voids int
	isVoid         bool     // the term being evaluated has been counted in voids
	names          []string // of the client, validated; asked for once
	namesAsked     bool
}

// spfVerdict is the outcome for one domain.
type spfVerdict struct {
	result    string
	mechanism string
	err       error
	exp       string // domain-spec of the explanation, and the domain whose record holds it
	domain    string
}

// spfError ends a check with a result other than a match.
type spfError struct {
	result string
	err    error
}

func (e *spfError) Error() string { return e.err.Error() }

// reason is an error as the receiver of the message may read it: which of our servers gave no answer is for the
// log.
func reason(err error) string {
	if unanswered := (*dns.Error)(nil); errors.As(err, &unanswered) {
		bare := *unanswered
		bare.Err = nil
		return bare.Error()
	}
	return err.Error()
}

func permError(format string, args ...any) error {
	return &spfError{SPFPermError, fmt.Errorf(format, args...)}
}

// check evaluates the record of one domain.
func (c *spfCheck) check(domain string) spfVerdict {
	rec, err := c.record(domain)
	if err == nil {
		for _, t := range rec.terms {
			var matches bool
			if matches, err = c.matches(t, domain); err != nil {
				break
			}
			if matches {
				return spfVerdict{result: t.result, mechanism: t.text, exp: rec.exp, domain: domain}
			}
		}
	}
	if err == nil && rec.redirect != "" {
		return c.redirect(rec.redirect, domain)
	}
	if err == nil {
		return spfVerdict{result: SPFNeutral} // RFC 7208 4.7
	}
	v := spfVerdict{result: SPFTempError, err: err}
	var known *spfError
	if errors.As(err, &known) {
		v.result = known.result
	}
	return v
}

func (c *spfCheck) redirect(spec, domain string) spfVerdict {
	err := c.countLookup()
	if err == nil {
		var target string
		if target, err = c.expandDomain(spec, domain); err == nil {
			v := c.check(target)
			if v.result == SPFNone { // RFC 7208 6.1
				return spfVerdict{result: SPFPermError, err: fmt.Errorf("redirect to %s: %w", target, v.err)}
			}
			return v
		}
	}
	return spfVerdict{result: SPFPermError, err: err}
}

// record finds the one SPF record of a domain (RFC 7208 4.3 to 4.6).
func (c *spfCheck) record(domain string) (spfRecord, error) {
	none := func(format string, args ...any) error { return &spfError{SPFNone, fmt.Errorf(format, args...)} }
	if !isQueryable(domain) {
		return spfRecord{}, none("%q is not a domain", domain)
	}
	ans, err := c.resolver.TXT(c.ctx, domain)
	switch {
	case dns.IsTemporary(err):
		return spfRecord{}, err
	case err != nil && !dns.IsNotFound(err):
		return spfRecord{}, none("%w", err)
	}
	var found []string
	for _, text := range ans.Records {
		version, _, _ := strings.Cut(text, " ")
		if strings.EqualFold(version, "v=spf1") {
			found = append(found, text)
		}
	}
	if len(found) == 0 {
		return spfRecord{}, none("%s has no SPF record", domain)
	}
	if len(found) > 1 {
		return spfRecord{}, permError("%s has %d SPF records", domain, len(found))
	}
	rec, err := parseSPF(found[0])
	if err != nil {
		return spfRecord{}, permError("record of %s: %w", domain, err)
	}
	return rec, nil
}

// isQueryable: RFC 7208 4.3, a name of several labels, none of them empty or too long.
func isQueryable(domain string) bool {
	labels := strings.Split(strings.TrimSuffix(domain, "."), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return false
		}
	}
	return len(labels) > 1 && domain[0] != '['
}

func (c *spfCheck) countLookup() error {
	if c.lookups++; c.lookups > maxSPFLookups {
		return permError("more than %d terms that ask DNS", maxSPFLookups)
	}
	return nil
}

// matches evaluates one mechanism.
func (c *spfCheck) matches(t spfTerm, domain string) (bool, error) {
	switch t.mechanism {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return t.network.Contains(c.ip), nil
	}
	if err := c.countLookup(); err != nil {
		return false, err
	}
	c.isVoid = false
	target, err := c.expandDomain(t.domain, domain)
	if errors.Is(err, errUTF8Local) {
		return false, nil
	} else if err != nil {
		return false, permError("%q: %w", t.text, err)
	}
	switch t.mechanism {
	case "include":
		return c.include(target)
	case "a":
		return c.matchesHost(target, t)
	case "mx":
		return c.matchesMX(target, t)
	case "ptr":
		for _, name := range c.validatedNames() {
			if isSubdomain(name, target) {
				return true, nil
			}
		}
		return false, nil
	}
	// exists: an A record, also for a client with IPv6 (RFC 7208 5.7).
	found, err := c.resolver.IPv4(c.ctx, target)
	return len(found.Records) > 0, c.checkVoid(err)
}

// include: RFC 7208 5.2.
func (c *spfCheck) include(target string) (bool, error) {
	v := c.check(target)
	switch v.result {
	case SPFPass:
		return true, nil
	case SPFFail, SPFSoftFail, SPFNeutral:
		return false, nil
	case SPFTempError:
		return false, fmt.Errorf("include %s: %w", target, v.err)
	}
	return false, permError("include %s: %w", target, v.err)
}

// checkVoid counts terms with questions that have no answer (RFC 7208 4.6.4): an mx whose hosts have no address in the
// client's family is one, however many they are. Only a failure of DNS remains an error.
func (c *spfCheck) checkVoid(err error) error {
	if dns.IsNotFound(err) {
		if !c.isVoid {
			c.isVoid = true
			c.voids++
		}
		if c.voids > maxSPFVoid {
			return permError("more than %d terms without an answer from DNS", maxSPFVoid)
		}
		return nil
	}
	if dns.IsTemporary(err) {
		return err
	}
	return nil // a name that can't be asked for doesn't match (RFC 7208 4.8)
}

// addrs asks for the addresses of a host in the client's family.
func (c *spfCheck) addrs(host string) ([]netip.Addr, error) {
	ask := c.resolver.IPv6
	if c.ip.Is4() {
		ask = c.resolver.IPv4
	}
	ans, err := ask(c.ctx, host)
	return ans.Records, err
}

func (c *spfCheck) matchesHost(host string, t spfTerm) (bool, error) {
	addrs, err := c.addrs(host)
	bits := t.cidr6
	if c.ip.Is4() {
		bits = t.cidr4
	}
	for _, a := range addrs {
		if netip.PrefixFrom(a, bits).Masked().Contains(c.ip) {
			return true, nil
		}
	}
	return false, c.checkVoid(err)
}

func (c *spfCheck) matchesMX(target string, t spfTerm) (bool, error) {
	ans, err := c.resolver.MX(c.ctx, target)
	if err != nil {
		return false, c.checkVoid(err)
	}
	if len(ans.Records) > maxSPFNames {
		return false, permError("%s has more than %d MX records", target, maxSPFNames)
	}
	for _, mx := range ans.Records {
		if mx.Host == "" {
			continue
		}
		if matches, err := c.matchesHost(mx.Host, t); matches || err != nil {
			return matches, err
		}
	}
	return false, nil
}

// validatedNames are the names of the client that lead back to it (RFC 7208 5.5). Whatever fails in
// DNS is a name less, not an error.
func (c *spfCheck) validatedNames() []string {
	if c.namesAsked {
		return c.names
	}
	c.namesAsked = true
	ans, err := c.resolver.PTR(c.ctx, c.ip)
	if err != nil {
		return nil
	}
	for i, name := range ans.Records {
		if i == maxSPFNames {
			break
		}
		addrs, _ := c.addrs(name)
		for _, a := range addrs {
			if a == c.ip {
				c.names = append(c.names, name)
				break
			}
		}
	}
	return c.names
}

// validatedName is %{p}: the best of the validated names (RFC 7208 7.3).
func (c *spfCheck) validatedName(domain string) string {
	best := "unknown"
	for _, name := range c.validatedNames() {
		if strings.EqualFold(name, domain) {
			return name
		}
		if best == "unknown" || isSubdomain(name, domain) && !isSubdomain(best, domain) {
			best = name
		}
	}
	return best
}

// isSubdomain reports whether name is domain or below it.
func isSubdomain(name, domain string) bool {
	if len(name) < len(domain) {
		return false
	}
	head, tail := name[:len(name)-len(domain)], name[len(name)-len(domain):]
	return strings.EqualFold(tail, domain) && (head == "" || head[len(head)-1] == '.')
}

// explain fetches and expands the explanation (RFC 7208 6.2). What goes wrong leaves none.
func (c *spfCheck) explain(spec, domain string) string {
	name, err := c.expandDomain(spec, domain)
	if err != nil {
		return ""
	}
	ans, err := c.resolver.TXT(c.ctx, name)
	if err != nil || len(ans.Records) != 1 {
		return ""
	}
	text, err := c.expand(ans.Records[0], domain, true)
	if err != nil {
		return ""
	}
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return ""
		}
	}
	return text
}
