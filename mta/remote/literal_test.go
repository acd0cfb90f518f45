package remote

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"facteur/mta"
	"facteur/mta/dns"
	"facteur/test/loopback"
)

// TestServerName: an address is never named in the handshake (RFC 6066 3: some servers break it off over that, and the mail
// went in the clear), but it is what the certificate of an address literal's server has to be for.
func TestServerName(t *testing.T) {
	for to, want := range map[string]string{
		"b@x.test":             "mx.x.test",
		"b@[192.0.2.1]":        "",
		"b@[IPv6:2001:db8::1]": "",
	} {
		t.Run(to, func(t *testing.T) {
			cert, pool := loopback.Certificate(t, "mx.x.test", "192.0.2.1", "2001:db8::1")
			var mu sync.Mutex
			var named string
			cert.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				mu.Lock()
				defer mu.Unlock()
				named = hello.ServerName
				return nil, nil
			}
			says := append(script{"S: 220 hello", "C: EHLO home.test", "S: 250-x", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go", "tls",
				"C: EHLO home.test", "S: 250 x"}, afterLogin...)
			address := parse(t, to)
			for n, line := range says {
				says[n] = strings.Replace(line, "b@x.test", wireAddress(address, false), 1)
			}
			p := &peers{t: t, scripts: map[string][]script{"192.0.2.1": {says}, "2001:db8::1": {says}}, cert: cert}
			z := &zone{mx: map[string][]dns.MX{"x.test": {{Preference: 10, Host: "mx.x.test"}}}, four: map[string][]string{"mx.x.test": {"192.0.2.1"}}}
			s := New(Config{Resolver: z, Hello: "home.test", Dial: p.dial, Roots: pool})
			m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("Subject: hi\r\n\r\nHello\r\n"))}
			m.Env.MailFrom = parse(t, "a@home.test")
			r := s.Deliver(t.Context(), m, []mta.Recipient{{Address: address}})[0]
			s.Close()
			p.wg.Wait()
			if got := resultText(r); !strings.HasSuffix(got, " verified]") {
				t.Error(got)
			}
			if mu.Lock(); named != want {
				t.Errorf("the handshake named %q, want %q", named, want)
			}
		})
	}
}

// TestLiteralOfOurOwn: mail for an address that is this server's loops, however the address is written.
func TestLiteralOfOurOwn(t *testing.T) {
	for _, to := range []string{"b@[192.0.2.9]", "b@[IPv6:::ffff:192.0.2.9]", "b@[IPv6:2001:DB8:0::9]"} {
		s := New(Config{Resolver: &zone{}, Hello: "home.test", SelfAddrs: addrs([]string{"192.0.2.9", "2001:db8::9"}),
			Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				return nil, fmt.Errorf("dialled %s", address)
			}})
		m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("\r\n"))}
		if got := resultText(s.Deliver(t.Context(), m, []mta.Recipient{{Address: parse(t, to)}})[0]); !strings.HasPrefix(got, "554 5.4.6 ") {
			t.Errorf("%s: %s", to, got)
		}
		s.Close()
	}
}
