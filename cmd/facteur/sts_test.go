package main

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"facteur/admin"
)

// Two servers: one publishes a policy and takes mail, the other fetches the policy over HTTPS and sends.
// The third has a certificate that nobody believes in, and what stands between the two takes it for the MX.
func TestMTASTSBetweenTwoServers(t *testing.T) {
	for _, c := range []struct {
		name, mode    string
		wrong, taken  bool
		story, logged string
	}{
		{"enforce", "enforce", false, true, ` verified"`, ""},
		{"enforce, wrong certificate", "enforce", true, false, "451 4.7.5 ", "TLS as demanded is not to be had (MTA-STS)"},
		{"testing, wrong certificate", "testing", true, true, " unverified", "MTA-STS in mode testing: delivery would have failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			receiver := startDaemon(t, "", func(cfg *Config, _ *Deps) {
				cfg.Listen.HTTPS = cfg.Listen.MX
				cfg.Web.MTASTS = c.mode
				cfg.TLS.Hosts = append(cfg.TLS.Hosts, "mta-sts.example.org")
			})
			mx := receiver
			if c.wrong {
				mx = startDaemon(t, "") // its CA is another
			}
			sender := startSender(t, receiver, mx)
			client := sender.submit("carol@sender.test")
			reply := client.mail("carol@sender.test", []string{"ann@example.org"}, "From: carol@sender.test\r\nSubject: x\r\n\r\nx")
			id := reply[strings.LastIndexByte(reply, ' ')+1:]
			if c.taken {
				mx.waitFor("ann@example.org", "INBOX")
			}
			story := sender.waitForStory(id)
			if !strings.Contains(story, c.story) || !strings.Contains(sender.log.String(), c.logged) || strings.Contains(story, "deferred") == c.taken {
				t.Errorf("want %q and %q:\n%s", c.story, c.logged, story)
			}
			if n := mx.mailboxes("ann@example.org")["INBOX"]; (n == 1) != c.taken {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
}

// HTTP/2 was agreed on at the handshake and then not spoken: browsers, curl and Go's own client got no answer.
func TestHTTP2WasAgreedOnAndNotSpoken(t *testing.T) {
	d := startDaemon(t, "", func(cfg *Config, _ *Deps) { cfg.Listen.HTTPS = cfg.Listen.MX })
	for _, version := range []int{1, 2} {
		var protocols http.Protocols
		protocols.SetHTTP1(version == 1)
		protocols.SetHTTP2(version == 2)
		client := http.Client{Transport: &http.Transport{TLSClientConfig: d.clientTLS(), Protocols: &protocols, DisableKeepAlives: true}}
		resp, err := client.Get("https://" + d.Addr(serviceHTTPS).String() + "/health")
		if err != nil {
			t.Errorf("HTTP/%d: %v", version, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != version {
			t.Errorf("HTTP/%d: %s %s", version, resp.Proto, resp.Status)
		}
	}
}

// startSender starts a server of sender.test that reaches another's web site and an MX under public
// addresses, and believes in the first one's authority.
func startSender(t *testing.T, site, mx *testDaemon) *testDaemon {
	t.Helper()
	records, err := site.service.DomainRecords(context.Background(), admin.Name{Name: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	var zone strings.Builder
	writeZone(&zone, records)
	public := strings.ReplaceAll(zone.String(), "127.0.0.1", "192.0.2.25")
	places := map[string]net.Addr{"192.0.2.25:25": mx.Addr(serviceMX), "192.0.2.25:443": site.Addr(serviceHTTPS)}
	dir := shortDir(t)
	d := startDaemonIn(t, dir, public, func(cfg *Config, deps *Deps) {
		cfg.Hostname = "mail.sender.test"
		deps.Elsewhere = nil
		deps.Roots = x509.NewCertPool()
		deps.Roots.AddCert(site.ca.Cert)
		deps.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if to, ok := places[address]; ok {
				address = to.String()
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	ctx := context.Background()
	if _, err := d.service.AddDomain(ctx, admin.Domain{Name: "sender.test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.service.AddAccount(ctx, admin.NewAccount{Name: "carol@sender.test", Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	return d
}

// waitForStory returns what explain tells of a message as soon as another server has been tried.
func (d *testDaemon) waitForStory(id string) string {
	d.t.Helper()
	story := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		story = facteur(d.t, exitOK, "--data", d.dir, "explain", id)
		if strings.Contains(story, "dest=") {
			return story
		}
	}
	d.t.Fatalf("not tried:\n%s", story)
	return ""
}
