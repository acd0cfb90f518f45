package sender

import (
	"strconv"
	"strings"
	"testing"
)

// TestARC changes one thing of a good chain at a time (RFC 8617 5.2).
func TestARC(t *testing.T) {
	key := keyData(t, "rsa")
	zone := keyRecord("arc._domainkey.one.example", "p="+key) + keyRecord("arc._domainkey.two.example", "p="+key) +
		";! servfail arc._domainkey.mute.example\n"
	one := sealed(t, "1", "one.example", "none", "one.example; spf=pass", testHeader, testBody)
	two := sealed(t, "2", "two.example", "pass", "two.example; arc=pass", "Received: x\r\n"+one, testBody)
	replace := func(s, from, to string) string {
		t.Helper()
		if !strings.Contains(s, from) {
			t.Fatalf("%q is not in the header", from)
		}
		return strings.Replace(s, from, to, 1)
	}
	without := func(s, name string) string {
		var out strings.Builder
		dropped := false
		for _, f := range splitHeader([]byte(s)) {
			if f.name == name && !dropped {
				dropped = true
				continue
			}
			out.Write(f.raw)
		}
		return out.String()
	}
	ams := func(tags, domain string) string {
		aar := "ARC-Authentication-Results: i=1; one.example; none\r\n"
		return addSeal(t, "i=1; a=rsa-sha256; cv=none; d="+domain+"; s=arc; b=?", signARC(t, tags, testHeader, testBody)+aar+testHeader)
	}
	seal := func(tags string) string {
		aar := "ARC-Authentication-Results: i=1; one.example; none\r\n"
		return addSeal(t, tags, signARC(t, "i=1; a=rsa-sha256; c=relaxed/relaxed; d=one.example; s=arc; h=from; bh=?; b=?", testHeader, testBody)+aar+testHeader)
	}
	long := testHeader
	for i := 1; i <= 51; i++ {
		cv := "pass"
		if i == 1 {
			cv = "none"
		}
		long = sealed(t, strconv.Itoa(i), "one.example", cv, "one.example; none", long, testBody)
	}
	fifty := long
	for _, name := range []string{"arc-seal", "arc-message-signature", "arc-authentication-results"} {
		fifty = without(fifty, name)
	}
	for name, c := range map[string]struct{ header, body, want, reason string }{
		"no chain":                       {testHeader, testBody, ResultNone, ""},
		"one set":                        {one, testBody, ResultPass, ""},
		"two sets":                       {two, testBody, ResultPass, ""},
		"fifty sets":                     {fifty, testBody, ResultPass, ""},
		"more than fifty":                {long, testBody, ResultFail, "153 ARC fields"},
		"order doesn't matter":           {replace(without(two, "received"), "ARC-Seal", "Received: y\r\nARC-Seal"), testBody, ResultPass, ""},
		"seal missing":                   {without(two, "arc-seal"), testBody, ResultFail, "5 ARC fields"},
		"results missing":                {without(one, "arc-authentication-results"), testBody, ResultFail, ""},
		"only results":                   {"ARC-Authentication-Results: i=1; x; none\r\n" + testHeader, testBody, ResultFail, ""},
		"instance twice":                 {one + one, testBody, ResultFail, "comes twice"},
		"gap":                            {sealed(t, "3", "two.example", "pass", "x", one, testBody), testBody, ResultFail, "not of the chain"},
		"instance 0":                     {sealed(t, "0", "one.example", "none", "x", testHeader, testBody), testBody, ResultFail, "not of the chain"},
		"instance not a number":          {replace(one, "i=1; one.example", "i=x; one.example"), testBody, ResultFail, "not of the chain"},
		"results without instance":       {replace(one, "i=1; one.example; spf", "one.example; spf"), testBody, ResultFail, "without i="},
		"cv of the first":                {sealed(t, "1", "one.example", "pass", "x", testHeader, testBody), testBody, ResultFail, "cv=pass"},
		"cv of the second":               {sealed(t, "2", "two.example", "none", "x", one, testBody), testBody, ResultFail, "cv=none"},
		"cv=fail":                        {sealed(t, "2", "two.example", "fail", "x", one, testBody), testBody, ResultFail, "cv=fail"},
		"body changed":                   {two, testBody + "x", ResultFail, "message signature: the body has been changed"},
		"signed field changed":           {replace(two, "Alice", "Mallory"), testBody, ResultFail, "message signature: the signature does not match"},
		"body changed before the second": {sealed(t, "2", "two.example", "pass", "x", one, "more\r\n"+testBody), "more\r\n" + testBody, ResultPass, ""},
		"older results changed":          {replace(two, "spf=pass", "spf=fail"), testBody, ResultFail, "seal 2"},
		"older seal changed":             {replace(two, "cv=none; d=one", "cv=none; x=1; d=one"), testBody, ResultFail, "seal 2"},
		"newest results changed":         {replace(two, "arc=pass", "arc=none"), testBody, ResultFail, "seal 2"},
		"blanks changed":                 {replace(two, "two.example; arc=pass", "two.example;\r\n\t arc=pass"), testBody, ResultPass, ""},
		"h= in a seal":                   {seal("i=1; a=rsa-sha256; cv=none; d=one.example; s=arc; h=from; b=?"), testBody, ResultFail, "h= in a seal"},
		"seal without cv":                {seal("i=1; a=rsa-sha256; d=one.example; s=arc; b=?"), testBody, ResultFail, "cv="},
		"seal without a domain":          {seal("i=1; a=rsa-sha256; cv=none; s=arc; b=?"), testBody, ResultFail, "not a domain name"},
		"seal without a selector":        {seal("i=1; a=rsa-sha256; cv=none; d=one.example; b=?"), testBody, ResultFail, "not a domain name"},
		"seal by sha1":                   {seal("i=1; a=rsa-sha1; cv=none; d=one.example; s=arc; b=?"), testBody, ResultFail, "unknown algorithm"},
		"seal with t=":                   {seal("i=1; a=rsa-sha256; cv=none; d=one.example; s=arc; t=1700000000; b=?"), testBody, ResultPass, ""},
		"seal with a tag twice":          {seal("i=1; a=rsa-sha256; cv=none; cv=none; d=one.example; s=arc; b=?"), testBody, ResultFail, "comes twice"},
		"seal's key missing":             {seal("i=1; a=rsa-sha256; cv=none; d=one.example; s=gone; b=?"), testBody, ResultFail, "seal 1: no key"},
		"no answer for a seal's key":     {seal("i=1; a=rsa-sha256; cv=none; d=mute.example; s=arc; b=?"), testBody, ResultTempError, "no answer"},
		"signature over seals":           {ams("i=1; a=rsa-sha256; c=relaxed/relaxed; d=one.example; s=arc; h=from:arc-seal; bh=?; b=?", "one.example"), testBody, ResultFail, "over seals"},
		"signature without From":         {ams("i=1; a=rsa-sha256; c=relaxed/relaxed; d=one.example; s=arc; h=to; bh=?; b=?", "one.example"), testBody, ResultFail, "From field"},
		"signature without h=":           {ams("i=1; a=rsa-sha256; c=relaxed/relaxed; d=one.example; s=arc; bh=?; b=?", "one.example"), testBody, ResultFail, "no h="},
		"signature in simple form":       {ams("i=1; a=rsa-sha256; c=simple/simple; d=one.example; s=arc; h=from; bh=?; b=?", "one.example"), testBody, ResultPass, ""},
		"signature of another domain":    {ams("i=1; a=rsa-sha256; c=relaxed/relaxed; d=two.example; s=arc; h=from; bh=?; b=?", "one.example"), testBody, ResultPass, ""},
		"signature's key missing":        {ams("i=1; a=rsa-sha256; c=relaxed/relaxed; d=none.example; s=arc; h=from; bh=?; b=?", "one.example"), testBody, ResultFail, "message signature: no key"},
		"signature has expired":          {ams("i=1; a=rsa-sha256; c=relaxed/relaxed; d=one.example; s=arc; x=1; h=from; bh=?; b=?", "one.example"), testBody, ResultFail, "expired"},
	} {
		v := verifyMail(t, zone, c.header, c.body)
		if v.ARC.Result != c.want || !strings.Contains(v.ARC.Reason, c.reason) {
			t.Errorf("%s: want %s %q, got %+v", name, c.want, c.reason, v.ARC)
		}
	}
	if v := verifyMail(t, zone, two, testBody); strings.Join(v.ARC.Sealers, " ") != "two.example one.example" {
		t.Errorf("%v", v.ARC.Sealers)
	}
}
