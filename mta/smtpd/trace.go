package smtpd

import (
	"crypto/tls"
	"time"

	"facteur/mta"
)

// appendReceived writes our Received field (RFC 5321 4.4). Where mail is submitted, the user's
// address and the name of his machine are nobody's business: it has no "from" then.
func (s *Server) appendReceived(b []byte, m *mta.Message) []byte {
	b = append(b, "Received: "...)
	if s.Kind == MX {
		b = append(b, "from "...)
		b = append(b, m.Peer.Hello...)
		b = append(b, " ("...)
		if m.Peer.Name != "" {
			b = append(b, m.Peer.Name...)
			b = append(b, ' ')
		}
		b = appendLiteral(b, m.Peer)
		b = append(b, ")\r\n\t"...)
	}
	b = append(b, "by "...)
	b = append(b, s.Hostname...)
	b = append(b, " (Facteur) with "...)
	b = append(b, protocol(m)...)
	b = append(b, " id "...)
	b = append(b, m.ID...)
	if len(m.Env.To) == 1 { // RFC 5321 7.2: two would tell each other's names
		b = append(b, "\r\n\tfor <"...)
		b = append(b, m.Env.To[0].Address.String()...)
		b = append(b, '>')
	}
	if t := m.Peer.TLS; t != nil { // RFC 8314 4.3
		b = append(b, "\r\n\ttls "...)
		b = append(b, tls.CipherSuiteName(t.CipherSuite)...)
		b = append(b, " ("...)
		b = append(b, tls.VersionName(t.Version)...)
		b = append(b, ')')
	}
	b = append(b, ";\r\n\t"...)
	b = m.Arrived.AppendFormat(b, time.RFC1123Z)
	return append(b, "\r\n"...)
}

// appendLiteral writes an address as RFC 5321 4.1.3 does.
func appendLiteral(b []byte, p mta.Peer) []byte {
	b = append(b, '[')
	switch addr := p.Addr.Addr(); {
	case !addr.IsValid():
		b = append(b, "unknown"...)
	case addr.Is6():
		b = append(b, "IPv6:"...)
		b = addr.WithZone("").AppendTo(b)
	default:
		b = addr.AppendTo(b)
	}
	return append(b, ']')
}

// protocol is the "with" clause: RFC 3848, and RFC 6531 4.3.
func protocol(m *mta.Message) string {
	name := "SMTP"
	switch {
	case m.Env.UTF8:
		name = "UTF8SMTP"
	case m.Peer.ESMTP:
		name = "ESMTP"
	}
	if name == "SMTP" {
		return name
	}
	if m.Peer.TLS != nil {
		name += "S"
	}
	if m.Peer.Login != "" {
		name += "A"
	}
	return name
}
