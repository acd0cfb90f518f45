package mda

import (
	"strings"
	"testing"
	"time"

	"facteur/storage/message"
)

func testSRS() (srs, *time.Time) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	return srs{key: []byte("key"), now: func() time.Time { return now }}, &now
}

func address(t testing.TB, s string) message.AddrSpec {
	t.Helper()
	a, err := message.ParseAddrSpec(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return a
}

func TestSRSThereAndBack(t *testing.T) {
	s, _ := testSRS()
	for from, back := range map[string]string{
		"bob@else.test":              "bob@else.test",
		"Bob.X+y=z@ELSE.test":        "Bob.X+y=z@else.test",
		`"b ob=="@else.test`:         `"b ob=="@else.test`,
		"bob@münchen.example":        "bob@xn--mnchen-3ya.example",
		"jörg@else.test":             "jörg@else.test",
		"bob@[192.0.2.1]":            "bob@[192.0.2.1]",
		"SRS0=HH=TT=a.test=b@r.test": "SRS0=HH=TT=a.test=b@r.test",
		"srs0+HH=TT=a.test=b@r.test": "SRS0=HH=TT=a.test=b@r.test",
		// The bounce of what was rewritten twice skips the second server.
		"SRS1=XX=r.test==HH=TT=a.test=b@r2.test": "SRS0=HH=TT=a.test=b@r.test",
	} {
		path := s.rewrite(address(t, from), "example.org")
		if path.Domain != "example.org" || path.Key() == address(t, from).Key() {
			t.Errorf("%s became %s", from, path)
		}
		if got, ok := s.reverse(address(t, path.String())); !ok || got.String() != back {
			t.Errorf("%s became %s and came back as %s, %v", from, path, got, ok)
		}
		folded := message.AddrSpec{Local: strings.ToLower(path.Local), Domain: path.Domain}
		if got, ok := s.reverse(folded); !ok || !strings.EqualFold(got.String(), back) {
			t.Errorf("%s in lower case came back as %s, %v", path, got, ok)
		}
	}
}

func TestSRSRefusesForgeries(t *testing.T) {
	s, now := testSRS()
	path := s.rewrite(address(t, "bob@else.test"), "example.org")
	for _, local := range []string{
		strings.Replace(path.Local, "bob", "eve", 1),
		strings.Replace(path.Local, "else.test", "evil.test", 1),
		"SRS1" + path.Local[4:],
		"SRS0=", "SRS0==", "SRS0=x", "SRS1=a=b", "SRS0", "srs0-fan", "bob", "",
	} {
		if from, ok := s.reverse(message.AddrSpec{Local: local, Domain: "example.org"}); ok {
			t.Errorf("%q was taken for %s", local, from)
		}
	}
	other := srs{key: []byte("other"), now: s.now}
	if _, ok := other.reverse(path); ok {
		t.Error("another key took it")
	}
	for days, want := range map[int]bool{0: true, srsValid: true, srsValid + 1: false, 500: false, -1: false} {
		*now = time.Date(2026, 5, 1+days, 0, 0, 0, 0, time.UTC)
		if _, ok := s.reverse(path); ok != want {
			t.Errorf("after %d days: %v", days, ok)
		}
	}
	for day := range srsDays { // every stamp is read as it was written
		*now = time.Unix(int64(day)*24*60*60, 0)
		if !s.fresh(s.stamp()) {
			t.Fatalf("day %d: %s is not fresh", day, s.stamp())
		}
	}
}

func FuzzSRS(f *testing.F) {
	s, _ := testSRS()
	f.Add("bob", "else.test")
	f.Add("SRS0=HH=TT=a.test=b", "r.test")
	f.Add("SRS1=HH=r.test==HH=TT=a.test=b", "r2.test")
	f.Fuzz(func(t *testing.T, local, domain string) {
		from := message.AddrSpec{Local: local, Domain: domain}
		if _, ok := s.reverse(from); ok {
			t.Fatalf("%q is a forgery", local)
		}
		a, err := message.ParseAddrSpec(from.String())
		if err != nil {
			return
		}
		if _, _, tagged := cutTag(a.Local); tagged {
			s.rewrite(a, "example.org")
			return
		}
		back, ok := s.reverse(s.rewrite(a, "example.org"))
		if !ok || back.Key() != a.Key() {
			t.Fatalf("%s came back as %s, %v", a, back, ok)
		}
	})
}
