package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"strings"

	"facteur/mta"
)

// Every message gets one line in the log, "message accepted" or "message refused", with its ID and
// all that is known of where it came from.

func (c *conn) accepted(ctx context.Context, m *mta.Message) {
	if c.s.Log.Enabled(ctx, slog.LevelInfo) {
		c.s.Log.LogAttrs(ctx, slog.LevelInfo, "message accepted", c.attrs(m, m.Size())...)
	}
}

// refused returns the reply for the peer: its cause has been told to the log.
func (c *conn) refused(ctx context.Context, m *mta.Message, size int64, r *mta.Reply) *mta.Reply {
	c.s.event(Refused)
	level := slog.LevelInfo
	if r.Err != nil {
		level = slog.LevelError
	}
	c.s.Log.LogAttrs(ctx, level, "message refused", append(c.attrs(m, size), slog.String("reply", r.Error()))...)
	if r.Err != nil {
		return &mta.Reply{Code: r.Code, Enhanced: r.Enhanced, Text: r.Text}
	}
	return r
}

func (c *conn) attrs(m *mta.Message, size int64) []slog.Attr {
	attrs := make([]slog.Attr, 0, 24)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("id", string(m.ID))
	add("listener", c.peer.Listener)
	add("peer", c.peer.Addr.String())
	add("name", c.peer.Name)
	add("helo", c.peer.Hello)
	add("login", c.peer.Login)
	if t := c.peer.TLS; t != nil {
		add("tls", tls.VersionName(t.Version)+" "+tls.CipherSuiteName(t.CipherSuite))
	}
	add("from", "<"+m.Env.MailFrom.String()+">")
	add("to", recipients(m.Env.To))
	if m.Body != nil {
		add("message-id", messageID(m.Body))
	}
	attrs = append(attrs, slog.Int64("size", size))
	return append(attrs, c.found...)
}

// recipients names the first few.
func recipients(to []mta.Recipient) string {
	const few = 5
	var b strings.Builder
	for i, r := range to {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == few {
			b.WriteString("...")
			break
		}
		b.WriteString("<" + r.Address.String() + ">")
	}
	return b.String()
}

func messageID(body *mta.Body) string {
	header, err := body.Header()
	if err != nil {
		return ""
	}
	for f := range fields(header) {
		if f.is("Message-ID") {
			return string(bytes.TrimSpace(f.value()))
		}
	}
	return ""
}

// attrs are the facts that were found.
func (f *Facts) attrs() []slog.Attr {
	var attrs []slog.Attr
	for _, a := range [...]slog.Attr{
		slog.String("author", f.Author), slog.String("spf", f.SPF), slog.String("dkim", strings.Join(f.DKIM, ", ")),
		slog.String("dmarc", f.DMARC), slog.String("policy", f.DMARCPolicy), slog.String("arc", f.ARC), slog.String("override", f.Override),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return attrs
}
