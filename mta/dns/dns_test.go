package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

const testZone = `
example.org.            IN SOA  ns. hostmaster. 1 2 3 4 60
example.org.            IN MX   20 MX2.Example.org.
example.org.            IN MX   10 mx1.example.org.
example.org.            IN TXT  "v=spf1 " "-all"
example.org.            IN TXT  "a \"quoted\" \\ \255 text"
null.example.org.       IN MX   0 .
mx1.example.org.   120  IN A    192.0.2.1
mx1.example.org.        IN AAAA 2001:db8::1
www.example.org.    60  IN CNAME mx1.example.org.
far.example.org.        IN CNAME www.example.org.
;! nochase far.example.org
;! nochase www.example.org
dangling.example.org.   IN CNAME gone.example.org.
loop1.example.org.      IN CNAME loop2.example.org.
loop2.example.org.      IN CNAME loop1.example.org.
_dmarc.example.org.     IN TXT  "v=DMARC1"
a.b.c.example.org.      IN A    192.0.2.9
*.wild.example.org.     IN A    192.0.2.7
xn--caf-dma.example.org. IN A   192.0.2.8
1.2.0.192.in-addr.arpa. IN PTR  MX1.example.org.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. IN PTR six.example.org.
cut.example.org.        IN TXT  "whole"
broken.example.org.     IN TXT  "never seen"
silent.example.org.     IN TXT  "never seen"
half.example.org.       IN A    192.0.2.3
half.example.org.       IN TXT  "fine"
safe.example.org.       IN A    192.0.2.4
;! truncate cut.example.org
;! servfail broken.example.org
;! refused half.example.org A
;! timeout silent.example.org
;! secure safe.example.org
`

func testResolver(t testing.TB, cfg Config) *Resolver {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLookups(t *testing.T) {
	zone, err := NewZone(testZone)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"over the network": {Servers: []netip.AddrPort{TestZone(t, zone)}, Trust: true},
		"from memory":      {Zone: zone, Trust: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := testResolver(t, cfg)
			for range 2 { // the second time from the cache
				checkLookups(t, r)
			}
		})
	}
}

func checkLookups(t *testing.T, r *Resolver) {
	ctx := t.Context()
	mx, err := r.MX(ctx, "EXAMPLE.org.")
	want := []MX{{20, "mx2.example.org"}, {10, "mx1.example.org"}}
	if err != nil || !slices.Equal(mx.Records, want) {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if mx, err := r.MX(ctx, "null.example.org"); err != nil || !slices.Equal(mx.Records, []MX{{0, ""}}) {
		t.Errorf("null MX: %v, %v", mx, err)
	}
	txt, err := r.TXT(ctx, "example.org")
	if err != nil || !slices.Equal(txt.Records, []string{"v=spf1 -all", "a \"quoted\" \\ \xff text"}) {
		t.Errorf("TXT: %q, %v", txt.Records, err)
	}
	if txt, err := r.TXT(ctx, "cut.example.org"); err != nil || !slices.Equal(txt.Records, []string{"whole"}) {
		t.Errorf("TXT over TCP: %q, %v", txt.Records, err)
	}
	for name, want := range map[string]string{
		"mx1.example.org":      "192.0.2.1",
		"far.example.org":      "192.0.2.1", // through two CNAMEs that the server doesn't follow
		"any.wild.example.org": "192.0.2.7",
		"café.example.org":     "192.0.2.8",
	} {
		a, err := r.IPv4(ctx, name)
		if err != nil || !slices.Equal(a.Records, []netip.Addr{netip.MustParseAddr(want)}) {
			t.Errorf("A of %s: %v, %v", name, a, err)
		}
		if a.Authentic {
			t.Errorf("A of %s: authentic", name)
		}
	}
	if a, _ := r.IPv4(ctx, "far.example.org"); a.Name != "mx1.example.org" || a.TTL > 60*time.Second {
		t.Errorf("end of the chain: %v", a)
	}
	if a, err := r.IPv4(ctx, "safe.example.org"); err != nil || !a.Authentic {
		t.Errorf("a secure answer: %v, %v", a, err)
	}
	if a, err := r.IPv6(ctx, "mx1.example.org"); err != nil || a.Records[0] != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("AAAA: %v, %v", a, err)
	}
	for addr, want := range map[string]string{"192.0.2.1": "mx1.example.org", "::ffff:192.0.2.1": "mx1.example.org", "2001:db8::1": "six.example.org"} {
		if p, err := r.PTR(ctx, netip.MustParseAddr(addr)); err != nil || !slices.Equal(p.Records, []string{want}) {
			t.Errorf("PTR of %s: %v, %v", addr, p, err)
		}
	}
}

