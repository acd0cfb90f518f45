package simulate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/mta"
	"facteur/mta/remote"
	"facteur/mta/simulate"
)

// inbox collects what a peer takes.
type inbox struct {
	mu   sync.Mutex
	mail []simulate.Mail
}

func (b *inbox) take(m simulate.Mail) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mail = append(b.mail, m)
	return nil
}

// TestOddTLS: what the sender makes of peers whose TLS is wrong, with and without a
// policy that demands it.
func TestOddTLS(t *testing.T) {
	ca, err := simulate.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	issue := func(end time.Duration, name string) *tls.Config {
		cfg, err := ca.Issue(time.Now().Add(end), name)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	const may, must = "may", "must" // without and with MTA-STS in mode enforce
	for _, tt := range []struct {
		name   string
		tls    *tls.Config
		fault  simulate.TLSFault
		policy string
		want   string // TLS of the delivery, "clear", or the refusal's code
	}{
		{"good", issue(time.Hour, "mx.x.test"), simulate.TLSFine, may, "verified"},
		{"good, demanded", issue(time.Hour, "mx.x.test"), simulate.TLSFine, must, "verified"},
		{"expired", issue(-time.Hour, "mx.x.test"), simulate.TLSFine, may, "unverified"},
		{"expired, demanded", issue(-time.Hour, "mx.x.test"), simulate.TLSFine, must, "4.7.5"},
		{"wrong name", issue(time.Hour, "y.test"), simulate.TLSFine, may, "unverified"},
		{"wrong name, demanded", issue(time.Hour, "y.test"), simulate.TLSFine, must, "4.7.5"},
		{"no STARTTLS", nil, simulate.TLSFine, may, "clear"},
		{"no STARTTLS, demanded", nil, simulate.TLSFine, must, "4.7.5"},
		{"broken handshake", issue(time.Hour, "mx.x.test"), simulate.TLSBroken, may, "clear"},
		{"broken handshake, demanded", issue(time.Hour, "mx.x.test"), simulate.TLSBroken, must, "4.7.5"},
		{"closes after the handshake", issue(time.Hour, "mx.x.test"), simulate.TLSAbort, may, "clear"},
		{"454", issue(time.Hour, "mx.x.test"), simulate.TLSLater, may, "clear"},
		{"454, demanded", issue(time.Hour, "mx.x.test"), simulate.TLSLater, must, "4.7.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var box inbox
			peer := &simulate.Peer{Name: "mx.x.test", TLS: tt.tls, TLSFault: tt.fault, Take: box.take}
			cfg := remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(t, peer), Roots: ca.Pool(),
				Outcomes: filepath.Join(t.TempDir(), "peers.json")}
			if tt.policy == must {
				cfg.STS = enforcing(t)
			}
			s := remote.New(cfg)
			m := mail("a@home.test", []byte("Subject: x\r\n\r\nx\r\n"), "b@x.test")
			r := s.Deliver(context.Background(), m, m.Env.To)[0]
			got := "clear"
			switch {
			case r.Err != nil:
				got = r.Err.Status()
			case r.TLS != "":
				got = r.TLS[strings.LastIndexByte(r.TLS, ' ')+1:]
			}
			if got != tt.want {
				t.Errorf("got %q (%v), want %q", got, r.Err, tt.want)
			}
			if (len(box.mail) == 1) != (r.Err == nil) {
				t.Errorf("the peer has %d messages", len(box.mail))
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for _, s := range []*remote.Sender{s, remote.New(cfg)} { // the second one has started anew
				if o := s.Outcomes(); len(o) != 1 || o[0].Host != "mx.x.test" || o[0].At.IsZero() || (o[0].Fault == "") != (tt.want == "verified") {
					t.Errorf("remembered: %+v", o)
				}
			}
		})
	}
}

// TestTestingPolicy: a policy in mode testing stops no mail, and what it would have stopped is
// in the result (RFC 8461 5).
func TestTestingPolicy(t *testing.T) {
	ca, err := simulate.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string) *tls.Config {
		cfg, err := ca.Issue(time.Now().Add(time.Hour), name)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	const file = "version: STSv1\nmode: testing\nmax_age: 86400\nmx: "
	for _, tt := range []struct {
		name  string
		tls   *tls.Config
		fault simulate.TLSFault
		lists string
		want  string // in the result
	}{
		{"as it wants", issue("mx.x.test"), simulate.TLSFine, "mx.x.test", " verified"},
		{"another host", issue("mx.x.test"), simulate.TLSFine, "other.x.test", " verified (MTA-STS testing: the MTA-STS policy of x.test does not list the server mx.x.test)"},
		{"wrong name", issue("y.test"), simulate.TLSFine, "mx.x.test", " unverified (MTA-STS testing: certificate not verified)"},
		{"no STARTTLS", nil, simulate.TLSFine, "mx.x.test", "in the clear (MTA-STS testing: the server offers no STARTTLS)"},
		{"broken handshake", issue("mx.x.test"), simulate.TLSBroken, "mx.x.test", "in the clear (MTA-STS testing: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sts, err := remote.NewSTS(remote.STSConfig{Resolver: announcing{}, Fetch: func(context.Context, string) (string, error) {
				return file + tt.lists + "\n", nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			peer := &simulate.Peer{Name: "mx.x.test", TLS: tt.tls, TLSFault: tt.fault}
			s := remote.New(remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(t, peer), Roots: ca.Pool(), STS: sts})
			defer s.Close()
			m := mail("a@home.test", []byte("Subject: x\r\n\r\nx\r\n"), "b@x.test")
			for range 2 { // the second one on the same connection
				r := s.Deliver(context.Background(), m, m.Env.To)[0]
				if r.Err != nil || !strings.Contains(r.TLS, tt.want) || strings.Contains(r.TLS, "testing") != strings.Contains(tt.want, "testing") {
					t.Errorf("TLS %q (%v), want %q", r.TLS, r.Err, tt.want)
				}
			}
			if fault := s.Outcomes()[0].Fault; (fault != "") != strings.Contains(tt.want, "testing") {
				t.Errorf("outcome %q", fault)
			}
		})
	}
}

