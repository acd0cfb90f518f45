package smtpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"facteur/mta"
	"facteur/mta/dns"
	"facteur/storage/message"
)

func TestCrowd(t *testing.T) {
	c := newCrowd(Limits{PerAddress: 2, Sessions: 30})
	var leave []func()
	enter := func(addr string, n int) (in int) {
		for range n {
			l, r := c.enter(netip.MustParseAddr(addr))
			if r == nil {
				in++
				leave = append(leave, l.leave)
			}
		}
		return in
	}
	for _, s := range []struct {
		addr      string
		try, want int
	}{
		{"192.0.2.1", 3, 2},       // its own share
		{"192.0.2.2", 3, 2},       // a neighbour has one too
		{"192.0.2.3", 3, 2},       //
		{"192.0.2.4", 3, 0},       // the /26 has its three
		{"192.0.2.64", 3, 2},      // the next /26 has not
		{"2001:db8::1", 3, 2},     //
		{"2001:db8::2", 3, 0},     // the same /64
		{"2001:db8:0:1::1", 3, 2}, //
		{"2001:db8:1::1", 99, 2},  //
		{"198.51.100.1", 3, 2},    //
		{"198.51.100.64", 3, 2},   //
		{"198.51.100.128", 3, 2},  //
		{"198.51.100.192", 3, 2},  //
		{"203.0.113.1", 3, 2},     //
		{"203.0.113.64", 3, 2},    //
		{"203.0.113.128", 3, 2},   //
		{"203.0.113.192", 3, 2},   //
		{"100.64.0.1", 3, 0},      // all sessions are taken
	} {
		if got := enter(s.addr, s.try); got != s.want {
			t.Errorf("%s: %d of %d entered, want %d", s.addr, got, s.try, s.want)
		}
	}
	for _, l := range leave {
		l()
	}
	if len(c.here) != 0 || c.total != 0 {
		t.Errorf("after all left: %v, %d", c.here, c.total)
	}
}

// A login gives the address its share back, and those who are logged in have a reserve.
func TestCrowdLogin(t *testing.T) {
	c := newCrowd(Limits{PerAddress: 2, Sessions: 6, Reserve: 2})
	a := netip.MustParseAddr("192.0.2.1")
	var seats []*seat
	for i := range 4 {
		s, r := c.enter(a)
		if r != nil {
			t.Fatalf("session %d: %v", i, r)
		}
		s.login()
		seats = append(seats, s)
	}
	for i, want := range []bool{true, true, false} {
		s, r := c.enter(a)
		if (r == nil) != want {
			t.Errorf("stranger %d: %v", i, r)
		}
		if s != nil {
			seats = append(seats, s)
		}
	}
	for _, s := range seats {
		s.leave()
	}
	if len(c.here) != 0 || c.total != 0 || c.strangers != 0 {
		t.Errorf("after all left: %v, %d, %d", c.here, c.total, c.strangers)
	}
	c = newCrowd(Limits{Sessions: 2, Reserve: 1})
	s, r := c.enter(a)
	if r != nil {
		t.Fatal(r)
	}
	if _, r := c.enter(a); r == nil {
		t.Error("a stranger took the reserve")
	}
	s.login()
	if _, r := c.enter(a); r != nil {
		t.Error("no seat though a stranger has become none")
	}
}

func TestMessagesPerMinute(t *testing.T) {
	c := newCrowd(Limits{PerMinute: 2})
	now := time.Unix(60, 0)
	a := netip.MustParseAddr("192.0.2.1")
	for i, want := range []bool{true, true, false} {
		if got := c.message(a, now) == nil; got != want {
			t.Errorf("message %d: %v", i, got)
		}
	}
	if r := c.message(a, now.Add(time.Minute)); r != nil {
		t.Errorf("a minute later: %v", r)
	}
}

// pipe starts one session over a pipe, in the bubble of a synctest.
func pipe(t *testing.T, cfg Config) (*peer, context.CancelFunc, chan struct{}) {
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.handle(ctx, theirs)
		close(done)
	}()
	return &peer{t: t, conn: ours}, cancel, done
}

