package sender

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"facteur/mta/dns"
	"facteur/storage/message"
)

func TestSPFIdentities(t *testing.T) {
	v := testVerifier(t, `
example.org.      IN TXT "v=spf1 ip4:192.0.2.1 -all"
mail.example.org. IN TXT "v=spf1 a -all"
mail.example.org. IN A 192.0.2.1
`)
	for _, c := range []struct {
		from message.AddrSpec
		ip   string
		want string
	}{
		{message.AddrSpec{Local: "a", Domain: "example.org"}, "192.0.2.1", "mailfrom pass a@example.org, helo pass postmaster@mail.example.org"},
		{message.AddrSpec{Local: "a", Domain: "example.org"}, "::ffff:192.0.2.1", "mailfrom pass a@example.org, helo pass postmaster@mail.example.org"},
		{message.AddrSpec{Local: "a", Domain: "example.net"}, "192.0.2.2", "mailfrom none a@example.net, helo fail postmaster@mail.example.org"},
		{message.AddrSpec{}, "192.0.2.1", "helo pass postmaster@mail.example.org,"},
		{message.AddrSpec{}, "2001:db8::1", "helo fail postmaster@mail.example.org,"},
	} {
		p := testParams("", "")
		p.MailFrom, p.IP = c.from, netip.MustParseAddr(c.ip)
		both := v.checkSPF(t.Context(), p, testNow)
		var got string
		for _, s := range both {
			if s.Result != "" {
				got += " " + s.Identity + " " + s.Result + " " + s.Sender + ","
			}
		}
		if got := strings.TrimSpace(got); strings.TrimSuffix(got, ",") != strings.TrimSuffix(c.want, ",") {
			t.Errorf("%v from %s: %s", c.from, c.ip, got)
		}
	}
}

func TestSPFBounds(t *testing.T) {
	v := testVerifier(t, `
bomb.test.   IN TXT "v=spf1 include:x.bomb.test include:y.bomb.test include:z.bomb.test -all"
*.bomb.test. IN TXT "v=spf1 include:x.%{d} include:y.%{d} include:z.%{d} -all"
self.test.   IN TXT "v=spf1 redirect=self.test"
utf8.test.   IN TXT "v=spf1 exists:%{l}.utf8.test ip4:192.0.2.1 -all"
slow.test.   IN TXT "v=spf1 a:silent.test -all"
;! timeout silent.test
`)
	check := func(ctx context.Context, local, domain string) SPF {
		return CheckSPF(ctx, v.Resolver, SPFParams{IP: netip.MustParseAddr("192.0.2.1"), Local: local, Domain: domain, Now: testNow})
	}
	for domain, want := range map[string]string{"bomb.test": SPFPermError, "self.test": SPFPermError, "slow.test": SPFTempError} {
		asked := 0
		ctx := dns.WithTrace(t.Context(), func(dns.Lookup) { asked++ })
		if got := check(ctx, "a", domain); got.Result != want || asked > 12 {
			t.Errorf("%s: %+v, %d questions", domain, got, asked)
		}
	}
	// RFC 8616 4: what has the local-part in it doesn't match, the rest does.
	if got := check(t.Context(), "é", "utf8.test"); got.Result != SPFPass {
		t.Errorf("%+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	if got := check(ctx, "a", "utf8.test"); got.Result != SPFTempError {
		t.Errorf("out of time: %+v", got)
	}
}

// TestSPFVoidTerms: a domain whose servers have IPv4 only sends through somebody with IPv6. RFC 7208 4.6.4 counts terms.
func TestSPFVoidTerms(t *testing.T) {
	v := testVerifier(t, `
many.test.  IN TXT "v=spf1 mx ip6:2001:db8::1 -all"
many.test.  IN MX 10 a.many.test.
many.test.  IN MX 10 b.many.test.
many.test.  IN MX 10 c.many.test.
*.many.test. IN A 192.0.2.1
both.test.  IN TXT "v=spf1 a mx ip6:2001:db8::1 -all"
both.test.  IN A 192.0.2.1
both.test.  IN MX 10 a.many.test.
both.test.  IN MX 20 b.many.test.
three.test. IN TXT "v=spf1 a mx a:a.many.test ip6:2001:db8::1 -all"
three.test. IN A 192.0.2.1
three.test. IN MX 10 a.many.test.
`)
	for domain, want := range map[string]string{"many.test": SPFPass, "both.test": SPFPass, "three.test": SPFPermError} {
		got := CheckSPF(t.Context(), v.Resolver, SPFParams{IP: netip.MustParseAddr("2001:db8::1"), Local: "a", Domain: domain, Now: testNow})
		if got.Result != want {
			t.Errorf("%s: %+v", domain, got)
		}
	}
}

func TestIPRev(t *testing.T) {
	v := testVerifier(t, `
1.2.0.192.in-addr.arpa. IN PTR liar.test.
1.2.0.192.in-addr.arpa. IN PTR mail.test.
mail.test. IN A 192.0.2.1
liar.test. IN A 192.0.2.9
2.2.0.192.in-addr.arpa. IN PTR liar.test.
3.2.0.192.in-addr.arpa. IN PTR mute.test.
;! servfail mute.test
;! servfail 4.2.0.192.in-addr.arpa
6.2.0.192.in-addr.arpa. IN PTR bad\010name.test.
bad\010name.test. IN A 192.0.2.6
`)
	for addr, want := range map[string]string{
		"192.0.2.1": "pass mail.test", "::ffff:192.0.2.1": "pass mail.test", "192.0.2.2": "fail", "192.0.2.3": "temperror",
		"192.0.2.4": "temperror", "192.0.2.5": "permerror", "192.0.2.6": "fail",
	} {
		got := CheckIPRev(t.Context(), v.Resolver, netip.MustParseAddr(addr))
		if strings.TrimSpace(got.Result+" "+got.Name) != want {
			t.Errorf("%s: %+v", addr, got)
		}
	}
}
