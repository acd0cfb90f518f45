package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"facteur/mta/dns"
)

// The names in "check --json" are a promise to scripts.
func TestCheckSaysWhatTheMXWould(t *testing.T) {
	const folder = "../../auth/sender/testdata/espoofer"
	for _, c := range []struct {
		name string
		code int
		want map[string]string
	}{
		{"001-honest", exitOK, map[string]string{
			"spf.result": "pass", "dkim.0.result": "pass", "dkim.0.domain": "bank.example", "dkim.0.selector": "sel", "dkim.0.algorithm": "rsa-sha256",
			"dkim.0.reason": "", "arc.result": "none", "dmarc.result": "pass", "dmarc.policy": "reject", "dmarc.domain": "bank.example",
			"from": "ceo@bank.example", "disposition": "accept", "reply": "250 2.0.0 Accepted"}},
		{"002-plain-forgery", exitRefused, map[string]string{"dmarc.result": "fail", "disposition": "reject", "reply": "550 5.7.1 Refused"}},
		{"003-forged-mail-from", exitRefused, map[string]string{"spf.result": "fail", "spf.explanation": "not ours", "disposition": "reject"}},
		{"013-two-from-forged-first", exitRefused, map[string]string{"from": "", "disposition": "reject", "reply": "550 5.6.0 Refused"}},
		{"067-key-below-the-forger", exitRefused, map[string]string{"spf.reason": "dns: TXT broken.bank.example: no answer", "dmarc.result": "temperror", "disposition": "reject", "reply": "451 4.7.1 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(folder, c.name)
			zone := strings.Replace(readFile(t, folder+"/zone")+readFile(t, dir+"/zone"), `"v=spf1 ip4:192.0.2.1 -all"`, `"v=spf1 ip4:192.0.2.1 -all exp=why.bank.example"`, 1)
			server := dns.TestServer(t, zone+"\nwhy.bank.example. IN TXT \"not ours\"\n").String()
			envelope := readWords(t, dir+"/envelope")
			out := facteur(t, c.code, "check", dir+"/in.eml", "--json", "--dns", server, "--ip", envelope["ip"], "--from", envelope["from"], "--helo", envelope["helo"])
			if want := c.want["spf.reason"]; want != "" && jsonAt(t, out, "spf.reason") != want {
				t.Errorf("the reason tells whom we ask: %s", jsonAt(t, out, "spf.reason"))
			}
			for path, want := range c.want {
				if got := jsonAt(t, out, path); !strings.HasPrefix(got, want) || want == "" && got != "" {
					t.Errorf("%s is %q, want %q", path, got, want)
				}
			}
		})
	}
}

func TestCheckWithoutAMessageIsSPF(t *testing.T) {
	server := dns.TestServer(t, "a.test. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n").String()
	out := facteur(t, exitOK, "check", "--json", "--dns", server, "--ip", "192.0.2.1", "--from", "x@a.test", "--helo", "a.test")
	if got := jsonAt(t, out, "spf.result"); got != "pass" || strings.Contains(out, "dmarc") || !strings.Contains(out, `"lookups"`) {
		t.Errorf("%s", out)
	}
	facteur(t, exitUsage, "check", "--ip", "nonsense")
}

// jsonAt reads the string at a path such as "dkim.0.result".
func jsonAt(t *testing.T, text, path string) string {
	t.Helper()
	var at any
	if err := json.Unmarshal([]byte(text), &at); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			var ok bool
			if at, ok = v[name]; !ok {
				t.Fatalf("%s is missing in %s", path, text)
			}
		case []any:
			if name != "0" || len(v) == 0 {
				t.Fatalf("%s is missing in %s", path, text)
			}
			at = v[0]
		}
	}
	s, ok := at.(string)
	if !ok {
		t.Fatalf("%s is %v", path, at)
	}
	return s
}