// every sends text again and again until the connection ends.
func (p *peer) every(pause time.Duration, text string) {
	go func() {
		for {
			time.Sleep(pause)
			if _, err := io.WriteString(p.conn, text); err != nil {
				return
			}
		}
	}()
}

// toData brings a session to where the message begins.
func (p *peer) toData() {
	p.ask("EHLO x", "250")
	p.ask("MAIL FROM:<a@example.org>", "250")
	p.ask("RCPT TO:<b@example.test>", "250")
	p.ask("DATA", "354")
}

func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(*peer)
		want time.Duration
		says string
	}{
		{"says nothing", func(*peer) {}, 5 * time.Minute, "421 4.4.2"},
		{"an octet a minute", func(p *peer) { p.every(time.Minute, "x") }, 5 * time.Minute, "421 4.4.2"},
		{"NOOP every four minutes", func(p *peer) { p.every(4*time.Minute, "NOOP\r\n") }, 30 * time.Minute, "421 4.4.2"},
		{"a message of ten octets a second", func(p *peer) {
			p.toData()
			p.every(time.Second, "12345678\r\n")
		}, time.Minute, "421 4.4.2"},
		{"a message that never ends", func(p *peer) {
			p.toData()
			p.every(time.Second, strings.Repeat("x", 8000)+"\r\n")
		}, 30 * time.Minute, "421 4.4.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &backend{}
			cfg := testConfig(t, MX, b)
			cfg.Limits = DefaultLimits(MX)
			cfg.Limits.Greet, cfg.Limits.Header, cfg.Limits.Fields = 0, 0, 0
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				p, cancel, done := pipe(t, cfg)
				defer cancel()
				p.want("220")
				c.act(p)
				for {
					if r := p.reply(); !strings.HasPrefix(r, "250") {
						if !strings.HasPrefix(r, c.says) {
							t.Errorf("said %q", r)
						}
						break
					}
				}
				if took := time.Since(began); took < c.want || took > c.want+time.Minute {
					t.Errorf("ended after %v, want %v", took, c.want)
				}
				p.conn.Close()
				<-done
				time.Sleep(10 * time.Minute) // whoever still writes finds the end
			})
			if len(b.messages()) > 0 {
				t.Error("an incomplete message was taken")
			}
		})
	}
}

// TestLargestMessageOverASlowLine: what may be sent may be sent from where 30 KB a second are all there is.
func TestLargestMessageOverASlowLine(t *testing.T) {
	b := &backend{}
	cfg := testConfig(t, MX, b)
	cfg.Limits = DefaultLimits(MX)
	cfg.Limits.Greet = 0
	synctest.Test(t, func(t *testing.T) {
		p, cancel, done := pipe(t, cfg)
		defer cancel()
		p.want("220")
		p.toData()
		p.conn.SetDeadline(time.Time{})
		p.send("Subject: x\r\n\r\n")
		second := strings.Repeat(strings.Repeat("x", 998)+"\r\n", 30)
		for sent := 0; sent+len(second) < 50_000_000; sent += len(second) {
			p.send(second)
			time.Sleep(time.Second)
		}
		p.ask(".", "250")
		p.ask("QUIT", "221")
		<-done
	})
}

func TestErrorsAreSlowed(t *testing.T) {
	cfg := testConfig(t, MX, &backend{})
	cfg.Limits.Delay = time.Second
	synctest.Test(t, func(t *testing.T) {
		p, cancel, done := pipe(t, cfg)
		defer cancel()
		p.want("220")
		began := time.Now()
		for i := 1; i < 10; i++ {
			p.ask("FOO", "500")
		}
		if took := time.Since(began); took != 7*time.Second { // two are free
			t.Errorf("nine errors took %v", took)
		}
		p.ask("FOO", "500")
		p.want("421")
		p.conn.Close()
		<-done
	})
}

