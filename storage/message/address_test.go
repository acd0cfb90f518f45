package message

import (
	"strings"
	"testing"
)

// FuzzAuthor: whom DMARC takes for the author is whom clients show as the author.
// FuzzAuthor: whom DMARC judges is whom clients show. Only an echo of the address may have other letter case.
func FuzzAuthor(f *testing.F) {
	for _, s := range []string{"a@b.c", "A <a@b.c>", `"A, B" <a@b.c>`, "(x) a@b.c (y)", `"l p"@b.c`, "a@[1.2.3.4]", "a b <c@d.e>", "g: a@b;", "a@b, c@d", "a@b.c <a@b.c>", `"\"" <a@b>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\r\n") {
			return
		}
		author, fault := Author([]byte("From: " + s + "\r\n\r\n"))
		list := ParseAddressList(s)
		if fault != "" {
			return
		}
		if len(list) != 1 || list[0].Kind != Mailbox || !strings.EqualFold(list[0].Mailbox, author.Local) {
			t.Fatalf("%q: author %+v, clients see %+v", s, author, list)
		}
		// Cases of letters beyond ASCII are ParseAddrSpec's to know: "İ" folds to two.
		if seen, err := ParseAddrSpec("x@" + strings.TrimSuffix(list[0].Host, ".")); err != nil || seen.Domain != author.Domain {
			t.Errorf("%q: author %+v, clients see %+v: %v", s, author, list, err)
		}
	})
}

// FuzzText: whatever is decoded is valid UTF-8 and does not hang.
func FuzzText(f *testing.F) {
	for _, s := range []string{"=?utf-8?q?=C3?= =?utf-8?b?pA==?=", "=?iso-2022-jp?b?GyRCJCIbKEI=?=", "=?utf-7?q?+ImI-?=", "re: [x] y (fwd)", "<a@b> \"", "Tue, 3 Feb 2026 10:00 (x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := DecodeText(s); strings.ToValidUTF8(d, "") != d {
			t.Errorf("%q: %q is not UTF-8", s, d)
		}
		base, _ := BaseSubject(s)
		if again, _ := BaseSubject(base); again != base {
			t.Errorf("%q: base subject %q has the base subject %q", s, base, again)
		}
		MessageIDs(s)
		ParseDate(s)
		Fold(s)
		DecodeParam([]Param{{"x*", s}}, "x")
		parseContentType(s)
	})
}

func TestParseDomain(t *testing.T) {
	for in, want := range map[string]string{
		"Example.ORG.": "example.org", "münchen.example": "xn--mnchen-3ya.example", "localhost": "localhost", "4.example": "4.example",
		"": "", ".": "", "..": "", "a b": "", "../x": "", "*.x": "", "[192.0.2.1]": "", "192.0.2.1": "", "2001:db8::1": "", "a@b.example": "",
	} {
		if got, err := ParseDomain(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
