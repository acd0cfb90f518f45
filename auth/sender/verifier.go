package sender

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"facteur/mta/dns"
	"facteur/storage/message"
)

// Verifier finds out who messages are from. Its fields are not changed while it is in use; it is safe
// for concurrent use, and its goroutines end with the call they serve.
type Verifier struct {
	Resolver  *dns.Resolver
	Hostname  string // authserv-id of Authentication-Results, and %{r} of SPF
	Now       func() time.Time
	Overrides []Override
}

// Params is a message with what the SMTP session knows of it.
type Params struct {
	IP       netip.Addr
	Helo     string
	MailFrom message.AddrSpec // zero: the null reverse-path
	Header   []byte           // as received, CRLF line ends, with the blank line
	Body     io.Reader        // what follows it; read once to its end
}

// Verdict is all that was found out. What becomes of the message is the MX's to decide. "facteur check --json"
// writes it as it is.
type Verdict struct {
	SPF          SPF    `json:"spf"`  // of MAIL FROM; of HELO for the null reverse-path
	Helo         SPF    `json:"helo"` // of HELO; Result is empty when SPF above is that already
	DKIM         []DKIM `json:"dkim"`
	ARC          ARC    `json:"arc"`
	DMARC        DMARC  `json:"dmarc"`
	IPRev        IPRev  `json:"iprev"`
	From         string `json:"from"` // the author's address; empty with a Fault
	AuthorDomain string `json:"author_domain"`
	Fault        string `json:"fault,omitempty"`    // what is wrong with the From field
	Override     string `json:"override,omitempty"` // why the policy is set aside

	// Field is the Authentication-Results field, CRLF at its end.
	Field []byte `json:"-"`
}

// verifyTime is for all look-ups of a message together (RFC 7208 4.6.4).
const verifyTime = 20 * time.Second

// Verify asks everything at the same time and takes as long as the slowest of SPF, keys and policy. What DNS
// doesn't answer is a temperror in the Verdict; the error is only ever one of reading the body.
func (v *Verifier) Verify(ctx context.Context, p Params) (*Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	now := v.now()
	m := newMail(p.Header)
	out := &Verdict{DKIM: []DKIM{}} // "[]" in JSON
	author, fault := m.author(p.Header)
	out.Fault = fault
	if fault == "" {
		out.From, out.AuthorDomain = author.String(), labels(author.Domain)
	}

	spf := async(func() [2]SPF { return v.checkSPF(ctx, p, now) })
	iprev := async(func() IPRev { return CheckIPRev(ctx, v.Resolver, p.IP) })
	policy := async(func() *dmarcPolicy { return findPolicy(ctx, v.Resolver, out.AuthorDomain) })
	sigs, chain := m.signatures(), m.arcChain()
	needed := append(append([]*signature{}, sigs...), chain.signatures()...)
	keys := lookUpKeys(ctx, v.Resolver, needed)
	sums, err := hashBodies(p.Body, bodySpecs(needed))
	if err != nil {
		return nil, fmt.Errorf("read the body to verify signatures: %w", err)
	}
	for _, s := range sigs {
		s.finish(m, sums, keys[s.keyName()], now)
		s.mark = s.tags.value("b")
		s.mark = stripWSP(s.mark[:min(len(s.mark), 8)]) // RFC 6008
		out.DKIM = append(out.DKIM, s.DKIM)
	}
	out.ARC = chain.finish(m, sums, keys, now)
	both := spf()
	out.SPF, out.Helo = both[0], both[1]
	out.IPRev = iprev()
	if out.DMARC = policy().evaluate(out.SPF, out.DKIM); fault != "" {
		out.DMARC = DMARC{Result: ResultPermError, Reason: "no single author"}
	}
	if fault == "" && out.DMARC.disputed() {
		out.Override = v.override(out)
	}
	out.Field = out.authResultsField(v.Hostname)
	return out, nil
}

func (v *Verifier) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

// async runs f beside its caller; the function it returns waits for the value.
func async[T any](f func() T) func() T {
	done := make(chan T, 1)
	go func() { done <- f() }()
	return func() T { return <-done }
}

func bodySpecs(sigs []*signature) []bodySpec {
	var specs []bodySpec
	for _, s := range sigs {
		if s.err == nil && len(s.bh) > 0 {
			specs = append(specs, s.body)
		}
	}
	return specs
}

// SPF checks MAIL FROM, or HELO for the null reverse-path, without a message.
func (v *Verifier) SPF(ctx context.Context, p Params) SPF {
	return v.checkSPF(ctx, p, v.now())[0]
}

// checkSPF checks MAIL FROM and HELO (RFC 7208 2.3, 2.4).
func (v *Verifier) checkSPF(ctx context.Context, p Params, now time.Time) [2]SPF {
	params := SPFParams{IP: p.IP, Helo: labels(p.Helo), Domain: labels(p.Helo), Identity: "helo", Receiver: v.Hostname, Now: now}
	if !p.IP.IsValid() {
		none := SPF{Result: SPFNone, Identity: "mailfrom", Reason: "the client's address is not known"}
		return [2]SPF{none, {}}
	}
	if p.MailFrom.Domain == "" {
		return [2]SPF{CheckSPF(ctx, v.Resolver, params), {}} // RFC 7208 2.4
	}
	mailFrom := params
	mailFrom.Local, mailFrom.Domain, mailFrom.Identity = p.MailFrom.Local, labels(p.MailFrom.Domain), "mailfrom"
	helo := async(func() SPF { return CheckSPF(ctx, v.Resolver, params) })
	return [2]SPF{CheckSPF(ctx, v.Resolver, mailFrom), helo()}
}

// disputed reports whether the author's domain asks for something that could be done: that is what an Override
// sets aside.
func (d DMARC) disputed() bool {
	return (d.Result == ResultFail || d.Result == ResultTempError) && d.Policy != PolicyNone && d.Policy != ""
}