func TestTalkingBeforeTheGreeting(t *testing.T) {
	cfg := testConfig(t, MX, &backend{})
	cfg.Limits.Greet = 300 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p, cancel, done := pipe(t, cfg)
		defer cancel()
		p.send("EHLO spam.example.org\r\n")
		p.want("421 4.7.0")
		<-done
		p.conn.Close()

		p, cancel, done = pipe(t, cfg)
		defer cancel()
		p.want("220")
		p.ask("QUIT", "221")
		<-done
	})
}

// A message cut off by the end of the connection is none, and leaves nothing on disk.
func TestTruncated(t *testing.T) {
	for _, text := range []string{
		"DATA\r\nSubject: x\r\n\r\ntext\r\n",
		"DATA\r\nSubject: x\r\n\r\ntext\r\n.",
		"DATA\r\nSubject: x\r\n\r\ntext\r\n.\r",
		"BDAT 1000 LAST\r\nSubject: x\r\n\r\n",
		"BDAT 14\r\nSubject: x\r\n\r\n",
		"DATA\r\nSubject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 1000),
		"BDAT 100000 LAST\r\nSubject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 1000),
	} {
		b := &backend{}
		cfg := testConfig(t, MX, b)
		cfg.Limits.Memory = 1000
		synctest.Test(t, func(t *testing.T) {
			p, cancel, done := pipe(t, cfg)
			defer cancel()
			p.want("220")
			p.ask("EHLO x", "250")
			p.ask("MAIL FROM:<a@example.org>", "250")
			p.ask("RCPT TO:<b@example.test>", "250")
			go io.Copy(io.Discard, p.conn)
			p.send(text)
			p.conn.Close()
			<-done
		})
		if got := b.messages(); len(got) > 0 {
			t.Errorf("%.20q was taken: %+v", text, got)
		}
		leftovers(t, cfg.SpoolDir)
	}
}

// Stopping lets a transaction finish and sends the others away.
func TestShutdown(t *testing.T) {
	b := &backend{wait: make(chan struct{})}
	addr, stop, ended := serve(t, testConfig(t, MX, b))
	idle, busy := dial(t, addr), dial(t, addr)
	idle.want("220")
	idle.ask("EHLO x", "250")
	busy.want("220")
	busy.toData()
	stop()
	idle.want("421 4.3.2")
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening")
	}
	busy.send("Subject: x\r\n\r\n.\r\n")
	close(b.wait)
	busy.want("250")
	busy.want("421 4.3.2")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(b.messages()) != 1 {
		t.Error("the message under way was lost")
	}
}

// Who doesn't come to an end is ended.
func TestShutdownLate(t *testing.T) {
	cfg := testConfig(t, MX, &backend{})
	cfg.Limits.Shutdown = time.Millisecond
	addr, stop, ended := serve(t, cfg)
	p := dial(t, addr)
	p.want("220")
	p.ask("EHLO x", "250")
	p.ask("MAIL FROM:<a@example.org>", "250")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// panics is a part with a bug.
type panics struct{ backend }

func (*panics) Check(context.Context, mta.Peer, message.AddrSpec, message.AddrSpec) *mta.Reply {
	panic("a bug")
}

func TestPanicEndsOneSession(t *testing.T) {
	b := &backend{}
	cfg := testConfig(t, MX, b)
	cfg.Recipients = &panics{}
	var mu sync.Mutex
	var events []What
	cfg.Observe = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e.What)
	}
	addr := start(t, cfg)
	other, p := dial(t, addr), dial(t, addr)
	other.want("220")
	p.want("220")
	p.ask("EHLO x", "250")
	p.ask("MAIL FROM:<a@example.org>", "250")
	p.send("RCPT TO:<b@example.test>\r\n")
	if r := p.reply(); r != "EOF" {
		t.Errorf("said %q", r)
	}
	other.ask("NOOP", "250")
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(events) != fmt.Sprint([]What{Connected, Connected, Panicked}) {
		t.Errorf("events %v", events)
	}
}

