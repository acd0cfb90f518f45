package main

import (
	"net/netip"
	"strings"
	"testing"
)

// A list that a subscriber's domain has not signed for fails DMARC; whom the owner trusts decides.
func TestTrustSetsPoliciesAside(t *testing.T) {
	const zone = `author.test. IN TXT "v=spf1 -all"
_dmarc.author.test. IN TXT "v=DMARC1; p=reject"
lists.test. IN TXT "v=spf1 ip4:192.0.2.9 -all"
`
	const mail = "From: Ann <ann@author.test>\r\nTo: ben@example.org\r\nSubject: x\r\n\r\nHello.\r\n"
	for name, c := range map[string]struct{ trust, from, reply, recorded string }{
		"nobody":             {``, "bounces@lists.test", "550 5.7.1", ""},
		"a list":             {`via = "lists.test"` + "\n" + `reason = "mailing_list"`, "bounces@lists.test", "250", "policy set aside: mailing_list"},
		"a forwarder":        {`via = "lists.test"`, "bounces@lists.test", "250", "policy set aside: trusted_forwarder"},
		"not its mail":       {`via = "lists.test"`, "ann@author.test", "550 5.7.1", ""},
		"an author":          {`author = "ann@author.test"`, "bounces@lists.test", "250", "policy set aside: local_policy"},
		"a domain":           {`author = "author.test"`, "ann@author.test", "250", "policy set aside: local_policy"},
		"another author":     {`author = "ben@author.test"`, "bounces@lists.test", "550 5.7.1", ""},
		"author by the list": {`via = "lists.test"` + "\n" + `author = "author.test"`, "bounces@lists.test", "250", "policy set aside: trusted_forwarder"},
		"author not by it":   {`via = "else.test"` + "\n" + `author = "author.test"`, "bounces@lists.test", "550 5.7.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := "hostname = \"mail.example.org\"\n"
			if c.trust != "" {
				text += "[[mx.trust]]\n" + c.trust + "\n"
			}
			cfg, err := ParseConfig("facteur.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			from := &strangers{}
			addr := netip.MustParseAddr("192.0.2.9")
			from.from.Store(&addr)
			d := startDaemon(t, zone, func(changed *Config, deps *Deps) {
				changed.MX = cfg.MX
				from.replace(t, changed, deps)
			})
			reply := d.forge(t, from, map[string]string{"ip": "192.0.2.9", "helo": "lists.test", "from": c.from}, mail)
			if !strings.HasPrefix(reply, c.reply) {
				t.Errorf("%s, want %s", reply, c.reply)
			}
			if c.recorded != "" {
				if got := d.waitFor("ann@example.org", "INBOX"); !strings.Contains(got, c.recorded) || !strings.Contains(got, "dmarc=fail") {
					t.Errorf("%q is not recorded:\n%s", c.recorded, got)
				}
			}
		})
	}
}

func TestTrustNeedsAReasonOfTheRFC(t *testing.T) {
	_, err := ParseConfig("facteur.toml", []byte("hostname = \"mail.example.org\"\n[[mx.trust]]\nvia = \"lists.test\"\nreason = \"friends\"\n"))
	if err == nil || !strings.Contains(err.Error(), "friends") {
		t.Errorf("%v", err)
	}
}
