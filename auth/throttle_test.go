package auth

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// try logs in with a password and returns the error, if any.
func try(t testing.TB, d *Directory, addr netip.Addr, user, pw string) error {
	t.Helper()
	l, err := d.Password(t.Context(), imapFrom(addr), user, pw)
	if err == nil {
		l.Release()
	}
	return err
}

// guess fails n times with passwords that are all different.
func guess(t testing.TB, d *Directory, addr netip.Addr, user string, n int) {
	t.Helper()
	for i := range n {
		wantErr(t, try(t, d, addr, user, fmt.Sprintf("guess %d from %s", i, addr)), ErrCredentials)
	}
}

func TestAddressIsRefusedAfterTenFailuresAndTheTimeDoubles(t *testing.T) {
	d, clock := newDirectory(t, Config{Throttle: true})
	guess(t, d, away, "alice", 10)
	wantErr(t, try(t, d, away, "alice", "right"), ErrThrottled)
	wantErr(t, try(t, d, away, "nobody", "right"), ErrThrottled)
	must(t, try(t, d, home1, "alice", "right"))
	clock.Add(lockFirst)
	must(t, try(t, d, away, "alice", "right"))

	other := netip.MustParseAddr("203.0.113.200")
	for _, lock := range []time.Duration{15, 30, 60, 120} {
		guess(t, d, other, fmt.Sprint("nobody", lock), 10)
		clock.Add(lock*time.Minute - time.Second)
		wantErr(t, try(t, d, other, "bob", "x"), ErrThrottled)
		clock.Add(time.Second)
	}
}

func TestWideNetworkIsRefusedAfterFifty(t *testing.T) {
	d, _ := newDirectory(t, Config{Throttle: true})
	for i := range 10 {
		guess(t, d, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), fmt.Sprint("user", i), 5)
	}
	wantErr(t, try(t, d, netip.MustParseAddr("198.51.100.60"), "alice", "right"), ErrThrottled)
	must(t, try(t, d, netip.MustParseAddr("198.51.100.70"), "alice", "right"))
	v6 := netip.MustParseAddr("2001:db8:0:1::5")
	guess(t, d, v6, "alice", 10)
	wantErr(t, try(t, d, netip.MustParseAddr("2001:db8:0:1::6"), "bob", "x"), ErrThrottled)
	must(t, try(t, d, netip.MustParseAddr("2001:db8:0:2::6"), "alice", "right"))
}

func TestOwnerIsNotLockedOutByAStorm(t *testing.T) {
	d, clock := newDirectory(t, Config{Throttle: true})
	must(t, try(t, d, home1, "alice", "right"))
	for i := range 30 {
		guess(t, d, netip.AddrFrom4([4]byte{100, byte(i), 0, 1}), "alice", 5)
		if i == 19 {
			break
		}
	}
	wantErr(t, try(t, d, away, "alice", "right"), ErrThrottled)
	must(t, try(t, d, home1, "alice", "right"))
	guess(t, d, home1, "bob@example.org", 10)
	must(t, try(t, d, home1, "alice", "right"))
	wantErr(t, try(t, d, home1, "bob@example.org", "x"), ErrThrottled)
	clock.Add(knownFor)
	guess(t, d, home1, "nobody", 10)
	wantErr(t, try(t, d, home1, "alice", "right"), ErrThrottled)
}

func TestGuessingFromAKnownNetworkIsSlowedDown(t *testing.T) {
	d, clock := newDirectory(t, Config{Throttle: true})
	must(t, try(t, d, home1, "alice", "right"))
	guess(t, d, home1, "alice", failKnown+1) // the last is the first that is paced
	wantErr(t, try(t, d, home1, "alice", "right"), ErrThrottled)
	clock.Add(paceKnown)
	must(t, try(t, d, home1, "alice", "right"))
	wantErr(t, try(t, d, home1, "alice", "right"), ErrThrottled)
	clock.Add(failWindow)
	guess(t, d, home1, "alice", failKnown)
}

