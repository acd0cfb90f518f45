package sender

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"
)

func TestForgedResult(t *testing.T) {
	for name, c := range map[string]struct {
		field  string
		forged bool
	}{
		"ours":               {"Authentication-Results: mx.example.net; spf=pass", true},
		"another's":          {"Authentication-Results: mx.example.org; spf=pass", false},
		"below ours":         {"Authentication-Results: x.mx.example.net; spf=pass", false},
		"capitals":           {"AUTHENTICATION-results: MX.Example.NET; spf=pass", true},
		"version":            {"Authentication-Results: mx.example.net 1; spf=pass", true},
		"quoted":             {`Authentication-Results: "mx.example.net"; spf=pass`, true},
		"quoted pairs":       {`Authentication-Results: "mx\.exam\ple.net" ; spf=pass`, true},
		"comments":           {"Authentication-Results: (a (nested \\) one)) mx.example.net (b) 1 (c); spf=pass", true},
		"folds":              {"Authentication-Results:\r\n\t(x)\r\n mx.example.net\r\n ; spf=pass", true},
		"blank before colon": {"Authentication-Results \t: mx.example.net; spf=pass", true},
		"folded name":        {"Authentication-Results\r\n : mx.example.net; spf=pass", true},
		"control in name":    {"Authentication\x00-Results: mx.example.net; spf=pass", true},
		"no results":         {"Authentication-Results: mx.example.net", true},
		"final dot":          {"Authentication-Results: mx.example.net.; spf=pass", true},
		"nothing":            {"Authentication-Results:", true},
		"open comment":       {"Authentication-Results: (mx.example.org; spf=pass", true},
		"open quote":         {`Authentication-Results: "mx.example.net; spf=pass`, false},
		"no id":              {"Authentication-Results: ; spf=pass", true},
		"path after id":      {"Authentication-Results: mx.example.net/x; spf=pass", true},
		"blank at the end":   {"Authentication-Results: (a (b\\)) c) mx.example.net(x); x", true},
		"comment only":       {"Authentication-Results: (open", true},
		"no UTF-8":           {"Authentication-Results: \x80\xff; spf=pass", true},
		"another field":      {"X-Authentication-Results: mx.example.net; spf=pass", false},
		"ARC's":              {"ARC-Authentication-Results: i=1; mx.example.net; spf=pass", false},
		"another's version":  {"Authentication-Results: mx.example.org 1; spf=pass", false},
	} {
		if forged := ForgedResult([]byte(c.field+"\r\n"), "mx.example.net"); forged != c.forged {
			t.Errorf("%s: %v", name, forged)
		}
	}
}

func TestForgedResultOfANameInUnicode(t *testing.T) {
	for _, id := range []string{"mx.exämple.test", "MX.XN--EXMPLE-CUA.test", "mx.exämple.test."} {
		for _, our := range []string{"mx.exämple.test", "mx.xn--exmple-cua.test"} {
			if !ForgedResult([]byte("Authentication-Results: "+id+"; spf=pass\r\n"), our) {
				t.Errorf("%s passes for another than %s", id, our)
			}
		}
	}
}

func TestParseAuthResults(t *testing.T) {
	ar, err := parseAuthResults(` example.com (mta) 1; (c) dkim/1 = pass (good) reason = "the \"best\"" header.d = example.org
 header.i=@example.org; spf=fail smtp.mailfrom="a b"@example.org; dmarc=pass header.from=example.org ; none`)
	if err != nil || ar.id != "example.com" || len(ar.results) != 4 {
		t.Fatalf("%+v, %v", ar, err)
	}
	d := ar.results[0]
	if d.method != "dkim" || d.result != "pass" || d.props["reason"] != `the "best"` || d.props["header.d"] != "example.org" || d.props["header.i"] != "@example.org" {
		t.Errorf("%+v", d)
	}
	if s := ar.results[1]; s.result != "fail" || s.props["smtp.mailfrom"] != "a b@example.org" {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"", "(", "id; =pass", "id; dkim", "id; dkim=pass header.d", "id; dkim=pass )", "id extra words; dkim=pass"} {
		if ar, err := parseAuthResults(bad); err == nil {
			t.Errorf("%q: %+v", bad, ar)
		}
	}
}

func testVerdict() *Verdict {
	return &Verdict{
		SPF:   SPF{Result: SPFFail, Identity: "mailfrom", Sender: "a@example.org", Domain: "example.org", Reason: "why not"},
		Helo:  SPF{Result: SPFNone, Identity: "helo", Domain: "[192.0.2.1]"},
		DKIM:  []DKIM{{Result: ResultPass, Domain: "example.org", Selector: "s", Algorithm: "rsa-sha256", Identity: "@example.org", mark: "abc+/="}},
		DMARC: DMARC{Result: ResultPass, Policy: PolicyReject, Domain: "example.org"},
		ARC:   ARC{Result: ResultNone},
		IPRev: IPRev{Result: ResultPass, Addr: "2001:db8::1"},
		From:  "a@example.org", AuthorDomain: "example.org",
	}
}

func TestOurFieldIsReadByTheLibrary(t *testing.T) {
	field := testVerdict().authResultsField("mx.example.net")
	value := strings.NewReplacer("Authentication-Results: ", "", "\r\n", "").Replace(string(field))
	id, results, err := authres.Parse(value)
	if err != nil || id != "mx.example.net" || len(results) != 6 {
		t.Fatalf("%s %d results, %v\n%s", id, len(results), err, field)
	}
	if d, ok := results[3].(*authres.DKIMResult); !ok || d.Value != authres.ResultPass || d.Domain != "example.org" || d.Identifier != "@example.org" {
		t.Errorf("%+v", results[3])
	}
}

// TestDMARCProperties are the registered ones (RFC 9989 9.1): the author's domain, and the policy that t=y and the like have
// been counted in for. The drafts had others.
func TestDMARCProperties(t *testing.T) {
	v := testVerdict()
	v.AuthorDomain, v.DMARC.Policy = "mail.example.org", PolicyQuarantine
	ar, err := parseAuthResults(string(v.authResultsField("mx.example.net")[len("Authentication-Results:"):]))
	if err != nil {
		t.Fatal(err)
	}
	got := ar.results[4]
	if want := map[string]string{"header.from": "mail.example.org", "policy.dmarc": "quarantine"}; got.method != "dmarc" || !maps.Equal(got.props, want) {
		t.Errorf("%+v", got)
	}
}

func TestStrangersWordsStayInsideTheirQuotes(t *testing.T) {
	v := testVerdict()
	v.SPF.Sender, v.SPF.Reason = "a;b\r\nX: \"y\\@example.org", "a \x00 \r\n reason; dmarc=pass"
	v.DKIM = append(v.DKIM, DKIM{Result: ResultPermError, Reason: strings.Repeat(`"\`, 500), Domain: "x\r\n\r\nbody"})
	field := v.authResultsField("mx.example.net")
	for i, line := range bytes.Split(bytes.TrimSuffix(field, crlf), crlf) {
		if i > 0 && line[0] != '\t' || len(line) > 998 {
			t.Errorf("line %q", line)
		}
	}
	ar, err := parseAuthResults(string(field[len("Authentication-Results:"):]))
	if err != nil || len(ar.results) != 7 || ar.results[1].props["smtp.mailfrom"] != "a;b??X: \"y\\@example.org" {
		t.Errorf("%+v, %v\n%s", ar, err, field)
	}
}
