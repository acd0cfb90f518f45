package sender

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzTags(f *testing.F) {
	for _, s := range []string{"v=1; a=rsa-sha256;\r\n\tb=abc= ; h=from : to", "v=DKIM1;p=", "=;;", "a=1;a=2", "k\x00=v", "v =\t1 ;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := parseTags(text)
		if err != nil {
			return
		}
		for _, tag := range tags {
			if got := strings.Trim(text[tag.start:tag.end], fws); got != tag.value {
				t.Errorf("%s=%q stands at %q", tag.name, tag.value, got)
			}
		}
		parseKey(text, RSA)
		parseKey(text, Ed25519)
	})
}

func FuzzSPF(f *testing.F) {
	for _, s := range []string{
		"v=spf1 a mx/24//64 ptr:x.%{d} ip4:192.0.2.0/24 ip6:2001:db8::/32 exists:%{ir}.%{l1r-}.%{v}.x include:y.z -all",
		"v=spf1 redirect=%{p}.x exp=%{S}.%%%_%-.x unknown=%{h}", "v=spf1 a:%{x}", "v=spf1 a:/24", "v=spf1 ip4:/", "v=spf1 ?all ~mx",
	} {
		f.Add(s, "strong-bad", "192.0.2.1")
	}
	v := testVerifier(f, "example.org. IN A 192.0.2.1\n")
	f.Fuzz(func(t *testing.T, text, local, addr string) {
		rec, err := parseSPF("v=spf1 " + text)
		ip, ipErr := netip.ParseAddr(addr)
		if err != nil || ipErr != nil || len(rec.terms) > 20 {
			return
		}
		c := &spfCheck{ctx: t.Context(), resolver: v.Resolver, ip: ip.Unmap(), local: local, domain: "example.org", helo: "x", now: testNow}
		for _, term := range rec.terms {
			// What the syntax check let through can be expanded and asked for.
			if _, err := c.expandDomain(term.domain, "example.org"); err != nil && err != errUTF8Local {
				t.Errorf("%q: %v", term.text, err)
			}
			c.matches(term, "example.org")
		}
	})
}

func FuzzDMARC(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=reject; sp=none; np=quarantine; psd=y; t=y; adkim=s; aspf=r; rua=mailto:a@b", "v=DMARC1;;=;p=x", "v=DMARC1"} {
		f.Add(s, "a.b.c.d.e.f.g.h.i.example.org")
	}
	f.Fuzz(func(t *testing.T, text, domain string) {
		if rec, ok := parseDMARC(text); ok {
			for _, below := range []bool{false, true} {
				switch p := rec.policyFor(below, !below); p {
				case PolicyNone, PolicyQuarantine, PolicyReject:
				default:
					t.Errorf("%q: policy %q", text, p)
				}
			}
		}
		if targets := walkTargets(domain); len(targets) > 8 || !strings.HasSuffix(domain, targets[len(targets)-1]) {
			t.Errorf("%q: %q", domain, targets)
		}
	})
}

