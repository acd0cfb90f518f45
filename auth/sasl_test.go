package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"facteur/test/loopback"

	"github.com/xdg-go/scram"
)

func TestMechanisms(t *testing.T) {
	for _, c := range []struct {
		plus    bool
		tls     bool
		plainOK bool
		want    string
	}{
		{false, true, false, "SCRAM-SHA-256 PLAIN LOGIN"},
		{true, true, false, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"},
		{true, false, true, "SCRAM-SHA-256 PLAIN LOGIN"},
		{true, false, false, ""},
	} {
		d, _ := newDirectory(t, Config{Plus: c.plus})
		client := Client{}
		if c.tls {
			client.TLS = viaTLS
		}
		if got := strings.Join(d.Mechanisms(client, c.plainOK), " "); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
		_, err := d.Exchange("plain", client, c.plainOK)
		if allowed := c.want != ""; (err == nil) != allowed || !allowed && !errors.Is(err, ErrMechanism) {
			t.Errorf("%+v: %v", c, err)
		}
		if _, err := d.Exchange("CRAM-MD5", client, c.plainOK); !errors.Is(err, ErrMechanism) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestPlainAndLogin plays dialogues: what the client sends, and "-" for nothing at all.
func TestPlainAndLogin(t *testing.T) {
	const long = "alice@example.org"
	for _, c := range []struct {
		mech string
		say  []string
		want any // account, or error
	}{
		{"PLAIN", []string{"\x00alice@example.org\x00right"}, long},
		{"PLAIN", []string{"-", "\x00alice@example.org\x00right"}, long},
		{"PLAIN", []string{"alice\x00Alice@example.org\x00right"}, long},
		{"PLAIN", []string{"bob@example.org\x00alice@example.org\x00right"}, ErrCredentials},
		{"PLAIN", []string{"\x00alice@example.org\x00wrong"}, ErrCredentials},
		{"PLAIN", []string{"\x00alice@example.org\x00"}, ErrMalformed},
		{"PLAIN", []string{"\x00\x00right"}, ErrMalformed},
		{"PLAIN", []string{""}, ErrMalformed},
		{"PLAIN", []string{"-", ""}, ErrMalformed},
		{"PLAIN", []string{"-", "-"}, ErrMalformed},
		{"PLAIN", []string{"a\x00alice@example.org\x00right\x00"}, ErrMalformed},
		{"PLAIN", []string{"\x00alice@example.org\x00\xff"}, ErrMalformed},
		{"LOGIN", []string{"-", "alice@example.org", "right"}, long},
		{"LOGIN", []string{"alice@example.org", "right"}, long},
		{"LOGIN", []string{"-", "alice@example.org", "wrong"}, ErrCredentials},
		{"LOGIN", []string{"-", "", "right"}, ErrMalformed},
		{"LOGIN", []string{"-", "alice", ""}, ErrMalformed},
		{"LOGIN", []string{"-", "-"}, ErrMalformed},
		{"SCRAM-SHA-256", []string{"-", "-"}, ErrMalformed},
		{"SCRAM-SHA-256", []string{""}, ErrMalformed},
		{"SCRAM-SHA-256", []string{"n,,n=alice,r="}, ErrMalformed},
		{"SCRAM-SHA-256", []string{"n,,m=x,n=alice,r=abc"}, ErrMalformed},
		{"SCRAM-SHA-256", []string{"n,,n=al=ice,r=abc"}, ErrMalformed},
		{"SCRAM-SHA-256", []string{"n,a=bob,n=alice,r=abc"}, ErrCredentials},
		{"SCRAM-SHA-256", []string{"p=tls-exporter,,n=alice,r=abc"}, ErrMalformed},
		{"SCRAM-SHA-256", []string{"n,,n=alice,r=abc", "c=biws,r=abc,p=AAAA"}, ErrMalformed},
		{"SCRAM-SHA-256", []string{"n,,n=alice,r=abc", "biws"}, ErrMalformed},
		{"SCRAM-SHA-256", []string{"n,,n=alice,r=" + strings.Repeat("a", 3000)}, ErrMalformed},
	} {
		d, _ := newDirectory(t, Config{})
		x, err := d.Exchange(c.mech, imapFrom(home1), false)
		must(t, err)
		var login *Login
		for _, s := range c.say {
			var response []byte
			if s != "-" {
				response = []byte(s)
			}
			if _, login, err = x.Next(t.Context(), response); err != nil {
				break
			}
		}
		name := fmt.Sprintf("%s %q", c.mech, c.say)
		if want, ok := c.want.(error); ok {
			if !errors.Is(err, want) || login != nil {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
			continue
		}
		if err != nil || login == nil || login.Account != c.want {
			t.Errorf("%s: %v, %v", name, login, err)
			continue
		}
		if _, again, err := x.Next(t.Context(), []byte("\x00alice@example.org\x00right")); again != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: the exchange went on after its end: %v", name, err)
		}
	}
}

// playScram plays a conversation of an independent client with us.
func playScram(t *testing.T, d *Directory, mech string, c Client, conv *scram.ClientConversation) (*Login, error) {
	t.Helper()
	x, err := d.Exchange(mech, c, true)
	must(t, err)
	challenge, _, err := x.Next(t.Context(), nil)
	must(t, err)
	for {
		say, err := conv.Step(string(challenge))
		if err != nil {
			t.Fatalf("the client failed at %q: %v", challenge, err)
		}
		var login *Login
		if challenge, login, err = x.Next(t.Context(), []byte(say)); err != nil || login != nil {
			if err == nil && !conv.Valid() {
				t.Error("the client does not know our signature")
			}
			return login, err
		}
	}
}

func TestScramWithAnIndependentClient(t *testing.T) {
	d, _ := newDirectory(t, Config{})
	app, err := d.AddAppPassword(t.Context(), AppPassword{Account: "alice", Name: "phone", Services: []Service{IMAP}})
	must(t, err)
	must(t, d.AddAccount(t.Context(), "y=z@example.org", "I\u00adX"))
	must(t, d.AddAccount(t.Context(), "out@example.org", "right"))
	must(t, d.UpdateAccount(t.Context(), Account{Name: "out@example.org", Disabled: true}))
	for _, c := range []struct {
		user, password string
		service        Service
		want, app      string
	}{
		{"alice@example.org", "right", SMTP, "alice@example.org", ""},
		{"ALICE", "right", SMTP, "alice@example.org", ""},
		{"alice@example.org", app, IMAP, "alice@example.org", "phone"},
		{"alice@example.org", app, SMTP, "", ""},
		{"y=z@example.org", "IX", IMAP, "y=z@example.org", ""}, // RFC 4013 3: a soft hyphen maps to nothing
		{"alice@example.org", "wrong", IMAP, "", ""},
		{"nobody@example.org", "right", IMAP, "", ""},
		{"out@example.org", "right", IMAP, "", ""},
	} {
		client, err := scram.SHA256.NewClient(c.user, c.password, "")
		must(t, err)
		l, err := playScram(t, d, "SCRAM-SHA-256", Client{Addr: home1, Service: c.service}, client.NewConversation())
		if c.want == "" {
			wantErr(t, err, ErrCredentials)
			continue
		}
		must(t, err)
		if l.Account != c.want || l.AppPassword != c.app {
			t.Errorf("%s: %+v", c.user, l)
		}
	}
}

func TestUnknownUserLooksTheSameInScram(t *testing.T) {
	d, _ := newDirectory(t, Config{})
	first := func(user string) string {
		x, err := d.Exchange("SCRAM-SHA-256", imapFrom(home1), false)
		must(t, err)
		challenge, _, err := x.Next(t.Context(), []byte("n,,n="+user+",r=abc"))
		must(t, err)
		_, rest, _ := strings.Cut(string(challenge), ",")
		return rest
	}
	known, ghost, other := first("alice"), first("ghost"), first("other")
	if ghost == other || ghost != first("GHOST@example.org") || known != first("ALICE@example.org") {
		t.Error("salts don't follow the user")
	}
	if len(known) != len(ghost) || known[strings.Index(known, ",i="):] != ghost[strings.Index(ghost, ",i="):] {
		t.Errorf("%s and %s differ in form", known, ghost)
	}
}

func TestScramPlus(t *testing.T) {
	server, client, leaf := tlsPair(t)
	d, _ := newDirectory(t, Config{Plus: true, Leaf: func(string) *x509.Certificate { return leaf }})
	exporter, err := scram.NewTLSExporterBinding(client)
	must(t, err)
	endPoint, err := scram.NewTLSServerEndpointBinding(client)
	must(t, err)
	wrong := exporter
	wrong.Data = slices.Clone(wrong.Data)
	wrong.Data[0] ^= 1
	sc, err := scram.SHA256.NewClient("alice", "right", "")
	must(t, err)
	c := Client{Addr: home1, Service: IMAP, TLS: server}

	for what, conv := range map[string]*scram.ClientConversation{
		"tls-exporter":         sc.NewConversationWithChannelBinding(exporter),
		"tls-server-end-point": sc.NewConversationWithChannelBinding(endPoint),
	} {
		if l, err := playScram(t, d, "SCRAM-SHA-256-PLUS", c, conv); err != nil || l == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = playScram(t, d, "SCRAM-SHA-256-PLUS", c, sc.NewConversationWithChannelBinding(wrong))
	wantErr(t, err, ErrMalformed)
	_, err = playScram(t, d, "SCRAM-SHA-256-PLUS", c, sc.NewConversation())
	wantErr(t, err, ErrMalformed)
	_, err = playScram(t, d, "SCRAM-SHA-256", c, sc.NewConversationAdvertisingChannelBinding())
	wantErr(t, err, ErrMalformed) // "y": somebody took -PLUS off our list
	_, err = playScram(t, d, "SCRAM-SHA-256", c, sc.NewConversation())
	must(t, err)
}

// tlsPair makes a TLS connection and returns both ends' states and the server's certificate.
func tlsPair(t *testing.T) (server, client *tls.ConnectionState, leaf *x509.Certificate) {
	t.Helper()
	cfg, pool := loopback.Certificate(t, "mail.example.org")
	cfg.SessionTicketsDisabled = true
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	s := tls.Server(a, cfg)
	c := tls.Client(b, &tls.Config{RootCAs: pool, ServerName: "mail.example.org"})
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(t.Context()) }()
	must(t, c.HandshakeContext(t.Context()))
	must(t, <-done)
	ss, cs := s.ConnectionState(), c.ConnectionState()
	return &ss, &cs, cfg.Certificates[0].Leaf
}

func FuzzSASL(f *testing.F) {
	d, _ := newDirectory(f, Config{Throttle: true})
	for i, s := range []string{"\x00alice@example.org\x00right", "alice", "n,,n=alice,r=abc", "y,a=alice,n=alice,r=x", "p=tls-exporter,,n=a,r=b", "c=biws,r=abc,p=AAAA"} {
		f.Add(uint8(i), []byte(s), []byte("c=biws,r=abc,p="+strings.Repeat("A", 43)+"="))
	}
	names := []string{"PLAIN", "LOGIN", "SCRAM-SHA-256"}
	f.Fuzz(func(t *testing.T, which uint8, one, two []byte) {
		x, err := d.Exchange(names[int(which)%len(names)], imapFrom(home1), false)
		must(t, err)
		for _, response := range [][]byte{one, two, {}} {
			challenge, login, err := x.Next(t.Context(), response)
			if login != nil && (err != nil || login.Account != "alice@example.org") {
				t.Fatalf("login %+v with %v", login, err)
			}
			if err == nil && login == nil && challenge == nil {
				t.Fatal("neither a challenge nor an end")
			}
			if login != nil {
				login.Release()
				return
			}
			if err != nil {
				if !errors.Is(err, ErrCredentials) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrThrottled) {
					t.Fatal(err)
				}
				return
			}
		}
	})
}

func FuzzResolve(f *testing.F) {
	d := village(f, Config{Separators: "+-", IgnoreDots: true})
	f.Add("alice+shop", "example.org")
	f.Add("jörg", "münchen.example")
	f.Add("+-", "catch.example")
	f.Fuzz(func(t *testing.T, local, domain string) {
		a := spec(t, "x@example.org")
		a.Local, a.Domain = local, domain
		if r, err := d.Resolve(t.Context(), a); err == nil && len(r.Accounts)+len(r.Remote) == 0 {
			t.Fatal("neither a target nor an error")
		}
		d.Password(t.Context(), imapFrom(home1), local+"@"+domain, "x")
	})
}
