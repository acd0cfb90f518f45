package remote

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"
)

// auth logs in with the best mechanism both sides know (RFC 4954).
func (s *session) auth(user, password string) error {
	client, err := s.mechanism(user, password)
	if err != nil {
		return err
	}
	if err := s.converse(client); err != nil {
		return fmt.Errorf("AUTH with %s: %w", s.host, err)
	}
	if c, ok := client.(*scramClient); ok && !c.conv.Valid() {
		return fmt.Errorf("AUTH with %s: it has not proved that it knows the password", s.host)
	}
	return nil
}

// mechanism chooses how to log in. In the clear only one will do that does not give the password away.
func (s *session) mechanism(user, password string) (sasl.Client, error) {
	offered := strings.Fields(strings.ToUpper(s.ext["AUTH"]))
	switch {
	case slices.Contains(offered, "SCRAM-SHA-256"):
		c, err := scram.SHA256.NewClient(user, password, "")
		if err != nil {
			return nil, fmt.Errorf("AUTH with %s: %w", s.host, err)
		}
		return &scramClient{conv: c.NewConversation()}, nil
	case s.tls == "":
		return nil, fmt.Errorf("%w: %s offers no login that hides the password in the clear", errTLS, s.host)
	case slices.Contains(offered, "PLAIN"):
		return sasl.NewPlainClient("", user, password), nil
	case slices.Contains(offered, "LOGIN"):
		return sasl.NewLoginClient(user, password), nil
	}
	return nil, fmt.Errorf("AUTH with %s: it offers no mechanism that we know", s.host)
}

// maxChallenges is more than any mechanism asks.
const maxChallenges = 8

// converse says AUTH and answers the challenges, until the server says 235.
func (s *session) converse(client sasl.Client) error {
	mech, initial, err := client.Start()
	if err != nil {
		return err
	}
	line := "AUTH " + mech
	if initial != nil {
		line += " " + encodeSASL(initial)
	}
	for range maxChallenges {
		r, err := s.command(s.timeouts.Command, line)
		if err != nil {
			return err
		}
		if r.Code == 235 {
			return nil
		}
		if r.Code != 334 {
			return r
		}
		challenge, err := base64.StdEncoding.DecodeString(r.Text)
		if err != nil {
			return fmt.Errorf("challenge: %w", err)
		}
		response, err := client.Next(challenge)
		if err != nil {
			return err
		}
		line = base64.StdEncoding.EncodeToString(response)
	}
	return fmt.Errorf("over %d challenges", maxChallenges)
}

// encodeSASL: RFC 4954 4, an empty initial response is written "=".
func encodeSASL(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}

// scramClient gives scram's conversation the face of a sasl.Client.
type scramClient struct{ conv *scram.ClientConversation }

func (c *scramClient) Start() (string, []byte, error) {
	first, err := c.conv.Step("")
	return "SCRAM-SHA-256", []byte(first), err
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	s, err := c.conv.Step(string(challenge))
	return []byte(s), err
}
