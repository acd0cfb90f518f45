package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"facteur/admin"
	"facteur/mta/dns"
)

// What quickstart prints, published, passes; what is left out or wrong is told.
func TestDomainCheckComparesDNSWithOurRecords(t *testing.T) {
	config, zone := quickstarted(t)
	for _, tt := range []struct {
		name, old, new string
		code           int
		want           string
	}{
		{"as printed", "", "", exitOK, "ok  PTR  192.0.2.4  mail.example.org."},
		{"another preference", "MX 10 ", "MX 20 ", exitOK, "ok  MX  example.org."},
		{"a stricter policy", "p=quarantine", "p=reject", exitOK, "own  TXT  _dmarc.example.org.  v=DMARC1; p=reject"},
		{"an address for a CNAME", "autoconfig.example.org. IN CNAME mail.example.org.", "autoconfig.example.org. IN A 192.0.2.4", exitOK, "ok  CNAME  autoconfig.example.org."},
		{"CNAME to elsewhere", "autoconfig.example.org. IN CNAME mail.example.org.", "autoconfig.example.org. IN A 192.0.2.9", exitProblems, "differs  CNAME  autoconfig.example.org.  is 192.0.2.9"},
		{"no reverse name", "4.2.0.192.in-addr.arpa.", "5.2.0.192.in-addr.arpa.", exitProblems, "missing  PTR  192.0.2.4  should be mail.example.org."},
		{"no MX", "example.org. IN MX 10 mail.example.org.", "", exitProblems, "missing  MX  example.org."},
		{"MX of another", "MX 10 mail.example.org.", "MX 10 old.example.net.", exitProblems, "differs  MX  example.org.  is 10 old.example.net., should be 10 mail.example.org."},
		{"a DKIM key cut off", "IDAQAB\"", "\"", exitProblems, "differs  TXT  rsa"},
		{"two SPF records", "example.org. IN TXT \"v=spf1 mx -all\"", "example.org. IN TXT \"v=spf1 mx -all\"\nexample.org. IN TXT \"v=spf1 -all\"", exitProblems, "differs  TXT  example.org."},
		{"services that are not there", "_pop3._tcp.example.org. IN SRV 0 0 0 .", "", exitOK, "ok  SRV  _pop3._tcp.example.org."},
		{"no answer", "_imaps._tcp", ";! servfail _imaps._tcp.example.org.\n_imaps._tcp", exitProblems, "unknown  SRV  _imaps._tcp.example.org."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(zone, tt.old) {
				t.Fatalf("no %q in\n%s", tt.old, zone)
			}
			server := dns.TestServer(t, strings.Replace(zone, tt.old, tt.new, 1))
			out := facteur(t, tt.code, "--config", config, "domain", "check", "example.org", "--dns", server.String())
			if !strings.Contains(strings.Join(strings.Fields(out), "  "), strings.Join(strings.Fields(tt.want), "  ")) {
				t.Errorf("%q is missing in\n%s", tt.want, out)
			}
		})
	}
	facteur(t, exitNotFound, "--config", config, "domain", "check", "example.com")
}

