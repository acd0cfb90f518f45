package sender

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

const (
	testHeader = "From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject:  a\tb \r\n  c\r\nSubject: second\r\n"
	testBody   = "Hello \t world\r\n\r\n  x \r\n\r\n\r\n"
	goodTags   = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=sel; h=from:to:subject; bh=?; b=?"
)

func TestVerifyAgreesWithTheLibrarysSigner(t *testing.T) {
	bodies := []string{"", "\r\n", "x", "x\r\n", "\r\n\r\n\r\n", " \t\r\n", testBody, "a \r\n\tb\t\t\r\n \r\n", "last line without end \t",
		strings.Repeat("abc  def \r\n", 20_000), strings.Repeat("\r\n", 50_000) + "x"}
	for _, hc := range []dkim.Canonicalization{"simple", "relaxed"} {
		for _, bc := range []dkim.Canonicalization{"simple", "relaxed"} {
			for key, record := range map[string]string{"rsa": "k=rsa; p=", "ed": "v=DKIM1; k=ed25519; p=", "rsa1024": "p="} {
				for i, body := range bodies {
					var signed bytes.Buffer
					err := dkim.Sign(&signed, strings.NewReader(testHeader+"\r\n"+body), &dkim.SignOptions{
						Domain: "example.org", Selector: "sel", Signer: testKeys()[key],
						HeaderCanonicalization: hc, BodyCanonicalization: bc,
						HeaderKeys: []string{"From", "Subject", "To", "Subject", "Subject", "Cc"},
					})
					if err != nil {
						t.Fatal(err)
					}
					header, _, _ := strings.Cut(signed.String(), "\r\n\r\n")
					zone := keyRecord("sel._domainkey.example.org", record+keyData(t, key))
					v := verifyMail(t, zone, header+"\r\n", body)
					if len(v.DKIM) != 1 || v.DKIM[0].Result != ResultPass {
						t.Errorf("%s/%s, %s, body %d: %+v", hc, bc, key, i, v.DKIM)
					}
				}
			}
		}
	}
}

func TestBodyHashDoesNotDependOnHowItIsRead(t *testing.T) {
	specs := []bodySpec{{false, -1}, {true, -1}, {true, 5}, {false, 7}}
	plain := "plain words\r\nin lines\r\n\r\n"
	for _, body := range []string{
		"a \t\r\n b\r\n\r\n \r\n c\rd\r\n\r\n\r\r\n \r\n\r\n", plain, plain + "no end of a line", plain + "tab\there\r\n", plain + "two  blanks\r\n",
		plain + "at the end \r\n", plain + "bare \n and\r alone\r\n \r\n", " \r\n" + plain + " ",
	} {
		want, _ := hashBodies(&slowReader{body, 1}, specs)
		for size := 2; size <= len(body); size++ {
			got, err := hashBodies(&slowReader{body, size}, specs)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range specs {
				if got[s] != want[s] {
					t.Errorf("%q, %v, %d octets at a time", body, s, size)
				}
			}
		}
	}
}

type slowReader struct {
	s    string
	size int
}

func (r *slowReader) Read(p []byte) (int, error) {
	n := copy(p[:min(r.size, len(p))], r.s)
	r.s = r.s[n:]
	if n == 0 {
		return strings.NewReader("").Read(p)
	}
	return n, nil
}

