package smtpd

import (
	"fmt"
	"strings"
	"time"

	"facteur/auth"
)

// holdMax is how long a submitted message may be held back (RFC 4865).
const holdMax = 30 * 24 * time.Hour

// extensions are the lines of our EHLO reply for this session as it stands now.
func (c *conn) extensions() []string {
	l := &c.s.Limits
	ext := []string{
		"PIPELINING",
		fmt.Sprintf("SIZE %d", l.Message),
		"8BITMIME",
		"SMTPUTF8",
		"ENHANCEDSTATUSCODES",
		"CHUNKING",
		"BINARYMIME",
		"DSN",
	}
	if limits := c.limitsKeyword(); limits != "" {
		ext = append(ext, limits)
	}
	if c.canStartTLS() {
		ext = append(ext, "STARTTLS")
	}
	if c.peer.TLS != nil {
		ext = append(ext, "REQUIRETLS") // RFC 8689 2: only over TLS
	}
	if c.s.Kind == MX {
		return ext
	}
	ext = append(ext, fmt.Sprintf("FUTURERELEASE %d %s", int(holdMax.Seconds()), c.s.Now().Add(holdMax).UTC().Format(time.RFC3339)))
	if m := c.mechanisms(); len(m) > 0 && c.login == nil {
		ext = append(ext, "AUTH "+strings.Join(m, " "))
	}
	return ext
}

// limitsKeyword: RFC 9422.
func (c *conn) limitsKeyword() string {
	l := &c.s.Limits
	var s string
	if l.Messages > 0 {
		s += fmt.Sprintf(" MAILMAX=%d", l.Messages)
	}
	if l.Recipients > 0 {
		s += fmt.Sprintf(" RCPTMAX=%d", l.Recipients)
	}
	if s == "" {
		return ""
	}
	return "LIMITS" + s
}

func (c *conn) canStartTLS() bool { return c.s.TLS != nil && c.peer.TLS == nil }

// mechanisms are those a peer may log in with now: none in the clear unless configured.
func (c *conn) mechanisms() []string {
	if c.s.Auth == nil || c.peer.TLS == nil && !c.s.PlainAuth {
		return nil
	}
	return c.s.Auth.Mechanisms(c.client(), c.s.PlainAuth)
}

func (c *conn) client() auth.Client {
	return auth.Client{Addr: c.peer.Addr.Addr(), Service: auth.SMTP, TLS: c.peer.TLS}
}