// A server with two addresses had each of its reverse names compared, printed and counted twice.
func TestReverseNamesAreComparedOnce(t *testing.T) {
	const zone = "mail.example.org. IN A 192.0.2.4\nmail.example.org. IN A 192.0.2.5\n4.2.0.192.in-addr.arpa. IN PTR mail.example.org.\n"
	r, err := dns.New(dns.Config{Servers: []netip.AddrPort{dns.TestServer(t, zone)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range comparePublished(t.Context(), r, []admin.Record{
		{Name: "mail.example.org.", Type: "A", Data: "192.0.2.4"}, {Name: "mail.example.org.", Type: "A", Data: "192.0.2.5"},
	}) {
		got = append(got, fmt.Sprint(p.Type, " ", p.Name, " ", p.State))
	}
	want := []string{"A mail.example.org. ok", "PTR 192.0.2.4 ok", "PTR 192.0.2.5 missing", "A mail.example.org. ok"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Behind NAT nobody but the owner knows the public address.
func TestRecordsBehindNATLeaveTheAddressToTheOwner(t *testing.T) {
	var zone strings.Builder
	writeZone(&zone, admin.Site{Hostname: "mail.example.org"}.Records("example.org", nil))
	if want := "only private addresses"; !strings.Contains(zone.String(), want) || !strings.Contains(zone.String(), "\n; mail.example.org. IN A PUBLIC-ADDRESS\n") {
		t.Errorf("nothing said of the address:\n%s", zone.String())
	}
	if _, err := dns.NewZone(zone.String()); err != nil {
		t.Errorf("%v in\n%s", err, zone.String())
	}
}

// quickstarted is a configuration of example.org with all it needs, and the zone to publish for it.
func quickstarted(t *testing.T) (config, zone string) {
	t.Helper()
	dir := t.TempDir()
	config = filepath.Join(dir, "facteur.toml")
	out := facteur(t, exitOK, "quickstart", "you@example.org", "--config", config, "--data", filepath.Join(dir, "data"))
	if want := "facteur mx gmail.com --connect"; !strings.Contains(out, want) {
		t.Errorf("quickstart does not name %q:\n%s", want, out)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte(`#mx = [":25"]`), []byte(`mx = ["192.0.2.4:25"]`), 1)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	zone = facteur(t, exitOK, "--config", config, "domain", "records", "example.org")
	return config, strings.Replace(zone, "; 4.2.0.192.in-addr.arpa. ", "4.2.0.192.in-addr.arpa. ", 1)
}

// go-msgauth reads the DMARC policy and checks our signatures by the keys in DNS.
func TestDomainCheckAsksAnotherProgram(t *testing.T) {
	config, zone := quickstarted(t)
	record := regexp.MustCompile(`(ed\w+\._domainkey\.example\.org\.) IN TXT "v=DKIM1; k=ed25519; p=([\w+/]+=)"`).FindStringSubmatch(zone)
	if record == nil {
		t.Fatalf("no Ed25519 key in\n%s", zone)
	}
	line, name, key := record[0], record[1], record[2]
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := base64.StdEncoding.EncodeToString(public)
	for _, tt := range []struct {
		what, old, new string
		code           int
		name           string
		state          publishedState
		reader         string
	}{
		{"as printed", "", "", exitOK, name, recordOK, "pass"},
		{"policy as printed", "", "", exitOK, "_dmarc.example.org.", recordOK, "pass"},
		{"the key in other words", "k=ed25519; p=", "t=s;k=ed25519;p=", exitOK, name, recordOwn, "pass"},
		{"another key", key, other, exitProblems, name, recordDiffers, "fail: dkim: signature did not verify"},
		{"half a key", key, key[:20], exitProblems, name, recordDiffers, "fail: dkim: invalid Ed25519 public key size"},
		{"something beside the key", line, line + "\n" + name + ` IN TXT "hello"`, exitProblems, name, recordBroken, "fail: dkim: multiple TXT records"},
		{"no key", line, "", exitProblems, name, recordMissing, ""},
		{"nobody answers for the key", line, ";! servfail " + name, exitProblems, name, recordUnknown, ""},
		{"a policy there is not", "p=quarantine", "p=quarantaine", exitProblems, "_dmarc.example.org.", recordBroken, "fail: dmarc: invalid policy"},
		{"a version in small letters", "v=DMARC1", "v=dmarc1", exitProblems, "_dmarc.example.org.", recordBroken, "fail: dmarc: no policy found"},
		{"a policy of their own", "p=quarantine", "p=none; sp=reject", exitOK, "_dmarc.example.org.", recordOwn, "pass"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			server := dns.TestServer(t, strings.Replace(zone, tt.old, tt.new, 1)).String()
			out := facteur(t, tt.code, "--config", config, "domain", "check", "example.org", "--dns", server, "--json")
			var list []published
			if err := json.NewDecoder(strings.NewReader(out)).Decode(&list); err != nil {
				t.Fatalf("%v in\n%s", err, out)
			}
			i := slices.IndexFunc(list, func(p published) bool { return p.Name == tt.name && p.Type == "TXT" })
			if i < 0 {
				t.Fatalf("no %s in\n%s", tt.name, out)
			}
			if p := list[i]; p.State != tt.state || !strings.HasPrefix(p.Reader, tt.reader) || (p.Reader == "") != (tt.reader == "") {
				t.Errorf("state %q, reader %q, want %q, %q", p.State, p.Reader, tt.state, tt.reader)
			}
			out = facteur(t, tt.code, "--config", config, "domain", "check", "example.org", "--dns", server)
			if want := "another program's check: " + tt.reader; tt.reader != "" && !strings.Contains(out, want) {
				t.Errorf("%q is missing in\n%s", want, out)
			}
		})
	}
}
