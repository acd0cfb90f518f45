package smtpd

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"facteur/mta"
	"facteur/storage/message"
)

func TestFirstContact(t *testing.T) {
	f := &FirstContact{Wait: 5 * time.Minute, Keep: 30 * 24 * time.Hour, Max: 100}
	now := time.Unix(0, 0)
	from := func(s string) *mta.Envelope {
		return &mta.Envelope{MailFrom: message.AddrSpec{Local: s, Domain: "example.org"}, To: []mta.Recipient{{Address: message.AddrSpec{Local: "bob", Domain: "example.test"}}}}
	}
	for i, s := range []struct {
		after time.Duration
		addr  string
		from  string
		in    bool
	}{
		{0, "192.0.2.1", "ann", false},
		{time.Minute, "192.0.2.1", "ann", false},
		{5 * time.Minute, "192.0.2.2", "ann", true}, // from a neighbour
		{0, "192.0.2.1", "joe", true},               // the network is known now
		{0, "198.51.100.1", "ann", false},
		{72 * time.Hour, "198.51.100.1", "ann", false}, // long forgotten
		{31 * 24 * time.Hour, "192.0.2.1", "zoe", false},
	} {
		now = now.Add(s.after)
		if r := f.Ask(netip.MustParseAddr(s.addr), from(s.from), now); (r == nil) != s.in {
			t.Errorf("step %d: %v", i, r)
		}
	}
	for i := range 1000 {
		f.Ask(netip.MustParseAddr("203.0.113.1"), from(fmt.Sprint(i)), now)
	}
	if n := len(f.asked) + len(f.known); n > 100 {
		t.Errorf("remembers %d senders", n)
	}

	// A flood of strangers costs a network that we know nothing.
	known := netip.MustParseAddr("192.0.2.1")
	f.Ask(known, from("zoe"), now)
	f.Ask(known, from("zoe"), now.Add(5*time.Minute))
	for i := range 1000 {
		f.Ask(netip.MustParseAddr("203.0.113.1"), from(fmt.Sprint("again", i)), now)
	}
	if r := f.Ask(known, from("eve"), now.Add(time.Hour)); r != nil {
		t.Errorf("after a flood: %v", r)
	}
	if n := len(f.asked) + len(f.known); n > 100 {
		t.Errorf("remembers %d senders", n)
	}
}

// TestFirstContactUnderAClockThatWasAhead: who came while the clock was a year ahead is not asked to come again in a year.
func TestFirstContactUnderAClockThatWasAhead(t *testing.T) {
	f := &FirstContact{Wait: 5 * time.Minute, Keep: time.Hour, Max: 100}
	peer, env, now := netip.MustParseAddr("192.0.2.1"), &mta.Envelope{}, time.Unix(1e9, 0)
	f.Ask(peer, env, now.Add(365*24*time.Hour))
	f.Ask(peer, env, now)
	if r := f.Ask(peer, env, now.Add(6*time.Minute)); r != nil {
		t.Error(r)
	}
}

func TestFirstContactSurvivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "first-contact.json")
	now := time.Unix(1e9, 0)
	waiting := &mta.Envelope{MailFrom: message.AddrSpec{Local: "joe", Domain: "example.org"}}
	restarted := func() *FirstContact {
		f := &FirstContact{Wait: 5 * time.Minute, Keep: time.Hour, Max: 100, File: file}
		if err := f.Load(); err != nil {
			t.Fatal(err)
		}
		return f
	}
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	f := restarted()
	f.Ask(netip.MustParseAddr("192.0.2.1"), &mta.Envelope{}, now.Add(-5*time.Minute))
	f.Ask(netip.MustParseAddr("192.0.2.1"), &mta.Envelope{}, now)
	f.Ask(netip.MustParseAddr("198.51.100.1"), waiting, now)
	if err := f.Run(stop); err != nil {
		t.Fatal(err)
	}

	f = restarted()
	if r := f.Ask(netip.MustParseAddr("192.0.2.1"), waiting, now); r != nil {
		t.Errorf("a known network: %v", r)
	}
	if r := f.Ask(netip.MustParseAddr("198.51.100.1"), waiting, now.Add(5*time.Minute)); r != nil {
		t.Errorf("the second try: %v", r)
	}
	if err := os.WriteFile(file, []byte(`{"asked":{"00":"2026-11-22T00:00:00Z"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Load(); err == nil {
		t.Error("a damaged file was believed")
	}
}

// What a kill takes away was learnt in the last ten seconds.
func TestFirstContactSurvivesAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &FirstContact{Wait: time.Minute, Keep: time.Hour, Max: 100, File: filepath.Join(t.TempDir(), "first-contact.json")}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		f.Ask(netip.MustParseAddr("192.0.2.1"), &mta.Envelope{}, time.Now())
		time.Sleep(11 * time.Second)
		killed := &FirstContact{Wait: f.Wait, Keep: f.Keep, Max: f.Max, File: f.File}
		if err := killed.Load(); err != nil {
			t.Fatal(err)
		}
		if r := killed.Ask(netip.MustParseAddr("192.0.2.1"), &mta.Envelope{}, time.Now().Add(time.Minute)); r != nil {
			t.Errorf("the second try after the kill: %v", r)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// An aligned sender is never asked to wait.
func TestFirstContactAligned(t *testing.T) {
	for _, c := range []struct{ dmarc, want string }{{"pass", "250"}, {"none", "451 4.7.1"}} {
		b := &backend{facts: Facts{DMARC: c.dmarc}}
		cfg := testConfig(t, MX, b)
		cfg.First = &FirstContact{Wait: time.Minute, Keep: time.Hour, Max: 10}
		p := dial(t, start(t, cfg))
		p.want("220")
		p.ask("EHLO x", "250")
		p.ask("MAIL FROM:<a@example.org>", "250")
		p.ask("RCPT TO:<bob@example.test>", "250")
		p.ask("DATA", "354")
		p.ask("Subject: x\r\n\r\n.", c.want)
	}
}
