package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"facteur/mta"
)

// tlsLevel is how much TLS a connection must have.
type tlsLevel uint8

const (
	tlsMay    tlsLevel = iota // RFC 7435: as good as the peer can, the clear if it can't
	tlsVerify                 // STARTTLS, and a certificate for the host's name from a known CA
)

// tlsPolicy is what one server must show.
type tlsPolicy struct {
	level   tlsLevel
	source  string // who demands it, for the log and the refusal: "MTA-STS", "REQUIRETLS", "configuration"
	err     error  // the host may not be used at all under the policy
	report  bool   // MTA-STS in mode testing: tell what enforce would refuse, err too, and deliver anyway
	require bool   // the server must offer REQUIRETLS, to pass the demand on (RFC 8689 4.2.1)
}

// demands is what the message itself asks of TLS.
type demands struct {
	require  bool // REQUIRETLS (RFC 8689 2)
	optional bool // TLS-Required: No (RFC 8689 5): the sender prefers delivery to policy
}

func demandsOf(m *mta.Message) (demands, error) {
	// RFC 8689 5: a report is not lost for want of REQUIRETLS on its way.
	d := demands{require: m.Env.RequireTLS && !m.Env.MailFrom.IsZero()}
	if m.Env.RequireTLS {
		return d, nil // RFC 8689 4.1: REQUIRETLS wins over the header field
	}
	header, err := m.Body.Header()
	if err != nil {
		return d, err
	}
	d.optional = strings.EqualFold(headerValue(header, "TLS-Required"), "No")
	return d, nil
}

// tlsPolicyFor decides about the TLS of one MX. It is the one place that does:
// DANE (RFC 7672), when it comes, answers here before MTA-STS is asked (RFC 8461 2).
func (s *Sender) tlsPolicyFor(ctx context.Context, domain string, h host, authentic bool, d demands) tlsPolicy {
	if d.optional {
		return tlsPolicy{level: tlsMay}
	}
	policy, found := s.stsPolicy(ctx, domain)
	switch {
	case found && policy.Mode == STSEnforce:
		return tlsPolicy{level: tlsVerify, source: "MTA-STS", err: policy.refusal(domain, h.name), require: d.require}
	case d.require:
		// RFC 8689 4.2.1: the server's name must itself be beyond doubt, as the domain's own is.
		p := tlsPolicy{level: tlsVerify, source: "REQUIRETLS", require: true}
		if !authentic && h.name != domain {
			p.err = fmt.Errorf("neither DNSSEC nor MTA-STS vouches for %s as a server of %s", h.name, domain)
		}
		return p
	case found && policy.Mode == STSTesting:
		return tlsPolicy{level: tlsMay, source: "MTA-STS testing", err: policy.refusal(domain, h.name), report: true}
	}
	return tlsPolicy{level: tlsMay}
}

func (s *Sender) stsPolicy(ctx context.Context, domain string) (STSPolicy, bool) {
	if s.cfg.STS == nil || strings.HasPrefix(domain, "[") {
		return STSPolicy{}, false
	}
	return s.cfg.STS.Policy(ctx, domain)
}

// clientConfig is the TLS configuration for a session under a policy. The chain is checked by
// ourselves in every case, so that opportunistic TLS too can tell what it got.
func (s *Sender) clientConfig(ses *session, policy tlsPolicy) *tls.Config {
	name := certName(ses.host)
	return &tls.Config{
		ServerName:         name,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(cs tls.ConnectionState) error {
			err := VerifyChain(cs, name, s.cfg.Roots, s.cfg.Now())
			ses.strict = err == nil
			if policy.level == tlsVerify {
				return err
			}
			return nil
		},
	}
}

// VerifyChain says why the certificate that a server showed is not one for name; nil roots are those of the system.
func VerifyChain(cs tls.ConnectionState, name string, roots *x509.CertPool, now time.Time) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	inter := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		inter.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: inter, CurrentTime: now})
	return err
}
