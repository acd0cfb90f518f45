package sender

import (
	"context"
	"net/netip"

	"facteur/mta/dns"
)

// IPRev says whether the client's address and name agree (RFC 8601 3).
type IPRev struct {
	Result string `json:"result"` // "pass", "fail", "temperror" or "permerror"
	Name   string `json:"name,omitempty"`
	Addr   string `json:"addr"`
}

// CheckIPRev asks whether the name of an address leads back to it (RFC 8601 3).
func CheckIPRev(ctx context.Context, resolver *dns.Resolver, addr netip.Addr) IPRev {
	addr = addr.Unmap().WithZone("")
	out := IPRev{Result: ResultPermError}
	if !addr.IsValid() {
		return out
	}
	out.Addr = addr.String()
	names, err := resolver.PTR(ctx, addr)
	if dns.IsTemporary(err) {
		out.Result = ResultTempError
	}
	if err != nil {
		return out
	}
	out.Result = ResultFail
	for _, name := range names.Records[:min(len(names.Records), maxSPFNames)] {
		ask := resolver.IPv6
		if addr.Is4() {
			ask = resolver.IPv4
		}
		ans, err := ask(ctx, name)
		if dns.IsTemporary(err) {
			out.Result = ResultTempError
		}
		for _, a := range ans.Records {
			if a == addr && isLDHName(name) {
				out.Result, out.Name = ResultPass, name
				return out
			}
		}
	}
	return out
}
