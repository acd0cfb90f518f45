package smtpd

import (
	"context"
	"crypto/tls"
	"time"

	"facteur/mta"
)

const handshakeWait = 10 * time.Second

// starttls: RFC 3207.
func (c *conn) starttls(ctx context.Context, _ string) *mta.Reply {
	switch {
	case c.peer.TLS != nil:
		return mta.NewReply(503, [3]int{5, 5, 1}, "TLS is on already")
	case c.s.TLS == nil:
		return replyElsewhere
	case len(c.buffered()) > 0:
		// Commands sent in the clear must not be run as if they had come over TLS: somebody
		// on the way may have put them in.
		return replyAfterTLS
	}
	c.say(replyTLS)
	if err := c.flush(); err != nil {
		c.closing = true
		return nil
	}
	if !c.handshake(ctx) {
		c.closing = true // RFC 3207 4: what is said in the clear now can't be trusted
		return nil
	}
	// RFC 3207 4.2: nothing that was said before counts, a login in the clear neither.
	c.reset()
	c.state = stateNew
	c.peer.Hello, c.peer.ESMTP = "", false
	if c.login != nil {
		c.login.Release()
		c.login, c.peer.Login = nil, ""
	}
	return nil
}

func (c *conn) handshake(ctx context.Context) bool {
	t := tls.Server(c.raw, c.s.TLS)
	c.raw.SetDeadline(time.Now().Add(handshakeWait))
	if err := t.HandshakeContext(ctx); err != nil {
		c.s.Log.Info("TLS handshake failed", "listener", c.peer.Listener, "peer", c.peer.Addr.String(), "error", err)
		return false
	}
	c.raw.SetDeadline(time.Time{})
	cs := t.ConnectionState()
	c.conn, c.peer.TLS = t, &cs
	return true
}