func TestKinds(t *testing.T) {
	r := testResolver(t, Config{Servers: []netip.AddrPort{TestServer(t, testZone)}, Timeout: 100 * time.Millisecond})
	for _, c := range []struct {
		name string
		want Kind
	}{
		{"nowhere.example.org", NXDomain},
		{"dangling.example.org", NXDomain},
		{"example.org", NoData},
		{"b.c.example.org", NoData}, // exists, since a name below does
		{"loop1.example.org", Temporary},
		{"broken.example.org", Temporary},
		{"half.example.org", Temporary},
		{"silent.example.org", Temporary},
		{"", Invalid},
		{"two..dots", Invalid},
		{strings.Repeat("x", 64) + ".example.org", Invalid},
		{strings.Repeat("x.", 127) + "example.org", Invalid},
		{"\x00\\ \"@;().example.org", NXDomain},
	} {
		_, err := r.IPv4(t.Context(), c.name)
		var e *Error
		if !errors.As(err, &e) || e.Kind != c.want {
			t.Errorf("%q: %v", c.name, err)
		}
	}
	if txt, err := r.TXT(t.Context(), "half.example.org"); err != nil || txt.Records[0] != "fine" {
		t.Errorf("a fault of one type: %v, %v", txt, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.IPv4(cancelled, "mx1.example.org"); !IsTemporary(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}

// handle serves h over UDP on loopback.
func handle(t *testing.T, h func(w mdns.ResponseWriter, req *mdns.Msg)) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := &mdns.Server{PacketConn: pc, Handler: mdns.HandlerFunc(h), NotifyStartedFunc: func() { close(started) }}
	go srv.ActivateAndServe()
	<-started
	t.Cleanup(func() { srv.Shutdown() })
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func reply(t testing.TB, req *mdns.Msg, records ...string) *mdns.Msg {
	msg := new(mdns.Msg).SetReply(req)
	for _, s := range records {
		rr, err := mdns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		if rr.Header().Rrtype == mdns.TypeSOA {
			msg.Ns = append(msg.Ns, rr)
		} else {
			msg.Answer = append(msg.Answer, rr)
		}
	}
	return msg
}

func TestCacheKeepsTheRecordsTime(t *testing.T) {
	var asked atomic.Int32
	server := handle(t, func(w mdns.ResponseWriter, req *mdns.Msg) {
		asked.Add(1)
		switch req.Question[0].Name {
		case "there.example.":
			w.WriteMsg(reply(t, req, "there.example. 60 IN A 192.0.2.1"))
		case "none.example.":
			msg := reply(t, req, "example. 90 IN SOA ns. root. 1 2 3 4 30")
			msg.Rcode = mdns.RcodeNameError
			w.WriteMsg(msg)
		default: // no SOA: not to be remembered (RFC 2308 5)
			w.WriteMsg(reply(t, req))
		}
	})
	now := time.Unix(1000, 0)
	r := testResolver(t, Config{Servers: []netip.AddrPort{server}, Now: func() time.Time { return now }})
	for _, c := range []struct {
		name  string
		after time.Duration
		asks  int32
		ttl   time.Duration
	}{
		{"there.example", 0, 1, 60 * time.Second},
		{"there.example", 40 * time.Second, 0, 20 * time.Second},
		{"there.example", 20 * time.Second, 1, 60 * time.Second},
		{"none.example", 0, 1, 0},
		{"none.example", 29 * time.Second, 0, 0},
		{"none.example", 1 * time.Second, 1, 0},
		{"nosoa.example", 0, 1, 0},
		{"nosoa.example", 0, 1, 0},
	} {
		now = now.Add(c.after)
		before := asked.Load()
		var cached bool
		ctx := WithTrace(t.Context(), func(l Lookup) { cached = l.Cached })
		a, err := r.IPv4(ctx, c.name)
		if got := asked.Load() - before; got != c.asks || cached != (c.asks == 0) || a.TTL != c.ttl {
			t.Errorf("%s after %v: %d questions, cached %v, %v, %v", c.name, c.after, got, cached, a, err)
		}
	}
}

// TestFailuresAreRemembered for a moment, a longer one each time; an answer ends that.
func TestFailuresAreRemembered(t *testing.T) {
	var asked atomic.Int32
	var well atomic.Bool
	server := handle(t, func(w mdns.ResponseWriter, req *mdns.Msg) {
		asked.Add(1)
		msg := reply(t, req, "x.example. 1 IN A 192.0.2.1")
		if !well.Load() {
			msg = reply(t, req)
			msg.Rcode = mdns.RcodeServerFailure
		}
		w.WriteMsg(msg)
	})
	now := time.Unix(1000, 0)
	r := testResolver(t, Config{Servers: []netip.AddrPort{server}, Now: func() time.Time { return now }})
	for i, c := range []struct {
		after time.Duration
		well  bool
		asked bool // anew
		fails bool
	}{
		{0, false, true, true},
		{4 * time.Second, true, false, true}, // a failure of 5 s ago
		{1 * time.Second, false, true, true},
		{9 * time.Second, true, false, true}, // 10 s
		{1 * time.Second, false, true, true},
		{20 * time.Second, false, true, true},
		{40 * time.Second, false, true, true},
		{59 * time.Second, true, false, true}, // a minute at most
		{1 * time.Second, true, true, false},
		{2 * time.Second, false, true, true},
		{5 * time.Second, false, true, true}, // 5 s again
		{time.Hour, false, true, true},
		{5 * time.Second, true, true, false}, // long ago is forgotten
	} {
		now = now.Add(c.after)
		well.Store(c.well)
		before := asked.Load()
		_, err := r.IPv4(t.Context(), "x.example")
		if (asked.Load() > before) != c.asked || IsTemporary(err) != c.fails {
			t.Errorf("step %d: asked %v times, %v", i, asked.Load()-before, err)
		}
	}
}

// TestGivingUpIsNoFailure: who leaves before the answer has learnt nothing about the servers.
func TestGivingUpIsNoFailure(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{}, 10)
	server := handle(t, func(w mdns.ResponseWriter, req *mdns.Msg) {
		asked <- struct{}{}
		<-release
		w.WriteMsg(reply(t, req, "x.example. 60 IN A 192.0.2.1"))
	})
	r := testResolver(t, Config{Servers: []netip.AddrPort{server}, Timeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := r.IPv4(ctx, "x.example"); !IsTemporary(err) {
		t.Errorf("given up: %v", err)
	}
	close(release)
	if _, err := r.IPv4(t.Context(), "x.example"); err != nil {
		t.Errorf("asked anew: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(time.Now)
	for i := range maxEntries + 100 {
		c.put(question{name: strings.Repeat("x", i%200) + string(rune('0'+i%10)), typ: uint16(i)}, found{ttl: time.Hour, size: 1000})
	}
	octets := 0
	for _, e := range c.entries {
		octets += e.size
	}
	if len(c.entries) > maxEntries || c.octets > maxEntryOctets || octets != c.octets {
		t.Errorf("%d entries of %d octets, counted as %d", len(c.entries), octets, c.octets)
	}
}

func TestSameQuestionIsAskedOnce(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	server := handle(t, func(w mdns.ResponseWriter, req *mdns.Msg) {
		asked.Add(1)
		<-release
		w.WriteMsg(reply(t, req, "x.example. 60 IN A 192.0.2.1"))
	})
	r := testResolver(t, Config{Servers: []netip.AddrPort{server}, Timeout: time.Minute})
	impatient, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			ctx := t.Context()
			if i == 0 {
				ctx = impatient
			}
			if _, err := r.IPv4(ctx, "x.example"); (err != nil) != (i == 0) {
				t.Errorf("look-up %d: %v", i, err)
			}
		})
	}
	waitFor(t, func() bool {
		r.flights.mu.Lock()
		defer r.flights.mu.Unlock()
		f := r.flights.run[question{"x.example.", mdns.TypeA}]
		return f != nil && f.waiting == 10
	})
	cancel()
	waitFor(t, func() bool {
		r.flights.mu.Lock()
		defer r.flights.mu.Unlock()
		return r.flights.run[question{"x.example.", mdns.TypeA}].waiting == 9
	})
	close(release)
	group.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to that")
		}
	}
}

func TestNextServerAnswersForASilentOrBrokenOne(t *testing.T) {
	silent := TestServer(t, ";! timeout x.example")
	refusing := TestServer(t, ";! refused x.example")
	good := TestServer(t, "x.example. IN A 192.0.2.1")
	for _, servers := range [][]netip.AddrPort{{silent, good}, {refusing, good}, {silent, refusing, good}} {
		r := testResolver(t, Config{Servers: servers, Timeout: 600 * time.Millisecond})
		if a, err := r.IPv4(t.Context(), "x.example"); err != nil {
			t.Errorf("%v: %v, %v", servers, a, err)
		}
	}
}

// TestReferralIsNoAnswer: a server that only knows its own domains, listed as a resolver by mistake, doesn't say that
// all others have no mail server.
func TestReferralIsNoAnswer(t *testing.T) {
	refers := func(extra ...string) netip.AddrPort {
		return handle(t, func(w mdns.ResponseWriter, req *mdns.Msg) {
			msg := reply(t, req)
			for _, text := range append([]string{"example. 60 IN NS ns.example."}, extra...) {
				rr, err := mdns.NewRR(text)
				if err != nil {
					t.Error(err)
				}
				msg.Ns = append(msg.Ns, rr)
			}
			w.WriteMsg(msg)
		})
	}
	r := testResolver(t, Config{Servers: []netip.AddrPort{refers()}})
	if _, err := r.MX(t.Context(), "x.example"); !IsTemporary(err) {
		t.Errorf("a referral: %v", err)
	}
	r = testResolver(t, Config{Servers: []netip.AddrPort{refers(), TestServer(t, "x.example. IN MX 10 mx.example.")}})
	if mx, err := r.MX(t.Context(), "x.example"); err != nil {
		t.Errorf("the next server: %v, %v", mx, err)
	}
	r = testResolver(t, Config{Servers: []netip.AddrPort{refers("example. 60 IN SOA ns. hostmaster. 1 2 3 4 60")}})
	if _, err := r.MX(t.Context(), "x.example"); !IsNotFound(err) {
		t.Errorf("no such record, and the domain's servers: %v", err)
	}
}

func TestAnswersToOtherQuestionsAreIgnored(t *testing.T) {
	server := handle(t, func(w mdns.ResponseWriter, req *mdns.Msg) {
		wrongID := reply(t, req, "x.example. 60 IN A 192.0.2.66")
		wrongID.Id++
		w.WriteMsg(wrongID)
		wrongName := reply(t, req, "x.example. 60 IN A 192.0.2.67")
		wrongName.Question[0].Name = "y.example."
		w.WriteMsg(wrongName)
		w.Write([]byte("not DNS"))
		w.WriteMsg(reply(t, req, "y.example. 60 IN A 192.0.2.68", "x.example. 60 IN A 192.0.2.1"))
	})
	r := testResolver(t, Config{Servers: []netip.AddrPort{server}})
	a, err := r.IPv4(t.Context(), "x.example")
	if err != nil || !slices.Equal(a.Records, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
		t.Errorf("%v, %v", a, err)
	}
}

func TestServerWithoutEDNS(t *testing.T) {
	server := handle(t, func(w mdns.ResponseWriter, req *mdns.Msg) {
		if req.IsEdns0() != nil {
			msg := reply(t, req)
			msg.Rcode, msg.Question = mdns.RcodeFormatError, nil
			w.WriteMsg(msg)
			return
		}
		w.WriteMsg(reply(t, req, "x.example. 60 IN A 192.0.2.1"))
	})
	r := testResolver(t, Config{Servers: []netip.AddrPort{server}})
	if a, err := r.IPv4(t.Context(), "x.example"); err != nil {
		t.Errorf("%v, %v", a, err)
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	r := testResolver(t, Config{Servers: []netip.AddrPort{TestServer(t, testZone)}, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := r.TXT(ctx, "silent.example.org")
	if !IsTemporary(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	r.flights.mu.Lock()
	defer r.flights.mu.Unlock()
	if len(r.flights.run) > 0 {
		t.Error("the exchange goes on without anybody waiting")
	}
}

func TestTrace(t *testing.T) {
	zone, _ := NewZone(testZone)
	r := testResolver(t, Config{Zone: zone})
	var got []Lookup
	ctx := WithTrace(t.Context(), func(l Lookup) { got = append(got, l) })
	r.MX(ctx, "null.example.org")
	r.IPv6(ctx, "half.example.org")
	if len(got) != 2 || got[0].Type != "MX" || !slices.Equal(got[0].Records, []string{"0 ."}) ||
		got[1].Name != "half.example.org" || got[1].Err != "dns: AAAA half.example.org: no such record" {
		t.Errorf("%+v", got)
	}
}

func TestResolvConfIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	now := time.Unix(1000, 0)
	rc := newResolvConf(path, func() time.Time { return now }, testResolver(t, Config{}).log)
	write := func(text string) {
		now = now.Add(10 * time.Second)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(path, now, now)
	}
	want := func(servers ...string) {
		t.Helper()
		var got []string
		for _, s := range rc.servers() {
			got = append(got, s.String())
		}
		if !slices.Equal(got, servers) {
			t.Errorf("got %v, want %v", got, servers)
		}
	}
	want("127.0.0.1:53", "[::1]:53")
	write("nameserver 192.0.2.53\nnameserver 2001:db8::53\noptions edns0\n")
	want("192.0.2.53:53", "[2001:db8::53]:53")
	write("nameserver 192.0.2.54\n")
	want("192.0.2.54:53")
	now = now.Add(10 * time.Second)
	os.Remove(path)
	want("192.0.2.54:53")
}

func TestZoneTellsWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"example.org. IN A 1.2.3":            "line: 1",
		"\n;! explode example.org":           "line 2",
		";! servfail example.org NOSUCHTYPE": "NOSUCHTYPE",
		";! servfail":                        "want ;! FAULT NAME",
	} {
		if _, err := NewZone(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func BenchmarkCachedLookup(b *testing.B) {
	r := testResolver(b, Config{Servers: []netip.AddrPort{TestServer(b, testZone)}})
	for b.Loop() {
		if _, err := r.TXT(b.Context(), "example.org"); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"example.org", "_x.é.org.", "a\\b.\x00 \xff\"();@'", "..", strings.Repeat("x", 63) + ".y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		wire, err := wireName(name)
		if err != nil {
			return
		}
		buf := make([]byte, 256)
		n, err := mdns.PackDomainName(wire, buf, 0, nil, false)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", name, wire, err)
		}
		back, _, err := mdns.UnpackDomainName(buf[:n], 0)
		if err != nil || back != wire {
			t.Fatalf("%q becomes %q and comes back %q: %v", name, wire, back, err)
		}
	})
}