// TestRequireTLS: a message that demands TLS all the way (RFC 8689) goes only to a
// server whose name is vouched for, whose certificate fits and that passes the demand on.
func TestRequireTLS(t *testing.T) {
	ca, err := simulate.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	good, err := ca.Issue(time.Now().Add(time.Hour), "mx.x.test")
	if err != nil {
		t.Fatal(err)
	}
	bad, err := ca.Issue(time.Now().Add(-time.Hour), "mx.x.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		peer *simulate.Peer
		sts  *remote.STS
		want string
	}{
		{"all is well", &simulate.Peer{TLS: good}, enforcing(t), "2.0.0"},
		{"nobody vouches", &simulate.Peer{TLS: good}, nil, "5.7.10"},
		{"bad certificate", &simulate.Peer{TLS: bad}, enforcing(t), "5.7.10"},
		{"not offered", &simulate.Peer{TLS: good, Hide: []string{"REQUIRETLS"}}, enforcing(t), "5.7.30"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var box inbox
			tt.peer.Name, tt.peer.Take = "mx.x.test", box.take
			s := remote.New(remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(t, tt.peer), Roots: ca.Pool(), STS: tt.sts})
			defer s.Close()
			m := mail("a@home.test", []byte("Subject: x\r\nTLS-Required: No\r\n\r\nx\r\n"), "b@x.test")
			m.Env.RequireTLS = true
			r := s.Deliver(context.Background(), m, m.Env.To)[0]
			got := "2.0.0"
			if r.Err != nil {
				got = r.Err.Status()
			}
			if got != tt.want {
				t.Errorf("got %s (%v), want %s", got, r.Err, tt.want)
			}
			if r.Err == nil && !strings.Contains(box.mail[0].FromParams, "REQUIRETLS") {
				t.Errorf("MAIL had %q", box.mail[0].FromParams)
			}
		})
	}
}

