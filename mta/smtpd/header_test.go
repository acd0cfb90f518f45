package smtpd

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzFields: all fields together are the header, and dropping takes out what it names and
// nothing else.
func FuzzFields(f *testing.F) {
	for _, s := range []string{"", "\r\n", "A: b\r\nBcc: c\r\n d\r\n\r\n", "bcc :x\r\n", " x: y\r\nBcc\r\n : x\r\n", ":\r\n", "Bcc:"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		var all []byte
		for x := range fields(header) {
			if len(x.raw) == 0 {
				t.Fatal("empty field")
			}
			all = append(all, x.raw...)
		}
		if !bytes.HasPrefix(header, all) || len(all) < len(header) && !bytes.HasPrefix(header[len(all):], []byte("\r\n")) {
			t.Fatalf("%q of %q", all, header)
		}
		isBcc := func(x field) bool { return x.is("bcc") }
		clean := without(header, isBcc)
		for x := range fields(clean) {
			if isBcc(x) && !bytes.HasPrefix(x.raw, []byte(" ")) && !bytes.HasPrefix(x.raw, []byte("\t")) {
				t.Fatalf("%q left in %q", x.raw, clean)
			}
		}
		if !bytes.Equal(without(header, func(field) bool { return false }), header) {
			t.Fatal("changed without a reason")
		}
	})
}

func TestAuthorsOf(t *testing.T) {
	for _, c := range []struct{ header, want, fault string }{
		{"From: a@example.org\r\n", "a@example.org", ""},
		{"From: \"A, B\" <a@Example.ORG>,\r\n c@example.org (C)\r\n", "a@example.org c@example.org", ""},
		{"from : =?x-unknown?q?a=40b?= <a@example.org>\r\n", "a@example.org", ""},
		{"From: =?utf-8?q?boss=40bank.test?= <a@example.org>\r\n", "a@example.org", ""},
		{"From: jörg@exämple.org\r\n", "jörg@exämple.org", ""},
		{"From: \"a b\"@example.org\r\n", `"a b"@example.org`, ""},
		{"To: a@example.org\r\n", "", "no From"},
		{"From: a@example.org\r\nFROM: b@example.org\r\n", "", "more than one"},
		{"From:\r\n", "", "malformed"},
		{"From: a@example.org b@example.org\r\n", "", "malformed"},
		{"From: nobody:;\r\n", "", "malformed"},
		{"From: <@relay:a@example.org>\r\n", "", "malformed"},
		{"From\r\n : a@example.org\r\n", "a@example.org", ""},
	} {
		got, fault := authorsOf([]byte(c.header + "\r\n"))
		var s []string
		for _, a := range got {
			s = append(s, a.String())
		}
		if strings.Join(s, " ") != c.want || !strings.Contains(fault, c.fault) || (fault == "") != (c.fault == "") {
			t.Errorf("%q: %q, %q", c.header, s, fault)
		}
	}
}