// FuzzHeader gives whole headers to the Verifier: DKIM, ARC and From together.
func FuzzHeader(f *testing.F) {
	files, err := filepath.Glob("testdata/espoofer/*/in.eml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(sealed(f, "2", "two.example", "pass", "x", sealed(f, "1", "one.example", "none", "x; dmarc=pass", testHeader, ""), "") + "\r\n"))
	v := testVerifier(f, keyRecord("sel._domainkey.evil.example", "p="+keyData(f, "rsa"))+keyRecord("arc._domainkey.one.example", "p="+keyData(f, "rsa")))
	f.Fuzz(func(t *testing.T, mail []byte) {
		header, body := mail, []byte(nil)
		if i := bytes.Index(mail, []byte("\r\n\r\n")); i >= 0 {
			header, body = mail[:i+4], mail[i+4:]
		}
		size := 0
		for _, field := range splitHeader(header) {
			size += len(field.raw)
		}
		if size > len(header) {
			t.Errorf("fields of %d octets in a header of %d", size, len(header))
		}
		p := testParams("", "")
		p.Header, p.Body = header, bytes.NewReader(body)
		got, err := v.Verify(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if (got.Fault == "") != (got.From != "") {
			t.Errorf("%+v", got)
		}
		checkField(t, got.Field)
	})
}

// FuzzARC changes the fields of a chain that holds: it may pass only while they say the same, but for white space and the seal's own b=.
func FuzzARC(f *testing.F) {
	whole := sealed(f, "1", "one.example", "none", "one.example; spf=pass", testHeader, "body\r\n")
	set := newMail([]byte(whole)).fields[:3]
	value := func(i int) string { return strings.TrimSuffix(string(set[i].value()), "\r\n") }
	f.Add(value(0), value(1), value(2))
	f.Add(" i=1; cv=none", " i=1; bh=; b=", " i=1; none; arc=pass")
	f.Add(strings.ReplaceAll(value(0), ";", " ;\r\n\t"), value(1), value(2))
	// said is a set as its seal covers it.
	said := func(fields []field) (text string) {
		for i, field := range fields {
			raw := string(appendRelaxed(nil, field))
			if i == 0 {
				tags, err := parseTags(strings.TrimSpace(raw[len("arc-seal:"):]))
				if err != nil {
					return raw
				}
				for _, tag := range tags {
					if tag.name != "b" {
						text += tag.name + "=" + tag.value + ";"
					}
				}
				continue
			}
			text += raw
		}
		return text
	}
	want := said(set)
	v := testVerifier(f, keyRecord("arc._domainkey.one.example", "p="+keyData(f, "rsa")))
	f.Fuzz(func(t *testing.T, seal, signature, results string) {
		header := "ARC-Seal:" + seal + "\r\nARC-Message-Signature:" + signature + "\r\nARC-Authentication-Results:" + results + "\r\n" + testHeader
		p := testParams("", "")
		p.Header, p.Body = []byte(header), strings.NewReader("body\r\n")
		got, err := v.Verify(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		checkField(t, got.Field)
		if fields := newMail([]byte(header)).fields; got.ARC.Result == ResultPass && (len(fields) < 3 || said(fields[:3]) != want) {
			t.Errorf("%q passes", header)
		}
		if header == whole && got.ARC.Result != ResultPass {
			t.Errorf("the chain itself: %+v", got.ARC)
		}
	})
}

func FuzzAuthResults(f *testing.F) {
	for _, s := range []string{
		` example.com (mta) 1; dkim/1=pass (good) reason="x" header.d=a.b; spf=fail smtp.mailfrom="a b"@c; none`,
		"(", `"`, `"\`, "a;b=c d.e=@", "mx.example.net;\r\n\tarc=pass header . d = x",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, value, strange string) {
		parseAuthResults(value)
		ForgedResult([]byte(value), "mx.example.net")
		v := testVerdict()
		v.SPF.Sender, v.SPF.Reason, v.DKIM[0].Identity, v.AuthorDomain = strange, value, value, strange
		field := v.authResultsField("mx.example.net")
		checkField(t, field)
		ar, err := parseAuthResults(string(field[len("Authentication-Results:"):]))
		if err != nil || len(ar.results) != 6 || ar.results[4].result != ResultPass {
			t.Errorf("%q and %q: %+v, %v", value, strange, ar, err)
		}
	})
}

// checkField: a field of ours is one field, whatever is in it.
func checkField(t *testing.T, field []byte) {
	t.Helper()
	fields := splitHeader(field)
	if len(fields) != 1 || fields[0].name != "authentication-results" || !bytes.HasSuffix(field, crlf) {
		t.Errorf("%q", field)
	}
	text := strings.ReplaceAll(string(field), "\r\n\t", "")
	if strings.ContainsAny(strings.TrimSuffix(text, "\r\n"), "\r\n\x00") || !utf8.Valid(field) {
		t.Errorf("%q", field)
	}
}