func TestSameWrongPasswordCountsOnce(t *testing.T) {
	d, _ := newDirectory(t, Config{Throttle: true})
	for range 50 {
		wantErr(t, try(t, d, away, "alice", "the old one"), ErrCredentials)
	}
	must(t, try(t, d, away, "alice", "right"))
	for i := range 10 { // the same for many users is a guess each time
		wantErr(t, try(t, d, netip.MustParseAddr("198.51.100.1"), fmt.Sprint("user", i), "123456"), ErrCredentials)
	}
	wantErr(t, try(t, d, netip.MustParseAddr("198.51.100.1"), "alice", "right"), ErrThrottled)
}

func TestUnknownAccountIsLockedLikeAnyOther(t *testing.T) {
	d, _ := newDirectory(t, Config{Throttle: true})
	for i := range 20 {
		guess(t, d, netip.AddrFrom4([4]byte{100, byte(i), 0, 1}), "ghost@example.org", 5)
	}
	wantErr(t, try(t, d, away, "Ghost@example.org", "x"), ErrThrottled)
}

func TestScramIsThrottled(t *testing.T) {
	d, _ := newDirectory(t, Config{Throttle: true})
	guess(t, d, away, "alice", 10)
	x, err := d.Exchange("SCRAM-SHA-256", imapFrom(away), false)
	must(t, err)
	_, _, err = x.Next(t.Context(), []byte("n,,n=alice,r=abc"))
	wantErr(t, err, ErrThrottled)
}

func TestNoThrottleWhenOff(t *testing.T) {
	d, _ := newDirectory(t, Config{})
	guess(t, d, away, "alice", 30)
	must(t, try(t, d, away, "alice", "right"))
}

func TestNetworksAreKnownAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.db")
	open := func() *Directory {
		d, err := Open(path, Config{Hash: cheap, Throttle: true})
		must(t, err)
		return d
	}
	d := open()
	must(t, d.AddDomain(t.Context(), Domain{Name: "example.org"}))
	must(t, d.AddAccount(t.Context(), "alice@example.org", "right"))
	must(t, try(t, d, home1, "alice", "right"))
	must(t, d.Close())
	d = open()
	defer d.Close()
	guess(t, d, home1, "nobody", 10)
	must(t, try(t, d, home1, "alice", "right"))
}

func TestTablesStaySmall(t *testing.T) {
	d, clock := newDirectory(t, Config{Throttle: true})
	must(t, try(t, d, home1, "alice", "right"))
	guess(t, d, away, "alice", 10)
	clock.Add(31 * 24 * time.Hour)
	d.sweep(context.Background())
	th := d.throttle
	if n := len(th.counts) + len(th.wrong) + len(th.regular) + len(d.recent.ok); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestLoginsAtOnce(t *testing.T) {
	d, _ := newDirectory(t, Config{Throttle: true})
	done := make(chan error)
	for i := range 8 {
		go func() {
			for range 20 {
				l, err := d.Password(t.Context(), imapFrom(home1), "alice", "right")
				if err != nil {
					done <- err
					return
				}
				l.Release()
			}
			done <- d.AddAccount(t.Context(), fmt.Sprintf("user%d@example.org", i), "x")
		}()
	}
	for range 8 {
		must(t, <-done)
	}
}

// Whom the server refused, and until when, stood nowhere: the log had failed logins, and then nothing.
func TestLocksAreLogged(t *testing.T) {
	var log bytes.Buffer
	d, _ := newDirectory(t, Config{Throttle: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	guess(t, d, away, "alice", 9)
	if log.Len() > 0 {
		t.Errorf("after 9: %s", &log)
	}
	for i := range 3 {
		_ = try(t, d, away, "alice", fmt.Sprint("more ", i)) // the last two are refused unseen
	}
	want := "from=" + away.String() + "/32 until=2026-05-01T12:15:00"
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) {
		t.Errorf("want one line with %s:\n%s", want, got)
	}
}
