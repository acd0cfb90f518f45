package main

import (
	"slices"
	"strings"
	"testing"
)

func TestDKIMRotatesInTwoSteps(t *testing.T) {
	d := startDaemon(t, elsewhere)
	rotate := func(hint string, want ...string) {
		t.Helper()
		out := facteur(t, exitOK, "--data", d.dir, "dkim", "rotate", "example.org")
		var states []string
		for line := range strings.Lines(out) {
			if what, ok := strings.CutPrefix(line, "; DKIM key, "); ok {
				states = append(states, strings.TrimSpace(what))
			}
		}
		slices.Sort(states)
		if !slices.Equal(states, want) || strings.Count(out, "v=DKIM1") != 4 || !strings.Contains(out, hint) {
			t.Errorf("want %q:\n%s", want, out)
		}
	}
	selectors := func() string {
		t.Helper()
		c := d.submit("ben@example.org")
		c.mail("ben@example.org", []string{"carol@elsewhere.test"}, "From: ben@example.org\r\n\r\nx")
		var found []string
		for word := range strings.FieldsSeq(d.take("ann@example.org", "Sink")) {
			if s, ok := strings.CutPrefix(word, "s="); ok {
				found = append(found, strings.TrimRight(s, "b0123456789;")+strings.Repeat("b", strings.Count(s, "b")))
			}
		}
		slices.Sort(found)
		return strings.Join(found, " ")
	}

	rotate("Publish", "ed25519-sha256, active", "ed25519-sha256, waiting", "rsa-sha256, active", "rsa-sha256, waiting")
	rotate("Publish", "ed25519-sha256, active", "ed25519-sha256, waiting", "rsa-sha256, active", "rsa-sha256, waiting")
	if got := selectors(); got != "ed rsa" {
		t.Errorf("keys that nobody can look up sign: %s", got)
	}
	d.publish(elsewhere)
	rotate("week", "ed25519-sha256, active", "ed25519-sha256, retired", "rsa-sha256, active", "rsa-sha256, retired")
	if got := selectors(); got != "edb rsab" {
		t.Errorf("after the rotation %s sign", got)
	}
}
