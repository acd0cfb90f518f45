package smtpd

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// Every message has exactly one line of its own, accepted or refused, with its ID and Message-ID.
func TestOneLinePerMessage(t *testing.T) {
	for _, c := range []struct {
		facts Facts
		text  string
		reply string
		want  map[string]any
	}{
		{Facts{SPF: "pass", DMARC: "pass", DKIM: []string{"pass example.org x"}}, "Message-ID: <1@example.org>\r\n\r\n.", "250",
			map[string]any{"msg": "message accepted", "message-id": "<1@example.org>", "spf": "pass", "dkim": "pass example.org x", "action": "accept"}},
		{Facts{DMARC: "fail", DMARCPolicy: "reject", DMARCDomain: "bank.test"}, "Message-ID:\r\n <2@example.org>\r\n\r\n.", "550",
			map[string]any{"msg": "message refused", "message-id": "<2@example.org>", "action": "reject", "why": "dmarc reject"}},
		{Facts{}, "Message-ID: <3@example.org>\r\n\r\nx\n\r\n.", "550", map[string]any{"msg": "message refused"}},
	} {
		var log bytes.Buffer
		b := &backend{facts: c.facts}
		cfg := testConfig(t, MX, b)
		cfg.Log = slog.New(slog.NewJSONHandler(&log, nil))
		p := dial(t, start(t, cfg))
		p.want("220")
		p.ask("EHLO sender.example.org", "250")
		p.ask("MAIL FROM:<a@example.org>", "250")
		p.ask("RCPT TO:<bob@example.test>", "250")
		p.ask("DATA", "354")
		p.ask(c.text, c.reply)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 1 {
			t.Fatalf("%d lines: %s", len(lines), log.String())
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
			t.Fatal(err)
		}
		c.want["from"], c.want["to"], c.want["helo"], c.want["listener"] = "<a@example.org>", "<bob@example.test>", "sender.example.org", "mx"
		for k, v := range c.want {
			if got[k] != v {
				t.Errorf("%s is %v, want %v, in %s", k, got[k], v, lines[0])
			}
		}
		if id, _ := got["id"].(string); len(id) != 16 {
			t.Errorf("id %q", id)
		}
	}
}

// A client that went away in the middle of a login stood in the log as a fault of ours.
func TestClientGoneInALoginWasLoggedAsAFault(t *testing.T) {
	var log bytes.Buffer
	cfg := testConfig(t, Submission, &backend{})
	cfg.PlainAuth = true
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.handle(t.Context(), ours)
	}()
	theirs.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(theirs)
	for _, line := range []string{"", "EHLO x.example\r\n", "AUTH LOGIN\r\n"} {
		if line != "" {
			if _, err := theirs.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		for more := true; more; {
			answer, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			more = answer[3] == '-'
		}
	}
	theirs.Close()
	<-done
	if text := log.String(); strings.Contains(text, "level=ERROR") || !strings.Contains(text, "login failed") {
		t.Errorf("log:\n%s", text)
	}
}
