package remote

import (
	"strings"
	"testing"

	"facteur/mta"
	"facteur/mta/dns"
)

// TestMXThatIsNoHostName: DNS may hold any octets, and what a server is called stands in logs and reports.
func TestMXThatIsNoHostName(t *testing.T) {
	evil := "mx.\r\n\r\nYour password has expired\x1b[2J.x.test"
	for name, tt := range map[string]struct {
		mx   []dns.MX
		want string
	}{
		"alone":             {[]dns.MX{{Preference: 10, Host: evil}}, "550 5.4.4"},
		"beside a good one": {[]dns.MX{{Preference: 10, Host: evil}, {Preference: 20, Host: "mx.x.test"}}, "451 4.4.1 unreachable"},
		"beside a null MX":  {[]dns.MX{{Preference: 10, Host: evil}, {Preference: 0}}, "556 5.1.10"},
	} {
		t.Run(name, func(t *testing.T) {
			z := &zone{mx: map[string][]dns.MX{"x.test": tt.mx}, four: map[string][]string{evil: {"192.0.2.1"}, "mx.x.test": {"192.0.2.2"}}}
			p := &peers{t: t, scripts: map[string][]script{}}
			s := New(Config{Resolver: z, Hello: "home.test", Dial: p.dial})
			defer s.Close()
			m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("Subject: hi\r\n\r\nHello\r\n"))}
			r := s.Deliver(t.Context(), m, []mta.Recipient{{Address: parse(t, "b@x.test")}})[0]
			if got := resultText(r); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if strings.Contains(resultText(r)+r.Err.Error(), "password") {
				t.Errorf("the name got into %q", r.Err)
			}
		})
	}
}
