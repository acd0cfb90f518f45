package smtpd

import (
	"strings"
	"testing"

	"facteur/mta"
)

func TestCutPath(t *testing.T) {
	for _, c := range []struct {
		arg, path, params string
		ok                bool
	}{
		{"FROM:<a@b>", "a@b", "", true},
		{"from: <a@b> SIZE=1", "a@b", " SIZE=1", true},
		{"FROM:<>", "", "", true},
		{`FROM:<"a>b\"> "@c> X`, `"a>b\"> "@c`, " X", true},
		{`FROM:<"a>@c>`, "", "", false},
		{"FROM:<a@b", "", "", false},
		{"FROM:a@b", "", "", false},
		{"FROM<a@b>", "", "", false},
		{"FROM:<a@b>x", "", "", false},
		{"", "", "", false},
	} {
		path, params, ok := cutPath(c.arg, "FROM:")
		if path != c.path || params != c.params || ok != c.ok {
			t.Errorf("%q: %q %q %v", c.arg, path, params, ok)
		}
	}
}

// TestSourceRoute: a route is recognised, and not followed (RFC 5321 4.1.1.3).
func TestSourceRoute(t *testing.T) {
	for path, want := range map[string]string{
		"@a.test:joe@c.test":          "joe@c.test",
		"@a.test,@b.test:joe@c.test":  "joe@c.test",
		`@a.test:"@x:joe"@c.test`:     `"@x:joe"@c.test`,
		"joe@c.test":                  "joe@c.test",
		`"@a.test:joe"@c.test`:        `"@a.test:joe"@c.test`,
		"@a.test:":                    "",
		"@a.test":                     "",
		"@:joe@c.test":                "",
		"@a.test,b.test:joe@c.test":   "",
		"@a.test,:joe@c.test":         "",
		"@a.test:@b.test:joe@c.test":  "",
		"@a.test:joe@[IPv6:2001::1]":  "joe@[IPv6:2001::1]",
		"joe@[IPv6:2001::1]":          "joe@[IPv6:2001::1]",
		"@a.test:postmaster":          "",
		"@a.test, @b.test:joe@c.test": "",
	} {
		got, r := parsePath(path, false, [3]int{5, 1, 3})
		if got.String() != want || (r == nil) != (want != "") {
			t.Errorf("%s: %q, %v", path, got, r)
		}
	}
}

func TestXtext(t *testing.T) {
	for _, c := range []struct {
		in, want string
		ok       bool
	}{
		{"abc", "abc", true}, {"a+2Bb+3Dc", "a+b=c", true}, {"+20x", " x", true},
		{"a=b", "", false}, {"+2b", "", false}, {"+2", "", false}, {"+0A", "", false}, {"é", "", false}, {"+E9", "", false}, {"a b", "", false},
	} {
		got, ok := decodeXtext(c.in)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %q %v", c.in, got, ok)
		}
	}
}

func TestORCPT(t *testing.T) {
	for _, c := range []struct {
		in, want string
		utf8     bool
	}{
		{"rfc822;a+2Bb@c", "rfc822;a+b@c", false},
		{"RFC822;a@c", "RFC822;a@c", false}, // RFC 3461 5.2.1 (d): no letter's case is changed
		{`UTF-8;\x{E9}@c`, "UTF-8;é@c", false},
		{`utf-8;\x{E9}@c`, "utf-8;é@c", false},
		{`utf-8;\x{1F600}@c`, "utf-8;😀@c", false},
		{"utf-8;é@c", "utf-8;é@c", true},
		{"utf-8;é@c", "", false},
		{`utf-8;\x{0A}@c`, "", false}, {`utf-8;\x{D800}@c`, "", false}, {`utf-8;\x{E9`, "", false}, {"utf-8;a=b", "", false},
		{"rfc822;", "", false}, {"rfc822", "", false}, {";a@c", "", false}, {"r f;a", "", false},
		{"rfc822;" + strings.Repeat("a", 500), "", false},
	} {
		got, ok := parseORCPT(c.in, c.utf8)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%.40q: %q %v", c.in, got, ok)
		}
	}
}

func TestAppendReply(t *testing.T) {
	r := mta.NewReply(550, [3]int{5, 7, 1}, "no\nné\r\n250 ok\x00")
	want := "550-5.7.1 no\r\n550-5.7.1 n???\r\n550 5.7.1 250 ok?\r\n"
	if got := string(appendReply(nil, r)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestChunkSize(t *testing.T) {
	for _, c := range []struct {
		in   string
		size int64
		last bool
		ok   bool
	}{
		{"0 LAST", 0, true, true}, {"10", 10, false, true}, {"10 last", 10, true, true},
		{"", 0, false, false}, {"+1", 0, false, false}, {"-1", 0, false, false}, {"0x10", 0, false, false}, {"1_0", 0, false, false},
		{"10  LAST", 0, false, false}, {"10 LAST LAST", 0, false, false}, {"10 FIRST", 0, false, false},
		{"99999999999999999999", 0, false, false}, {"9223372036854775808", 0, false, false},
	} {
		size, last, ok := parseChunk(c.in)
		if ok != c.ok || ok && (size != c.size || last != c.last) {
			t.Errorf("%q: %d %v %v", c.in, size, last, ok)
		}
	}
}

// FuzzCommand: no line makes the engine fail, and whatever is taken is printable.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{"EHLO x", "MAIL FROM:<a@b> SIZE=1 ENVID=x", "RCPT TO:<b@example.test> ORCPT=rfc822;x NOTIFY=NEVER", "RSET", "VRFY x", "HELO [IPv6:::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		b := &backend{}
		cfg := testConfig(t, MX, b)
		cfg.TLS = nil
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range []state{stateNew, stateHello, stateMail} {
			c := &conn{s: s, state: st}
			verb, _, _ := strings.Cut(line, " ")
			if cmd := find(verb); cmd != nil && (cmd.verb == "DATA" || cmd.verb == "BDAT") {
				continue // they read on
			}
			r := c.dispatch(t.Context(), []byte(line))
			if r != nil && (r.Code < 200 || r.Code > 599) {
				t.Fatalf("%q: %v", line, r)
			}
			for _, x := range []string{c.peer.Hello, c.env.ENVID} {
				for i := 0; i < len(x); i++ {
					if x[i] < ' ' || x[i] > '~' {
						t.Fatalf("%q let %q through", line, x)
					}
				}
			}
			for _, to := range c.env.To {
				if strings.ContainsAny(to.ORCPT+to.Address.String(), "\r\n\x00") {
					t.Fatalf("%q let %q through", line, to)
				}
			}
		}
	})
}
