package smtpd

import (
	"context"
	"errors"
	"log/slog"

	"facteur/mta"
)

// submit is what happens to a message a user sends, from its last octet to our reply.
func (c *conn) submit(ctx context.Context, m *mta.Message) *mta.Reply {
	header, err := m.Body.Header()
	if err != nil {
		return mta.TempFail(err)
	}

	// The author is the login, or one of its addresses.
	authors, fault := authorsOf(header)
	if fault != "" {
		return mta.NewReply(550, [3]int{5, 6, 0}, "Refused: %s", fault)
	}
	c.found = []slog.Attr{slog.String("author", authors[0].String())}
	for _, a := range authors {
		if r := c.mayWriteFrom(ctx, a, "From: "); r != nil {
			return r
		}
	}

	if fixed := c.s.fixUp(header, m); fixed != nil {
		m.Body = m.Body.WithHeader(fixed)
	}
	m.Prefix = c.s.appendReceived(make([]byte, 0, 2048), m)
	if c.s.Signer != nil {
		signatures, err := c.s.Signer.Sign(ctx, authors[0], m)
		var unfit *mta.Reply
		switch {
		case errors.As(err, &unfit):
			return unfit
		case err != nil:
			return mta.TempFail(err)
		}
		m.Prefix = append(m.Prefix, signatures...)
	}

	refusal, err := c.s.Queue.Submit(ctx, c.login.Account, m)
	switch {
	case err != nil:
		return storageFault(err)
	case refusal != nil: // it has sent too much
		return refusal
	}
	c.accepted(ctx, m)
	return mta.NewReply(250, [3]int{2, 0, 0}, "Queued as %s", m.ID)
}