// TestSignatures changes one thing of a good signature, key or message at a time.
func TestSignatures(t *testing.T) {
	const record = "v=DKIM1; k=rsa; p=KEY"
	for _, c := range []struct {
		name, from, to string // from -> to in the tags before signing
		record         string
		want, reason   string
	}{
		{"good", "", "", record, ResultPass, ""},
		{"all tags", "v=1;", "v=1; q=dns/txt; t=1700000000; x=1900000000; z=From:x|To:y; unknown=1; i=news@sub.EXAMPLE.org;", record, ResultPass, ""},
		{"simple is the default", " c=relaxed/relaxed;", "", record, ResultPass, ""},
		{"relaxed header alone", "c=relaxed/relaxed", "c=relaxed", record, ResultPass, ""},
		{"folded", "; ", ";\r\n\t", record, ResultPass, ""},
		{"blanks in lists", "h=from:to:subject", "h= From\r\n : To :\tSubject ", record, ResultPass, ""},
		{"oversigned", "h=from:to:subject", "h=from:from:to:subject:subject:subject:cc", record, ResultPass, ""},
		{"no version", "v=1; ", "", record, ResultPermError, "v= is not 1"},
		{"other version", "v=1", "v=2", record, ResultPermError, "v= is not 1"},
		{"tag twice", "s=sel", "s=sel; s=sel", record, ResultPermError, "comes twice"},
		{"From not signed", "h=from:to", "h=to", record, ResultPermError, "From field is not signed"},
		{"sha1", "rsa-sha256", "rsa-sha1", record, ResultPermError, "rsa-sha1"},
		{"unknown algorithm", "rsa-sha256", "dsa-sha256", record, ResultPermError, "unknown algorithm"},
		{"unknown canonical form", "relaxed/relaxed", "relaxed/other", record, ResultPermError, "c= is not known"},
		{"unknown query method", "v=1", "v=1; q=http", record, ResultPermError, "q= has no method"},
		{"empty domain", "d=example.org", "d=", record, ResultPermError, "no d="},
		{"empty selector", "s=sel", "s=", record, ResultPermError, "no s="},
		{"domain with a slash", "d=example.org", "d=example.org/x", record, ResultPermError, "not a domain name"},
		{"selector with a slash", "s=sel", "s=s/l", record, ResultPermError, "not a domain name"},
		{"selector with an empty label", "s=sel", "s=sel.", record, ResultPermError, "not a domain name"},
		{"domain with a final dot", "d=example.org", "d=example.org.", record, ResultPermError, "not a domain name"},
		{"identity without @", "v=1", "v=1; i=example.org", record, ResultPermError, "i= has no @"},
		{"identity elsewhere", "v=1", "v=1; i=@notexample.org", record, ResultPermError, "not within"},
		{"identity above", "v=1", "v=1; i=@org", record, ResultPermError, "not within"},
		{"expired", "v=1", "v=1; x=1700000000", record, ResultFail, "expired"},
		{"expires before it is made", "v=1", "v=1; t=1900000001; x=1900000000", record, ResultPermError, "x= is before t="},
		{"time is not a number", "v=1", "v=1; t=-1", record, ResultPermError, "t= is not a number"},
		{"length of all", "v=1", "v=1; l=19", record, ResultPass, ""},
		{"length of a part", "v=1", "v=1; l=7", record, ResultPolicy, "leaves 12 octets"},
		{"length of nothing", "v=1", "v=1; l=0", record, ResultPolicy, "leaves 19 octets"},
		{"length of more", "v=1", "v=1; l=20", record, ResultFail, "longer than the body"},
		{"length beyond numbers", "v=1", "v=1; l=99999999999999999999", record, ResultPermError, "l= is not a number"},

		{"no key", "", "", "", ResultPermError, "no key"},
		{"revoked", "", "", "v=DKIM1; p=", ResultPermError, "revoked"},
		{"bare key", "", "", "p=KEY", ResultPass, ""},
		{"version not first", "", "", "k=rsa; v=DKIM1; p=KEY", ResultPermError, "v= is not DKIM1"},
		{"version of another kind", "", "", "v=spf1; p=KEY", ResultPermError, "v= is not DKIM1"},
		{"full record", "", "", "v=DKIM1; n=note to read; h=sha1:sha256; k=rsa; s=email; t=y:s:other; p=KEY; x=1", ResultPass, ""},
		{"key for any service", "", "", "s=tel : * ; p=KEY", ResultPass, ""},
		{"key for another service", "", "", "s=tel; p=KEY", ResultPermError, "not for mail"},
		{"key for another hash", "", "", "h=sha1; p=KEY", ResultPermError, "not for sha256"},
		{"key of another kind", "", "", "k=ed25519; p=KEY", ResultPermError, "the key is for"},
		{"blanks in the key", "", "", "v=DKIM1;\tp=SPACED ;", ResultPass, ""},
		{"not base64", "", "", "p=!", ResultPermError, "not base64"},
		{"not a key", "", "", "p=AAAA", ResultPermError, "can't be read"},
		{"another key", "", "", "p=OTHER", ResultFail, "does not match"},
		{"strict, below", "v=1", "v=1; i=@sub.example.org", "t=s; p=KEY", ResultPermError, "the key forbids"},
		{"strict, in capitals", "v=1", "v=1; i=@EXAMPLE.ORG", "t=s; p=KEY", ResultPass, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tags := strings.ReplaceAll(goodTags, c.from, c.to)
			if c.from == "" {
				tags = goodTags
			}
			key := keyData(t, "rsa")
			zone := ""
			if c.record != "" {
				record := strings.NewReplacer("KEY", key, "SPACED", key[:50]+" \t"+key[50:], "OTHER", keyData(t, "rsa1024")).Replace(c.record)
				zone = keyRecord("sel._domainkey.example.org", record)
			}
			v := verifyMail(t, zone, signWith(t, "rsa", "DKIM-Signature", tags, testHeader, testBody)+testHeader, testBody)
			if len(v.DKIM) != 1 || v.DKIM[0].Result != c.want || !strings.Contains(v.DKIM[0].Reason, c.reason) {
				t.Errorf("want %s %q, got %+v\n%s", c.want, c.reason, v.DKIM, tags)
			}
		})
	}
}

