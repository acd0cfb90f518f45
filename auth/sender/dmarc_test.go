package sender

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"facteur/mta/dns"
)

func TestDMARCRecords(t *testing.T) {
	plain := dmarcRecord{p: "none", psd: "u", adkim: "r", aspf: "r"}
	with := func(change func(*dmarcRecord)) dmarcRecord {
		rec := plain
		change(&rec)
		return rec
	}
	for text, want := range map[string]dmarcRecord{
		"v=DMARC1":                  plain,
		"v=DMARC1;":                 plain,
		" v = DMARC1 ; p = reject ": with(func(r *dmarcRecord) { r.p = "reject" }),
		"v=DMARC1; p=REJECT; sp=Quarantine; np=None; PSD=Y; adkim=S; aspf=s; t=Y": {p: "reject", sp: "quarantine", np: "none", psd: "y", adkim: "s", aspf: "s", testing: true},
		"v=DMARC1; rua=mailto:a@example.org; p=reject":                            with(func(r *dmarcRecord) { r.p = "reject" }),
		// Bad optional tags are left out.
		"v=DMARC1; p=reject; adkim=x; aspf=; psd=maybe; t=1; pct=7; ri=x; ;;= ;nonsense": with(func(r *dmarcRecord) { r.p = "reject" }),
		"v=DMARC1; p=reject; p=none": with(func(r *dmarcRecord) { r.p = "reject" }),
		// A bad policy is none where somebody wants to hear of it, and none at all elsewhere.
		"v=DMARC1; p=rejct; sp=reject; rua=mailto:a@example.org": plain,
		"v=DMARC1; p=reject; np=no; rua=mailto:a@example.org":    plain,
		"v=DMARC1; p=reject; sp=no":                              with(func(r *dmarcRecord) { r.unusable = true }),
		"v=DMARC1; p=; rua=none":                                 with(func(r *dmarcRecord) { r.unusable = true }),
	} {
		if got, ok := parseDMARC(text); !ok || got != want {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "v=DMARC2; p=none", "v=dmarc1; p=none", "p=reject; v=DMARC1", "v=DMARC10; p=none", "v=DMARC1 p=none", "x=DMARC1", "V=DMARC1"} {
		if _, ok := parseDMARC(text); ok {
			t.Errorf("%q is a record", text)
		}
	}
}

func TestTreeWalkAsksEightNamesAtMost(t *testing.T) {
	for domain, want := range map[string]string{
		"com":                   "com",
		"example.com":           "example.com com",
		"a.mail.example.com":    "a.mail.example.com mail.example.com example.com com",
		"a.b.c.d.e.f.g.h":       "a.b.c.d.e.f.g.h b.c.d.e.f.g.h c.d.e.f.g.h d.e.f.g.h e.f.g.h f.g.h g.h h",
		"1.2.3.4.5.6.7.8.9.com": "1.2.3.4.5.6.7.8.9.com 4.5.6.7.8.9.com 5.6.7.8.9.com 6.7.8.9.com 7.8.9.com 8.9.com 9.com com",
	} {
		if got := strings.Join(walkTargets(domain), " "); got != want {
			t.Errorf("%s: %s", domain, got)
		}
	}
}

const policyZone = `
_dmarc.example.org.        IN TXT "v=DMARC1; p=reject; sp=quarantine; np=none"
_dmarc.own.example.org.    IN TXT "v=DMARC1; p=none"
sub.example.org.           IN A 192.0.2.1
deep.sub.example.org.      IN A 192.0.2.1
_dmarc.plain.test.         IN TXT "v=DMARC1; p=quarantine"
mail.plain.test.           IN A 192.0.2.1
_dmarc.two.test.           IN TXT "v=DMARC1; p=reject"
_dmarc.two.test.           IN TXT "v=DMARC1; p=none"
_dmarc.other.test.         IN TXT "v=spf1 -all"
_dmarc.other.test.         IN TXT "v=DMARC1; p=reject"
_dmarc.bank.               IN TXT "v=DMARC1; p=reject; sp=quarantine; np=reject; psd=y"
shop.bank.                 IN A 192.0.2.1
big.bank.                  IN A 192.0.2.1
_dmarc.big.bank.           IN TXT "v=DMARC1; p=none"
sub.big.bank.              IN A 192.0.2.1
_dmarc.corp.test.          IN TXT "v=DMARC1; p=none"
_dmarc.unit.corp.test.     IN TXT "v=DMARC1; p=reject; psd=n"
a.unit.corp.test.          IN A 192.0.2.1
_dmarc.trial.test.         IN TXT "v=DMARC1; p=reject; sp=quarantine; t=y"
x.trial.test.              IN A 192.0.2.1
_dmarc.typo.test.          IN TXT "v=DMARC1; p=rejekt"
_dmarc.strict.test.        IN TXT "v=DMARC1; p=reject; adkim=s; aspf=s"
;! servfail _dmarc.broken.test
;! servfail _dmarc.half.broken.test
`

func TestPolicyDiscovery(t *testing.T) {
	for author, want := range map[string]string{
		"example.org":              "reject example.org",
		"sub.example.org":          "quarantine example.org",
		"deep.sub.example.org":     "quarantine example.org",
		"ghost.example.org":        "none example.org", // np
		"own.example.org":          "none own.example.org",
		"x.own.example.org":        "none example.org", // the Organizational Domain's, not own's; np
		"ghost.plain.test":         "quarantine plain.test",
		"mail.plain.test":          "quarantine plain.test",
		"two.test":                 "- no policy",
		"other.test":               "reject other.test",
		"nothing.example":          "- no policy",
		"shop.bank":                "quarantine bank", // below the public suffix
		"ghost.bank":               "reject bank",
		"x.ghost.bank":             "reject bank",
		"bank":                     "reject bank", // a public suffix is not exempt
		"big.bank":                 "none big.bank",
		"sub.big.bank":             "none big.bank",
		"a.unit.corp.test":         "reject unit.corp.test", // psd=n ends the walk
		"trial.test":               "quarantine trial.test", // t=y: one step less
		"x.trial.test":             "none trial.test",
		"typo.test":                "- the policy of typo.test can't be used",
		"broken.test":              "- no answer for the policy",
		"x.broken.test":            "- no answer for the policy",
		"[192.0.2.1]":              "- the author's domain is not in DNS",
		"1.2.3.4.5.6.7.plain.test": "quarantine plain.test",
	} {
		v := testVerifier(t, policyZone)
		asked := 0
		ctx := dns.WithTrace(t.Context(), func(l dns.Lookup) {
			if strings.HasPrefix(l.Name, "_dmarc.") {
				asked++
			}
		})
		got := findPolicy(ctx, v.Resolver, author).out
		text := got.Policy + " " + got.Domain
		if got.Policy == "" {
			text = "- " + got.Reason
		}
		if text != want || asked > 8 {
			t.Errorf("%s: %s, want %s (%d questions)", author, text, want, asked)
		}
	}
}

func TestAlignment(t *testing.T) {
	pass := func(domain string) []DKIM { return []DKIM{{Result: ResultPass, Domain: domain}} }
	for _, c := range []struct {
		author string
		spf    SPF
		dkim   []DKIM
		want   string
	}{
		{"example.org", SPF{}, pass("example.org"), "pass dkim"},
		{"example.org", SPF{}, pass("sub.example.org"), "pass dkim"},
		{"sub.example.org", SPF{}, pass("example.org"), "pass dkim"},
		{"sub.example.org", SPF{}, pass("other.example.org"), "pass dkim"},
		{"example.org", SPF{}, pass("example.net"), "fail"},
		{"example.org", SPF{}, pass("notexample.org"), "fail"},
		{"example.org", SPF{}, pass("org"), "fail"},
		{"shop.bank", SPF{}, pass("bank"), "fail"},     // a public suffix stands for nobody below it
		{"shop.bank", SPF{}, pass("big.bank"), "fail"}, // two owners
		{"bank", SPF{}, pass("shop.bank"), "fail"},
		{"big.bank", SPF{}, pass("sub.big.bank"), "pass dkim"},
		{"a.unit.corp.test", SPF{}, pass("corp.test"), "fail"},
		{"a.unit.corp.test", SPF{}, pass("unit.corp.test"), "pass dkim"},
		{"strict.test", SPF{}, pass("strict.test"), "pass dkim"},
		{"strict.test", SPF{Result: SPFPass, Domain: "x.strict.test"}, pass("x.strict.test"), "fail"},
		{"example.org", SPF{Result: SPFPass, Domain: "bounce.example.org"}, nil, "pass spf"},
		{"example.org", SPF{Result: SPFNeutral, Domain: "example.org"}, nil, "fail"},
		{"example.org", SPF{Result: SPFSoftFail, Domain: "example.org"}, []DKIM{{Result: ResultFail, Domain: "example.org"}}, "fail"},
		{"example.org", SPF{Result: SPFTempError, Domain: "example.org"}, nil, "temperror"},
		{"example.org", SPF{Result: SPFTempError, Domain: "example.net"}, nil, "fail"},
		{"example.org", SPF{Result: SPFFail}, []DKIM{{Result: ResultTempError, Domain: "x.example.org"}}, "temperror"},
		{"example.org", SPF{Result: SPFPass, Domain: "example.org"}, []DKIM{{Result: ResultTempError, Domain: "example.org"}}, "pass spf"},
		{"plain.test", SPF{}, pass("half.broken.test"), "fail"}, // never asked: not below the author's
		{"nothing.example", SPF{Result: SPFPass, Domain: "nothing.example"}, nil, "none"},
	} {
		v := testVerifier(t, policyZone)
		got := findPolicy(t.Context(), v.Resolver, c.author).evaluate(c.spf, c.dkim)
		if text := strings.TrimSpace(got.Result + " " + got.Aligned); text != c.want {
			t.Errorf("%s with %v and %v: %s, want %s", c.author, c.spf, c.dkim, text, c.want)
		}
	}
}

func TestWhatIsAskedFor(t *testing.T) {
	const header = "From: Alice <alice@%s>\r\nTo: bob@example.net\r\n"
	for _, c := range []struct{ author, zone, want string }{
		{"nothing.example", "", "none "},
		{"example.org", "", "fail reject"},
		{"sub.example.org", "", "fail quarantine"},
		{"own.example.org", "", "fail none"},
		{"broken.test", "", "temperror "},
		// A name below the author's whose DNS is broken must not be a way in.
		{"strict.test", ";! servfail strict.test TXT", "temperror reject"},
		{"plain.test", ";! servfail plain.test TXT", "temperror quarantine"},
		{"strict.test", "strict.test. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"", "pass reject"},
	} {
		v := testVerifier(t, policyZone+c.zone)
		p := testParams(fmt.Sprintf(header, c.author), "")
		p.MailFrom.Domain = c.author
		got, err := v.Verify(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if asked := got.DMARC.Result + " " + got.DMARC.Policy; asked != c.want {
			t.Errorf("%s: %s, want %s", c.author, asked, c.want)
		}
	}
}

func TestOverrides(t *testing.T) {
	key := keyData(t, "rsa")
	zone := policyZone + keyRecord("sel._domainkey.lists.example", "p="+key) + keyRecord("arc._domainkey.forward.example", "p="+key) +
		"forward.example. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
	header := "From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: x\r\n"
	list := signWith(t, "rsa", "DKIM-Signature", strings.Replace(goodTags, "example.org", "lists.example", 1), header, "") + header
	saw := sealed(t, "1", "forward.example", "none", "forward.example; dmarc=pass header.from=example.org", header, "")
	sawFail := sealed(t, "1", "forward.example", "none", "forward.example; dmarc=fail header.from=example.org", header, "")
	sawOther := sealed(t, "1", "forward.example", "none", "forward.example; dmarc=pass header.from=example.net", header, "")
	for name, c := range map[string]struct {
		header, mailFrom string
		overrides        []Override
		want             string
	}{
		"nobody trusted":           {list, "", nil, ""},
		"list by DKIM":             {list, "", []Override{{Via: "lists.example", Reason: "mailing_list"}}, "mailing_list"},
		"list not signed":          {header, "", []Override{{Via: "lists.example", Reason: "mailing_list"}}, ""},
		"forwarder by SPF":         {header, "forward.example", []Override{{Via: "forward.example", Reason: "trusted_forwarder"}}, "trusted_forwarder"},
		"author":                   {header, "", []Override{{Author: "alice@EXAMPLE.org"}}, "local_policy"},
		"author's domain":          {header, "", []Override{{Author: "org"}}, "local_policy"},
		"another author":           {header, "", []Override{{Author: "bob@example.org"}, {Author: "example.com"}, {Author: "ample.org"}}, ""},
		"both, one missing":        {list, "", []Override{{Author: "example.com", Via: "lists.example"}}, ""},
		"both":                     {list, "", []Override{{Author: "example.org", Via: "lists.example"}}, "local_policy"},
		"nothing given":            {list, "", []Override{{Reason: "everybody"}}, ""},
		"sealer":                   {saw, "", []Override{{Via: "forward.example", Reason: "trusted_forwarder"}}, "trusted_forwarder"},
		"sealer not trusted":       {saw, "", []Override{{Via: "lists.example"}}, ""},
		"sealer saw a fail":        {sawFail, "", []Override{{Via: "forward.example"}}, ""},
		"sealer saw another":       {sawOther, "", []Override{{Via: "forward.example"}}, ""},
		"changed after the sealer": {strings.Replace(saw, "Subject: x", "Subject: y", 1), "", []Override{{Via: "forward.example"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := testVerifier(t, zone)
			v.Overrides = c.overrides
			p := testParams(c.header, "")
			p.MailFrom.Domain = c.mailFrom
			got, err := v.Verify(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if got.Override != c.want || got.DMARC.Result != ResultFail || got.DMARC.Policy != PolicyReject {
				t.Errorf("%+v", got)
			}
			if recorded := strings.Contains(string(got.Field), "policy set aside: "+c.want); recorded != (c.want != "") {
				t.Errorf("%s", got.Field)
			}
		})
	}
}

func TestLookupsOfAMessage(t *testing.T) {
	// The usual message: one signature, aligned by its own name. Nothing is asked in vain.
	key := keyData(t, "rsa")
	zone := keyRecord("sel._domainkey.example.org", "p="+key) + "_dmarc.example.org. IN TXT \"v=DMARC1; p=reject\"\n" +
		"example.org. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
	v := testVerifier(t, zone)
	asked := make(chan string, 100)
	ctx := dns.WithTrace(t.Context(), func(l dns.Lookup) { asked <- l.Type + " " + l.Name })
	signed := signWith(t, "rsa", "DKIM-Signature", goodTags, testHeader, testBody) + testHeader
	if got, err := v.Verify(ctx, testParams(signed, testBody)); err != nil || got.DMARC.Result != ResultPass {
		t.Errorf("%+v, %v", got, err)
	}
	close(asked)
	var names []string
	for name := range asked {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"PTR 1.2.0.192.in-addr.arpa", "TXT _dmarc.example.org", "TXT example.org", "TXT mail.example.org", "TXT sel._domainkey.example.org"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
}