func TestFullDisk(t *testing.T) {
	cfg := testConfig(t, MX, &backend{})
	full := errors.New("disk is full")
	cfg.Free = func() error { return full }
	p := dial(t, start(t, cfg))
	p.want("220")
	p.ask("EHLO x", "250")
	p.ask("MAIL FROM:<a@example.org>", "452 4.3.1")
	full = nil // recovery needs no restart
	p.ask("MAIL FROM:<a@example.org>", "250")
}

// zone answers A questions.
type zone map[string]string

func (z zone) IPv4(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	if a, ok := z[name]; ok {
		return dns.Answer[netip.Addr]{Records: []netip.Addr{netip.MustParseAddr(a)}}, nil
	}
	if a, ok := z["*"]; ok && strings.HasSuffix(name, ".wild.test") {
		return dns.Answer[netip.Addr]{Records: []netip.Addr{netip.MustParseAddr(a)}}, nil
	}
	if strings.HasSuffix(name, ".down.test") {
		return dns.Answer[netip.Addr]{}, &dns.Error{Name: name, Type: "A", Kind: dns.Temporary}
	}
	return dns.Answer[netip.Addr]{}, &dns.Error{Name: name, Type: "A", Kind: dns.NXDomain}
}

func TestLists(t *testing.T) {
	z := zone{
		"1.2.0.192.bl.test":     "127.0.0.2",
		"2.2.0.192.bl.test":     "127.255.255.254",
		"3.2.0.192.bl.test":     "127.0.0.2",
		"3.2.0.192.wl.test":     "127.0.0.3",
		"5.2.0.192.parked.test": "203.0.113.1",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test": "127.0.0.2",
		"*": "127.0.0.2",
	}
	now := time.Unix(0, 0)
	lists := func(l ...List) *Lists {
		return &Lists{DNS: z, Lists: l, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	}
	bl, wl := List{Zone: "bl.test"}, List{Zone: "wl.test", Allow: true}
	for _, c := range []struct {
		name  string
		lists *Lists
		addr  string
		want  bool
	}{
		{"listed", lists(bl), "192.0.2.1", true},
		{"listed, IPv6", lists(bl), "2001:db8::1", true},
		{"not listed", lists(bl), "192.0.2.9", false},
		{"on both", lists(bl, wl), "192.0.2.3", false},
		{"lists everybody", lists(List{Zone: "wild.test"}), "192.0.2.1", false},
		{"no code at all", lists(List{Zone: "parked.test"}), "192.0.2.5", false},
		{"no answer", lists(List{Zone: "down.test"}), "192.0.2.1", false},
	} {
		r := c.lists.Check(t.Context(), netip.MustParseAddr(c.addr))
		if (r != nil) != c.want {
			t.Errorf("%s: %v", c.name, r)
		}
	}
	l := lists(bl)
	if r := l.Check(t.Context(), netip.MustParseAddr("192.0.2.2")); r != nil {
		t.Errorf("we may not ask, and take it for a hit: %v", r)
	}
	if r := l.Check(t.Context(), netip.MustParseAddr("192.0.2.1")); r != nil {
		t.Errorf("asked a suspended list: %v", r)
	}
	now = now.Add(2 * findingKept)
	if r := l.Check(t.Context(), netip.MustParseAddr("192.0.2.1")); r == nil {
		t.Error("suspended for ever")
	}
}

// Who is on a list is heard by the postmaster alone.
func TestListedPeer(t *testing.T) {
	cfg := testConfig(t, MX, &backend{})
	cfg.Lists = &Lists{DNS: zone{"1.0.0.127.bl.test": "127.0.0.2"}, Lists: []List{{Zone: "bl.test"}}, Log: cfg.Log, Now: time.Now}
	cfg.Lists.note("bl.test", finding{proven: time.Now().Add(time.Hour)})
	p := dial(t, start(t, cfg))
	p.want("220")
	p.ask("EHLO x", "250")
	p.ask("MAIL FROM:<a@example.org>", "250")
	p.ask("RCPT TO:<bob@example.test>", "550 5.7.1 127.0.0.1 is listed by bl.test")
	p.ask("RCPT TO:<postmaster@example.test>", "250")
}