func TestVerdictOfASignatureIsComplete(t *testing.T) {
	tags := strings.Replace(goodTags, "v=1", "v=1; i=news@sub.example.org; l=19; x=1900000000", 1)
	zone := keyRecord("sel._domainkey.example.org", "t=y; p="+keyData(t, "rsa"))
	v := verifyMail(t, zone, signWith(t, "rsa", "DKIM-Signature", tags, testHeader, testBody)+testHeader, testBody)
	got := v.DKIM[0]
	got.mark = ""
	want := DKIM{Result: ResultPass, Domain: "example.org", Selector: "sel", Algorithm: "rsa-sha256", KeyBits: 2048,
		Identity: "news@sub.example.org", Length: 19, Testing: true}
	if got != want {
		t.Errorf("%+v", got)
	}
}

func TestChangedMessagesFail(t *testing.T) {
	signed := signWith(t, "rsa", "DKIM-Signature", goodTags, testHeader, testBody) + testHeader
	zone := keyRecord("sel._domainkey.example.org", "p="+keyData(t, "rsa"))
	for name, c := range map[string]struct{ header, body, want string }{
		"nothing":                     {signed, testBody, ResultPass},
		"blanks":                      {strings.Replace(signed, "Alice <", "Alice\r\n\t <", 1), strings.Replace(testBody, " \t ", "  ", 1), ResultPass},
		"field names":                 {strings.Replace(signed, "From: ", "FROM  :", 1), testBody, ResultPass},
		"an unsigned field":           {"X-New: 1\r\n" + signed, testBody, ResultPass},
		"empty lines at the end":      {signed, testBody + "\r\n\r\n", ResultPass},
		"a body line":                 {signed, testBody + "x\r\n", ResultFail},
		"a word of the From":          {strings.Replace(signed, "Alice", "Alise", 1), testBody, ResultFail},
		"the signed Subject":          {strings.Replace(signed, "second", "third", 1), testBody, ResultFail},
		"a Subject below":             {signed + "Subject: third\r\n", testBody, ResultFail},
		"a Subject above":             {"Subject: third\r\n" + signed, testBody, ResultPass}, // not oversigned
		"the tags":                    {strings.Replace(signed, "s=sel; ", "s=sel; t=1; ", 1), testBody, ResultFail},
		"blanks within the signature": {strings.Replace(signed, " b=", " b=\r\n ", 1), testBody, ResultPass},
	} {
		v := verifyMail(t, zone, c.header, c.body)
		if v.DKIM[0].Result != c.want {
			t.Errorf("%s: %+v", name, v.DKIM[0])
		}
	}
}

func TestShortKeysAreNotTrusted(t *testing.T) {
	// 1023 bits need 128 octets: what counts is bits.
	n := new(big.Int).SetBit(new(big.Int), 1022, 1)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	zone := keyRecord("sel._domainkey.example.org", "p="+base64.StdEncoding.EncodeToString(der))
	v := verifyMail(t, zone, signWith(t, "rsa", "DKIM-Signature", goodTags, testHeader, testBody)+testHeader, testBody)
	if d := v.DKIM[0]; d.Result != ResultPolicy || d.KeyBits != 1023 {
		t.Errorf("%+v", d)
	}
}

func TestNoAnswerIsNeitherPassNorFail(t *testing.T) {
	signed := signWith(t, "rsa", "DKIM-Signature", goodTags, testHeader, testBody) + testHeader
	for _, fault := range []string{"servfail", "timeout", "refused"} {
		v := verifyMail(t, ";! "+fault+" sel._domainkey.example.org\n", signed, testBody)
		if v.DKIM[0].Result != ResultTempError {
			t.Errorf("%s: %+v", fault, v.DKIM[0])
		}
	}
}

