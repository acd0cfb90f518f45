package main

import (
	"context"
	"io"
	"time"

	"facteur/auth/sender"
	"facteur/mta"
	"facteur/mta/dns"
	"facteur/mta/smtpd"
)

// verifier is auth/sender as smtpd asks for it.
type verifier struct{ sender.Verifier }

// newVerifier returns the MX's verifier, with the owner's trust.
func newVerifier(cfg Config, r *dns.Resolver, now func() time.Time) *verifier {
	v := &verifier{sender.Verifier{Resolver: r, Hostname: cfg.Hostname, Now: now}}
	for _, t := range cfg.MX.Trust {
		v.Overrides = append(v.Overrides, sender.Override{Author: t.Author, Via: t.Via, Reason: t.reason()})
	}
	return v
}

// Verify implements smtpd.Verifier.
func (v *verifier) Verify(ctx context.Context, m *mta.Message) (smtpd.Facts, error) {
	header, err := m.Body.Header()
	if err != nil {
		return smtpd.Facts{}, err
	}
	found, err := v.Verifier.Verify(ctx, sender.Params{
		IP: m.Peer.Addr.Addr().Unmap(), Helo: m.Peer.Hello, MailFrom: m.Env.MailFrom, Header: header, Body: bodyAfter(m.Body),
	})
	if err != nil {
		return smtpd.Facts{}, err
	}
	return factsOf(found), nil
}

// factsOf are what was found out as smtpd.Decide wants it.
func factsOf(found *sender.Verdict) smtpd.Facts {
	facts := smtpd.Facts{
		AuthResults: found.Field, SPF: found.SPF.Result, ARC: found.ARC.Result,
		DMARC: found.DMARC.Result, DMARCPolicy: found.DMARC.Policy, DMARCDomain: found.DMARC.Domain,
		Author: found.AuthorDomain, FromFault: found.Fault, Override: found.Override,
	}
	for _, d := range found.DKIM {
		facts.DKIM = append(facts.DKIM, d.Result+" "+d.Domain+" "+d.Selector)
	}
	return facts
}

// bodyAfter reads what follows the header block.
func bodyAfter(b *mta.Body) *io.SectionReader {
	return io.NewSectionReader(b, b.HeaderSize(), b.Size()-b.HeaderSize())
}
