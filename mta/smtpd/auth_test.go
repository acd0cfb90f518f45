package smtpd

import (
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/xdg-go/scram"

	"facteur/auth"
)

// scramClient makes a sasl.Client of xdg-go's SCRAM conversation.
type scramClient struct{ c *scram.ClientConversation }

func (s scramClient) Start() (string, []byte, error) {
	first, err := s.c.Step("")
	return "SCRAM-SHA-256", []byte(first), err
}

func (s scramClient) Next(challenge []byte) ([]byte, error) {
	response, err := s.c.Step(string(challenge))
	return []byte(response), err
}

func newSCRAM(t *testing.T, user, password string) sasl.Client {
	t.Helper()
	c, err := scram.SHA256.NewClient(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	return scramClient{c.NewConversation()}
}

// Every mechanism against the real directory, with clients of other authors.
func TestLoginWithDirectory(t *testing.T) {
	const user, password = "alice@example.test", "correct horse battery"
	dir, err := auth.Open(filepath.Join(t.TempDir(), "server.db"), auth.Config{Log: slog.New(slog.DiscardHandler), Now: time.Now, Separators: "+"})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.AddDomain(t.Context(), auth.Domain{Name: "example.test"}); err != nil {
		t.Fatal(err)
	}
	if err := dir.AddAccount(t.Context(), user, password); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, Submissions, &backend{})
	cfg.Auth, cfg.Senders = dir, dir
	addr := start(t, cfg)
	for _, c := range []struct {
		name string
		sasl sasl.Client
		ok   bool
	}{
		{"PLAIN", sasl.NewPlainClient("", user, password), true},
		{"PLAIN, wrong", sasl.NewPlainClient("", user, "wrong"), false},
		{"PLAIN, for another", sasl.NewPlainClient("bob@example.test", user, password), false},
		{"LOGIN", sasl.NewLoginClient(user, password), true},
		{"SCRAM", newSCRAM(t, user, password), true},
		{"SCRAM, wrong", newSCRAM(t, user, "wrong"), false},
		{"SCRAM, unknown", newSCRAM(t, "nobody@example.test", password), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := smtp.DialTLS(addr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.Auth(c.sasl); (err == nil) != c.ok {
				t.Fatal(err)
			}
			err = client.Mail("Alice+x@EXAMPLE.test", nil)
			if (err == nil) != c.ok {
				t.Error(err)
			}
		})
	}
}
