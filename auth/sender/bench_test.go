package sender

import (
	"net/netip"
	"strings"
	"testing"

	"facteur/mta/dns"
)

// BenchmarkVerify verifies the usual message of 10 KiB with one signature, everything in the DNS cache.
func BenchmarkVerify(b *testing.B) {
	zone := ". IN SOA ns. root. 1 2 3 4 300\n" +
		keyRecord("sel._domainkey.example.org", "p="+keyData(b, "rsa")) +
		"_dmarc.example.org. IN TXT \"v=DMARC1; p=reject\"\n" +
		"example.org. IN TXT \"v=spf1 a:mail.example.org include:spf.example.net -all\"\n" +
		"spf.example.net. IN TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n" +
		"1.2.0.192.in-addr.arpa. IN PTR mail.example.org.\n" +
		"mail.example.org. IN A 192.0.2.9\n"
	v := testVerifier(b, zone)
	resolver, err := dns.New(dns.Config{Servers: []netip.AddrPort{dns.TestServer(b, zone)}})
	if err != nil {
		b.Fatal(err)
	}
	v.Resolver = resolver
	body := strings.Repeat("The quick brown fox jumps over the lazy dog, 0123456789.\r\n", 10<<10/58)
	header := strings.Repeat("Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx.example.net\r\n", 5) + testHeader
	header = signWith(b, "rsa", "DKIM-Signature", goodTags, header, body) + header
	b.ReportAllocs()
	for b.Loop() {
		got, err := v.Verify(b.Context(), testParams(header, body))
		if err != nil || got.DMARC.Result != ResultPass || got.SPF.Result != SPFPass {
			b.Fatalf("%+v, %v", got, err)
		}
	}
}

func BenchmarkHashBody(b *testing.B) {
	body := strings.Repeat("The quick brown fox jumps over the lazy dog, 0123456789.\r\n", 1<<20/58)
	for name, spec := range map[string]bodySpec{"simple": {false, -1}, "relaxed": {true, -1}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := hashBodies(strings.NewReader(body), []bodySpec{spec}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