// enforcing is an STS that knows an enforcing policy for every domain.
func enforcing(t *testing.T) *remote.STS {
	t.Helper()
	sts, err := remote.NewSTS(remote.STSConfig{Resolver: announcing{}, Fetch: func(context.Context, string) (string, error) {
		return "version: STSv1\nmode: enforce\nmx: mx.x.test\nmax_age: 86400\n", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return sts
}

func TestFaultsByAddress(t *testing.T) {
	var box inbox
	peer := &simulate.Peer{Name: "mx.x.test", Delay: time.Millisecond, Take: box.take}
	s := remote.New(remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(t, peer), Timeouts: remote.Timeouts{Command: time.Second}})
	defer s.Close()
	for local, want := range map[string]string{
		"bob": "2.0.0", "slow": "2.0.0", "452": "4.2.2", "550+bob": "5.1.1", "timeout": "4.4.2", "drop": "4.4.2", "drop-after-data": "4.4.2", "421": "4.3.2",
	} {
		m := mail("a@home.test", []byte("Subject: x\r\n\r\nx\r\n"), local+"@x.test")
		r := s.Deliver(context.Background(), m, m.Env.To)[0]
		got := "2.0.0"
		if r.Err != nil {
			got = r.Err.Status()
		}
		if got != want {
			t.Errorf("%s@: got %s (%v), want %s", local, got, r.Err, want)
		}
	}
	if len(box.mail) != 2 {
		t.Errorf("the peer took %d messages, want bob's and slow's", len(box.mail))
	}
}

func TestGreylisting(t *testing.T) {
	peer := &simulate.Peer{Name: "mx.x.test", Greylist: 20 * time.Millisecond}
	s := remote.New(remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(t, peer)})
	defer s.Close()
	m := mail("a@home.test", []byte("\r\n"), "b@x.test")
	if r := s.Deliver(context.Background(), m, m.Env.To)[0]; r.Err == nil || r.Err.Code != 451 {
		t.Errorf("first try: %v", r.Err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		r := s.Deliver(context.Background(), m, m.Env.To)[0]
		if r.Err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still refused: %v", r.Err)
		}
	}
}

func TestSinkTakesAllButFaults(t *testing.T) {
	var got []string
	sink := &simulate.Sink{Faults: true, Delay: time.Millisecond, Take: func(_ context.Context, m *mta.Message, to []mta.Recipient) error {
		for _, r := range to {
			got = append(got, r.Address.Local)
		}
		if got[0] == "full" {
			return errors.New("mailbox full")
		}
		return nil
	}}
	m := mail("a@home.test", []byte("\r\n"), "bob@x.test", "550@x.test", "slow@x.test", "timeout@x.test")
	var codes []string
	for _, r := range sink.Deliver(context.Background(), m, m.Env.To) {
		code := "ok"
		if r.Err != nil {
			code = fmt.Sprint(r.Err.Code)
		}
		codes = append(codes, code)
	}
	if fmt.Sprint(codes, got) != "[ok 550 ok 451] [bob slow]" {
		t.Errorf("results %v, taken %v", codes, got)
	}
	got = nil
	m = mail("a@home.test", []byte("\r\n"), "full@x.test")
	if r := sink.Deliver(context.Background(), m, m.Env.To)[0]; r.Err == nil || !r.Err.Temporary() {
		t.Errorf("a failing Take: %v", r.Err)
	}
}

func TestTicketAbortNoticesTickets(t *testing.T) {
	ca, err := simulate.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []bool{true, false} {
		cfg, err := ca.Issue(time.Now().Add(time.Hour), "mx.x.test")
		if err != nil {
			t.Fatal(err)
		}
		cfg.SessionTicketsDisabled = off
		port := listen(t, &simulate.Peer{Name: "mx.x.test", TLS: cfg})
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		if err := simulate.TicketAbort(context.Background(), conn); off && err != nil || !off && !errors.Is(err, simulate.ErrTickets) {
			t.Errorf("tickets disabled %t: %v", off, err)
		}
	}
}

func TestTarpitIsSlow(t *testing.T) {
	peer := &simulate.Peer{Name: "mx.x.test", Tarpit: time.Hour}
	s := remote.New(remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(t, peer), Timeouts: remote.Timeouts{Greeting: 20 * time.Millisecond}})
	defer s.Close()
	m := mail("a@home.test", []byte("\r\n"), "b@x.test")
	if r := s.Deliver(context.Background(), m, m.Env.To)[0]; r.Err == nil || !r.Unreachable {
		t.Errorf("%+v", r)
	}
}

// TestChunking: both ways of sending a message bring the same octets, and the faults of a
// message that came whole are the same too.
func TestChunking(t *testing.T) {
	text := "Subject: x\r\n\r\n.\r\n..dots\r\nend\r\n"
	for _, tt := range []struct {
		hide   []string
		chunks int
	}{
		{nil, 1}, {[]string{"CHUNKING"}, 0}, {[]string{"PIPELINING"}, 0},
	} {
		var box inbox
		peer := &simulate.Peer{Name: "mx.x.test", Hide: tt.hide, Take: box.take}
		s := remote.New(remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(t, peer)})
		m := mail("a@home.test", []byte(text), "b@x.test", "550@x.test")
		r := s.Deliver(context.Background(), m, m.Env.To)
		if r[0].Err != nil || r[1].Err == nil || r[1].Err.Code != 550 {
			t.Errorf("without %v: %v, %v", tt.hide, r[0].Err, r[1].Err)
		}
		lost := mail("a@home.test", []byte(text), "drop-after-data@x.test")
		if r := s.Deliver(context.Background(), lost, lost.Env.To)[0]; r.Err == nil || r.Err.Status() != "4.4.2" {
			t.Errorf("without %v, a lost answer: %v", tt.hide, r.Err)
		}
		s.Close()
		if len(box.mail) != 1 || string(box.mail[0].Data) != text || box.mail[0].Chunks != tt.chunks {
			t.Errorf("without %v the peer has %+v, want %d chunks", tt.hide, box.mail, tt.chunks)
		}
	}
}

// TestCutSpoolFile: a message whose file has lost its end is never sent as if it were whole,
// whatever the peer speaks.
func TestCutSpoolFile(t *testing.T) {
	for _, hide := range [][]string{nil, {"CHUNKING"}} {
		var box inbox
		peer := &simulate.Peer{Name: "mx.x.test", Hide: hide, Take: box.take}
		s := remote.New(remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(t, peer)})
		defer s.Close()
		m := mail("a@home.test", nil, "b@x.test")
		f, err := os.Create(filepath.Join(t.TempDir(), "spool"))
		if err != nil {
			t.Fatal(err)
		}
		text := "Subject: x\r\n\r\nbegin\r\n"
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		m.Body = mta.BodyFile(f, int64(len(text))+1000, 14, false)
		defer m.Body.Close()
		if r := s.Deliver(context.Background(), m, m.Env.To)[0]; r.Err == nil || !r.Err.Temporary() {
			t.Errorf("without %v: %v", hide, r.Err)
		}
		if len(box.mail) != 0 {
			t.Errorf("without %v the peer has %q", hide, box.mail[0].Data)
		}
	}
}
