package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"facteur/mta"
	"facteur/mta/dns"
	"facteur/test/loopback"
)

func TestSTSPolicyFiles(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"version: STSv1\r\nmode: enforce\r\nmx: mx1.x.test\r\nmx: *.x.test\r\nmax_age: 604800\r\n", "enforce [mx1.x.test *.x.test] 168h0m0s"},
		{"version: STSv1\nmode: testing\nmode: enforce\nmx: A.x.test.\nmax_age: 99999999999\nunknown: x", ""},
		{"version: STSv1\nmode: testing\nmode: enforce\nmx: A.x.test.\nmax_age: 99999999\nunknown: x", "testing [a.x.test] 8766h0m0s"},
		{"version: STSv1\nmode: testing\nmx: a.x.test\nmax_age: 9999999999", "testing [a.x.test] 8766h0m0s"}, // ten digits are allowed
		{"version: STSv1\nmode: none\nmax_age: 0", "none [] 0s"},
		{"version: STSv2\nmode: none\nmax_age: 0", ""},
		{"version: STSv1\nmode: enforce\nmax_age: 0", ""},
		{"mode: enforce\nmx: a\nmax_age: 1", ""},
		{"<html>", ""},
		{"", ""},
	} {
		p, err := parseSTSPolicy(tt.in)
		got := fmt.Sprint(p.Mode, " ", p.MX, " ", p.MaxAge)
		if err != nil {
			got = ""
			if !errors.Is(err, errSTS) {
				t.Errorf("%q: %v", tt.in, err)
			}
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSTSMatches(t *testing.T) {
	p := STSPolicy{MX: []string{"mx.x.test", "*.mail.test"}}
	for host, want := range map[string]bool{
		"mx.x.test": true, "MX.x.test.": true, "a.mail.test": true, "mail.test": false, "a.b.mail.test": false, ".mail.test": false, "y.test": false,
	} {
		if got := p.Matches(host); got != want {
			t.Errorf("%s: %t", host, got)
		}
	}
}

func TestSTSRecords(t *testing.T) {
	for _, tt := range []struct {
		records []string
		id      string
	}{
		{[]string{"v=STSv1; id=20260101;"}, "20260101"},
		{[]string{"other", "v=STSv1;id=a1"}, "a1"},
		{[]string{"v=STSv1; id=1", "v=STSv1; id=1"}, ""},
		{[]string{"v=STSv1"}, ""},
		{[]string{"v=STSv1; id=a-b"}, ""},
		{[]string{"v=STSv12; id=1"}, ""},
		{nil, ""},
	} {
		if id, ok := parseSTSRecords(tt.records); id != tt.id || ok != (tt.id != "") {
			t.Errorf("%q: %q, %t", tt.records, id, ok)
		}
	}
}

func FuzzSTS(f *testing.F) {
	f.Add("version: STSv1\nmode: enforce\nmx: *.x.test\nmax_age: 1\n", "v=STSv1; id=1", "a.x.test")
	f.Fuzz(func(t *testing.T, policy, record, host string) {
		parseSTSRecords([]string{record})
		p, err := parseSTSPolicy(policy)
		if err == nil && p.Mode != STSNone && len(p.MX) == 0 {
			t.Errorf("%q: a policy without servers", policy)
		}
		for _, pattern := range p.MX {
			if p.Matches("a.b."+pattern) && !strings.HasPrefix(pattern, "a.b.") {
				t.Errorf("%q matches two labels more", pattern)
			}
		}
		p.Matches(host)
	})
}

// stsCase is an STS over a clock, a zone and a policy server that the test moves.
type stsCase struct {
	now     time.Time
	zone    *zone
	file    string
	err     error
	fetches int
}

func newSTSCase(t *testing.T, dir string) (*stsCase, *STS) {
	c := &stsCase{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), zone: &zone{txt: map[string][]string{"_mta-sts.x.test": {"v=STSv1; id=1"}}, broken: map[string]bool{}}}
	c.file = "version: STSv1\nmode: enforce\nmx: mx.x.test\nmax_age: 604800\n"
	return c, c.open(t, dir)
}

func (c *stsCase) open(t *testing.T, dir string) *STS {
	t.Helper()
	s, err := NewSTS(STSConfig{Resolver: c.zone, Now: func() time.Time { return c.now }, Dir: dir, Fetch: func(context.Context, string) (string, error) {
		c.fetches++
		return c.file, c.err
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *stsCase) want(t *testing.T, s *STS, mode STSMode, fetches int) {
	t.Helper()
	p, ok := s.Policy(context.Background(), "x.test")
	if ok != (mode != "") || ok && p.Mode != mode || c.fetches != fetches {
		t.Errorf("policy %+v, %t after %d fetches; want %q after %d", p, ok, c.fetches, mode, fetches)
	}
}

func TestSTSIsFetchedOnceAndWhenTheIDChanges(t *testing.T) {
	c, s := newSTSCase(t, "")
	c.want(t, s, STSEnforce, 1)
	c.want(t, s, STSEnforce, 1)
	c.zone.txt["_mta-sts.x.test"] = []string{"v=STSv1; id=2"}
	c.file = strings.Replace(c.file, "enforce", "testing", 1)
	c.want(t, s, STSTesting, 2)
	c.now = c.now.Add(25 * time.Hour)
	c.want(t, s, STSTesting, 3)
}

func TestSTSCannotBeRemovedByAttack(t *testing.T) {
	c, s := newSTSCase(t, "")
	c.want(t, s, STSEnforce, 1)
	delete(c.zone.txt, "_mta-sts.x.test")
	c.want(t, s, STSEnforce, 1)
	c.zone.broken["_mta-sts.x.test"] = true
	c.want(t, s, STSEnforce, 1)
	c.zone.broken = nil
	c.zone.txt["_mta-sts.x.test"] = []string{"v=STSv1; id=2"}
	c.err = errors.New("certificate is wrong")
	c.want(t, s, STSEnforce, 2)
	c.want(t, s, STSEnforce, 2) // not asked again at once
	c.now = c.now.Add(8 * 24 * time.Hour)
	c.want(t, s, "", 3)
}

func TestSTSIsKeptOverARestart(t *testing.T) {
	dir := t.TempDir()
	c, s := newSTSCase(t, dir)
	c.want(t, s, STSEnforce, 1)
	c.zone.broken["_mta-sts.x.test"] = true
	c.want(t, c.open(t, dir), STSEnforce, 1)
}

// TestSTSUnderAClockThatWasAhead: a policy that was fetched while the clock was a year ahead is fetched anew when it is put
// right, and doesn't hold for a year.
func TestSTSUnderAClockThatWasAhead(t *testing.T) {
	for _, announced := range []bool{true, false} {
		dir := t.TempDir()
		c, s := newSTSCase(t, dir)
		c.now = c.now.Add(365 * 24 * time.Hour)
		c.want(t, s, STSEnforce, 1)
		c.now = c.now.Add(-365 * 24 * time.Hour)
		s = c.open(t, dir)
		if announced {
			c.want(t, s, STSEnforce, 2)
			continue
		}
		delete(c.zone.txt, "_mta-sts.x.test")
		c.want(t, s, STSEnforce, 1)
		c.now = c.now.Add(8 * 24 * time.Hour)
		c.want(t, s, "", 1)
	}
}

// TestSTSForgetsNoPolicyThatHasJustCome: Run finds none for a domain and forgets it, while a delivery fetches one.
func TestSTSForgetsNoPolicyThatHasJustCome(t *testing.T) {
	dir := t.TempDir()
	c, s := newSTSCase(t, dir)
	fetch := s.cfg.Fetch
	begun, goOn := make(chan bool), make(chan bool)
	s.cfg.Fetch = func(ctx context.Context, domain string) (string, error) {
		begun <- true
		<-goOn
		return fetch(ctx, domain)
	}
	delivered, forgotten := make(chan bool), make(chan bool)
	go func() { c.want(t, s, STSEnforce, 1); delivered <- true }()
	<-begun
	go func() { s.forget("x.test"); forgotten <- true }()
	select {
	case <-forgotten:
		t.Error("forgotten during the fetch")
		forgotten = nil
	case <-time.After(50 * time.Millisecond):
	}
	goOn <- true
	<-delivered
	if forgotten != nil {
		<-forgotten
	}
	c.zone.broken["_mta-sts.x.test"] = true
	s.cfg.Fetch = fetch
	c.want(t, s, STSEnforce, 1)
	c.want(t, c.open(t, dir), STSEnforce, 1)
}

// TestSTSForgetsWhatHasEnded, in memory and on disk, and takes a new one.
func TestSTSForgetsWhatHasEnded(t *testing.T) {
	dir := t.TempDir()
	c, s := newSTSCase(t, dir)
	c.want(t, s, STSEnforce, 1)
	delete(c.zone.txt, "_mta-sts.x.test")
	c.now = c.now.Add(8 * 24 * time.Hour)
	s.refresh(t.Context())
	if files, err := os.ReadDir(dir); len(files) != 0 || err != nil || len(s.domains) != 0 {
		t.Errorf("left: %v, %v, %v", files, s.domains, err)
	}
	c.zone.txt["_mta-sts.x.test"] = []string{"v=STSv1; id=2"}
	c.want(t, s, STSEnforce, 2)
}

func TestSTSFetch(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host[:strings.Index(r.Host, ":")] == "mta-sts.moved.test":
			http.Redirect(w, r, "https://elsewhere.test/", http.StatusFound)
		case strings.HasPrefix(r.Host, "mta-sts.html.test"):
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "version: STSv1")
		case strings.HasPrefix(r.Host, "mta-sts.huge.test"):
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, strings.Repeat("x", stsFetchSize+1))
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprint(w, r.URL.Path)
		}
	}))
	cfg, pool := loopback.Certificate(t, "mta-sts.x.test", "mta-sts.moved.test", "mta-sts.html.test", "mta-sts.huge.test", "mta-sts.wide.test")
	server.TLS = cfg
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(u.Port())
	z := &zone{four: map[string][]string{}}
	for _, d := range []string{"x", "moved", "html", "huge", "stranger"} {
		z.four["mta-sts."+d+".test"] = []string{"127.0.0.1"}
	}
	fetch := HTTPSFetch(FetchConfig{Resolver: z, Roots: pool, Port: port, AllowPrivate: true})
	if text, err := fetch(context.Background(), "x.test"); err != nil || text != "/.well-known/mta-sts.txt" {
		t.Errorf("%q, %v", text, err)
	}
	for _, domain := range []string{"moved.test", "html.test", "huge.test", "stranger.test", "nowhere.test"} {
		if text, err := fetch(context.Background(), domain); err == nil {
			t.Errorf("%s: got %.40q, want an error", domain, text)
		}
	}
	if _, err := HTTPSFetch(FetchConfig{Resolver: z, Roots: pool, Port: port})(context.Background(), "x.test"); !errors.Is(err, errPrivate) {
		t.Errorf("a private address: %v", err)
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "127.0.0.1": false, "::1": false, "10.1.2.3": false, "192.168.1.1": false, "100.64.1.1": false,
		"169.254.169.254": false, "fe80::1": false, "fd00::1": false, "::ffff:10.0.0.1": false, "0.0.0.0": false, "224.0.0.1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// TestTLSPolicies: who decides what an MX must show.
func TestTLSPolicies(t *testing.T) {
	c, sts := newSTSCase(t, "")
	s := New(Config{Resolver: c.zone, STS: sts})
	for _, tt := range []struct {
		name      string
		mode      string
		host      string
		authentic bool
		ask       demands
		want      tlsLevel
		refused   bool
	}{
		{"enforce", "enforce", "mx.x.test", false, demands{}, tlsVerify, false},
		{"enforce, another host", "enforce", "evil.test", false, demands{}, tlsVerify, true},
		{"enforce, TLS-Required: No", "enforce", "evil.test", false, demands{optional: true}, tlsMay, false},
		{"testing", "testing", "mx.x.test", false, demands{}, tlsMay, false},
		{"testing, another host", "testing", "evil.test", false, demands{}, tlsMay, true},
		{"none", "none", "mx.x.test", false, demands{}, tlsMay, false},
		{"REQUIRETLS by MTA-STS", "enforce", "mx.x.test", false, demands{require: true}, tlsVerify, false},
		{"REQUIRETLS by DNSSEC", "none", "mx.x.test", true, demands{require: true}, tlsVerify, false},
		{"REQUIRETLS by nobody", "none", "mx.x.test", false, demands{require: true}, tlsVerify, true},
	} {
		c.file = "version: STSv1\nmode: " + tt.mode + "\nmx: mx.x.test\nmax_age: 604800\n"
		c.now = c.now.Add(25 * time.Hour)
		p := s.tlsPolicyFor(context.Background(), "x.test", host{name: tt.host}, tt.authentic, tt.ask)
		if p.level != tt.want || (p.err != nil) != tt.refused {
			t.Errorf("%s: %+v", tt.name, p)
		}
	}
}

// TestPolicyHoldsBackItsOwnMailOnly: that a policy keeps a message from the domain's servers does not make them unreachable
// for the next, which may say TLS-Required: No.
func TestPolicyHoldsBackItsOwnMailOnly(t *testing.T) {
	c, sts := newSTSCase(t, "")
	c.zone.mx = map[string][]dns.MX{"x.test": {{Preference: 10, Host: "mx.other.test"}}}
	s := New(Config{Resolver: c.zone, STS: sts, Now: func() time.Time { return c.now }})
	defer s.Close()
	m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("\r\n"))}
	r := s.Deliver(t.Context(), m, []mta.Recipient{{Address: parse(t, "b@x.test")}})[0]
	if got := resultText(r); !strings.HasPrefix(got, "451 4.7.5 No server") {
		t.Errorf("got %q", got)
	}
}
