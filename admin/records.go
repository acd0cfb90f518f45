package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"facteur/mta/dns"
)

// Site is what DNS has to say of the server itself.
type Site struct {
	Hostname  string
	Addresses []netip.Addr // public ones; empty: not known
	Policy    string       // MTA-STS policy as it is served; empty: none
	Web       bool         // autoconfig is served
	Services  []string     // offered to mail programs, by their names in SRV records: "_imaps", "_submission"
}

// Records is the zone to publish for a domain: who takes its mail, who may send it, how
// its mail is signed, and where mail programs find the server (RFC 5321, 7208,
// 6376, 9989, 8461, 8460, 6186, 8314).
func (s Site) Records(domain string, keys []Key) []Record {
	var list []Record
	add := func(name, kind, why, format string, args ...any) {
		list = append(list, Record{name + ".", kind, fmt.Sprintf(format, args...), why})
	}
	text := func(name, why, format string, args ...any) {
		add(name, "TXT", why, "%s", dns.QuoteText(fmt.Sprintf(format, args...)))
	}
	host := s.Hostname + "."
	list = s.addressRecords()
	add(domain, "MX", "who takes the domain's mail", "10 %s", host)
	text(domain, "only its mail server sends the domain's mail", "v=spf1 mx -all")
	if s.Hostname != domain {
		text(s.Hostname, "the server sends its own reports", "v=spf1 a -all")
	}
	for _, k := range keys {
		list = append(list, KeyRecord(k))
	}
	text("_dmarc."+domain, "what others do with forged mail; p=reject once the reports show no mail of yours failing", "v=DMARC1; p=quarantine; rua=mailto:postmaster@%s", domain)
	text("_smtp._tls."+domain, "where others report trouble with our TLS", "v=TLSRPTv1; rua=mailto:postmaster@%s", domain)
	if s.Policy != "" {
		add("mta-sts."+domain, "CNAME", "others fetch our TLS policy there", "%s", host)
		text("_mta-sts."+domain, "which version of that policy is there; others fetch it anew when this changes", "v=STSv1; id=%s", s.policyID())
	}
	if s.Web {
		add("autoconfig."+domain, "CNAME", "Thunderbird and others find their settings there", "%s", host)
		add("autodiscover."+domain, "CNAME", "Outlook finds its settings there", "%s", host)
	}
	for _, srv := range []struct {
		service string
		port    int
	}{{"_imaps", 993}, {"_submissions", 465}, {"_submission", 587}, {"_imap", 143}, {"_pop3s", 995}, {"_pop3", 110}} {
		if slices.Contains(s.Services, srv.service) {
			add(srv.service+"._tcp."+domain, "SRV", "mail programs find the server", "0 1 %d %s", srv.port, host)
		} else { // RFC 6186 3.4: "." says that the service is not there.
			add(srv.service+"._tcp."+domain, "SRV", "not offered", "0 0 0 .")
		}
	}
	return list
}

// addressRecords say where the server is. Behind NAT the public address is not known here: then the record has no data.
func (s Site) addressRecords() []Record {
	host := s.Hostname + "."
	if len(s.Addresses) == 0 {
		return []Record{{host, "A", "", "where the server is: this machine has only private addresses, so write the public one that leads to it " +
			"(and its AAAA), and have the provider set its reverse name to " + s.Hostname}}
	}
	var list, reverse []Record
	for _, a := range s.Addresses {
		list = append(list, Record{host, map[bool]string{true: "A", false: "AAAA"}[a.Is4()], a.String(), "where the server is"})
		if name, err := dns.ReverseName(a); err == nil {
			reverse = append(reverse, Record{name, "PTR", host, "its reverse name, which the provider of the address sets; many servers refuse mail without it"})
		}
	}
	return append(list, reverse...)
}

// KeyRecord is the record of one DKIM key (RFC 6376 3.6.2).
func KeyRecord(k Key) Record {
	return Record{k.Selector + "._domainkey." + k.Domain + ".", "TXT", dns.QuoteText(k.Record), "DKIM key, " + k.Algorithm + ", " + k.State}
}

// policyID changes when the policy does (RFC 8461 3.1: at most 32 letters and digits).
func (s Site) policyID() string {
	sum := sha256.Sum256([]byte(s.Policy))
	return hex.EncodeToString(sum[:10])
}