func TestSeveralKeyRecords(t *testing.T) {
	signed := signWith(t, "rsa", "DKIM-Signature", goodTags, testHeader, testBody) + testHeader
	name := "sel._domainkey.example.org"
	zone := keyRecord(name, "some note") + keyRecord(name, "p="+keyData(t, "rsa1024")) + keyRecord(name, "p="+keyData(t, "rsa"))
	if v := verifyMail(t, zone, signed, testBody); v.DKIM[0].Result != ResultPass {
		t.Errorf("%+v", v.DKIM[0])
	}
}

func TestTenSignaturesAtMost(t *testing.T) {
	signed := strings.Repeat("DKIM-Signature: v=1\r\n", 9) + signWith(t, "rsa", "DKIM-Signature", goodTags, testHeader, testBody)
	zone := keyRecord("sel._domainkey.example.org", "p="+keyData(t, "rsa"))
	v := verifyMail(t, zone, signed+testHeader, testBody)
	if len(v.DKIM) != 10 || v.DKIM[9].Result != ResultPass {
		t.Errorf("the tenth: %+v", v.DKIM)
	}
	v = verifyMail(t, zone, "DKIM-Signature: v=1\r\n"+signed+testHeader, testBody)
	if len(v.DKIM) != 10 || slices.ContainsFunc(v.DKIM, func(d DKIM) bool { return d.Result == ResultPass }) {
		t.Errorf("the eleventh: %+v", v.DKIM)
	}
}

// TestUnderscoreInASelector: RFC 6376 3.1 has none, but signers in use have, and their mail is as genuine as that of others.
func TestUnderscoreInASelector(t *testing.T) {
	for _, selector := range []string{"rsa_default", "_dkim"} {
		tags := strings.Replace(goodTags, "s=sel", "s="+selector, 1)
		zone := keyRecord(selector+"._domainkey.example.org", "p="+keyData(t, "rsa"))
		v := verifyMail(t, zone, signWith(t, "rsa", "DKIM-Signature", tags, testHeader, testBody)+testHeader, testBody)
		if d := v.DKIM[0]; d.Result != ResultPass || !strings.Contains(string(v.Field), "header.s="+selector) {
			t.Errorf("%+v\n%s", d, v.Field)
		}
	}
}

func TestInternationalDomains(t *testing.T) {
	tags := strings.Replace(goodTags, "d=example.org", "d=bücher.example; i=@BÜCHER.example", 1)
	zone := keyRecord("sel._domainkey.xn--bcher-kva.example", "p="+keyData(t, "rsa"))
	v := verifyMail(t, zone, signWith(t, "rsa", "DKIM-Signature", tags, testHeader, testBody)+testHeader, testBody)
	if d := v.DKIM[0]; d.Result != ResultPass || d.Domain != "xn--bcher-kva.example" {
		t.Errorf("%+v", d)
	}
}

// TestHostileHeadersTakeLinearTime has no clock: with a quadratic step it would not end.
func TestHostileHeadersTakeLinearTime(t *testing.T) {
	zone := keyRecord("sel._domainkey.example.org", "p="+keyData(t, "rsa"))
	all := strings.Repeat(":subject", 100_000)
	for name, header := range map[string]string{
		"folds":             testHeader + "Subject: x" + strings.Repeat("\r\n y", 500_000) + "\r\n",
		"fields":            testHeader + strings.Repeat("Subject: x\r\n", 200_000),
		"tags":              "DKIM-Signature: " + strings.Repeat("a=1;b=2;", 200_000) + "\r\n" + testHeader,
		"signatures":        strings.Repeat("DKIM-Signature: v=1; d=example.org\r\n", 100_000) + testHeader,
		"results":           strings.Repeat("Authentication-Results: ((((((\r\n", 100_000) + testHeader,
		"comments":          "Authentication-Results: " + strings.Repeat("(", 1_000_000) + "\r\n" + testHeader,
		"ARC":               strings.Repeat("ARC-Seal: i=1; a=x\r\n", 100_000) + testHeader,
		"folded signatures": strings.Repeat("DKIM-Signature: v=1;"+strings.Repeat("\r\n\t", 10_000)+"\r\n", 20) + testHeader,
	} {
		tags := strings.Replace(goodTags, ":subject", all, 1)
		v := verifyMail(t, zone, signWith(t, "rsa", "DKIM-Signature", tags, header, testBody)+header, testBody)
		if v.DKIM[0].Result != ResultPass {
			t.Errorf("%s: %.200v", name, fmt.Sprint(v.DKIM[0]))
		}
		ForgedResult([]byte(header), "mx.example.net")
	}
}
