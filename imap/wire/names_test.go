package wire

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUTF7(t *testing.T) {
	tests := []struct{ name, encoded string }{
		{"INBOX", "INBOX"},
		{"Entw\u00fcrfe", "Entw&APw-rfe"},
		{"R&D", "R&-D"},
		{"\u53f0\u5317", "&U,BTFw-"},
		{"a/\U0001f4ec!", "a/&2D3c7A-!"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := string(AppendUTF7(nil, tt.name)); got != tt.encoded {
			t.Errorf("encode %q: %q, want %q", tt.name, got, tt.encoded)
		}
		if got := DecodeUTF7(tt.encoded); got != tt.name {
			t.Errorf("decode %q: %q, want %q", tt.encoded, got, tt.name)
		}
	}
}

// Thunderbird writes a bare "&" once UTF8=ACCEPT is enabled, and names in UTF-8 too.
func TestUTF7Tolerant(t *testing.T) {
	for _, s := range []string{"R&D", "R & D-x", "&", "a&b-", "caf\u00e9 & co", "&A-", "&2D0-"} {
		if got := DecodeUTF7(s); got != s {
			t.Errorf("decode %q: %q, want it unchanged", s, got)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "&AOk-", "&-&-", "\u53f0\u5317", "&U,BTFw-&", "a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		DecodeUTF7(s)
		if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
			return
		}
		enc := string(AppendUTF7(nil, s))
		if back := DecodeUTF7(enc); back != s {
			t.Fatalf("%q became %q and then %q", s, enc, back)
		}
	})
}

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true},
		{"%", "a/b", false},
		{"%", "a", true},
		{"%/%", "a/b", true},
		{"a*", "a", true},
		{"a%", "a", true},
		{"a/%", "a", false},
		{"*b", "a/b", true},
		{"%b", "a/b", false},
		{"", "", true},
		{"", "a", false},
		{"*%", "a/b/c", true},
		{"%*", "a/b/c", true},
		{"a*/c", "a/b/c", true},
		{"INBOX", "INBOX", true},
		{"*a*a*a*a*a*b", strings.Repeat("a", 200), false},
	}
	for _, tt := range tests {
		if got := Match(tt.pattern, tt.name, '/'); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}

// Followed one place after the other, these patterns would take longer than the universe lasts.
func TestMatchIsNotExponential(t *testing.T) {
	name := strings.Repeat("a/", 120)
	for _, part := range []string{"%*", "*%", "*a", "%a*", "*/%"} {
		if Match(strings.Repeat(part, 100)+"b", name, '/') {
			t.Errorf("%q... matches", part)
		}
	}
}

// FuzzMatch compares with the plain recursive meaning of a pattern.
func FuzzMatch(f *testing.F) {
	f.Add("a*%b", "axx/b")
	f.Add("%/*", "a/b")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 8 || len(name) > 12 {
			return
		}
		if got, want := Match(pattern, name, '/'), slowMatch(pattern, name); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	})
}

func slowMatch(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*' || pattern[0] == '%':
		if slowMatch(pattern[1:], name) {
			return true
		}
		return name != "" && (pattern[0] == '*' || name[0] != '/') && slowMatch(pattern, name[1:])
	}
	return name != "" && pattern[0] == name[0] && slowMatch(pattern[1:], name[1:])
}
