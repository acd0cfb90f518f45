package remote

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"facteur/mta"
)

// errTLS is wrapped when TLS that a policy demands can't be had.
var errTLS = errors.New("TLS as demanded is not to be had")

// errSelf: the server's address is ours.
var errSelf = errors.New("the server is this one")

// errRequireTLS: TLS is as demanded, but the server would not demand it of the next one.
var errRequireTLS = errors.New("the server does not offer REQUIRETLS")

// place is where a server listens.
type place struct {
	name     string // as its certificate must have it
	addrs    []netip.Addr
	port     int
	implicit bool // TLS from the first octet (RFC 8314 3.3)
}

// connectMX opens a session with one MX under a policy.
func (s *Sender) connectMX(ctx context.Context, h host, policy tlsPolicy) (*session, error) {
	if policy.err != nil && !policy.report {
		return nil, fmt.Errorf("%w: %w", errTLS, policy.err)
	}
	addrs, err := s.addresses(ctx, h)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(s.cfg.SelfAddrs, a) }) {
		return nil, fmt.Errorf("%s: %w", h.name, errSelf)
	}
	ses, err := s.connect(ctx, place{name: h.name, addrs: addrs, port: s.cfg.Port}, policy)
	if err != nil {
		return nil, err
	}
	if policy.require && !ses.has("REQUIRETLS") {
		ses.close()
		return nil, fmt.Errorf("%s: %w", h.name, errRequireTLS)
	}
	return ses, nil
}

// sessionError is why a session with the server at addr came to nothing.
type sessionError struct {
	addr netip.Addr
	err  error
}

func (e *sessionError) Error() string { return e.err.Error() }
func (e *sessionError) Unwrap() error { return e.err }

// connect opens a session under a policy. Where the server at one address can be reached and fails, those that were not
// dialled yet are, once: RFC 5321 5.1 wants two addresses tried at least.
func (s *Sender) connect(ctx context.Context, p place, policy tlsPolicy) (*session, error) {
	ses, err := s.connectOnce(ctx, p, policy)
	var failed *sessionError
	if ctx.Err() != nil || !errors.As(err, &failed) {
		return ses, err
	}
	at := slices.Index(p.addrs, failed.addr)
	if at < 0 || at == len(p.addrs)-1 {
		return nil, err
	}
	p.addrs = p.addrs[at+1:]
	ses, second := s.connectOnce(ctx, p, policy)
	if errors.As(second, &failed) || second == nil {
		return ses, second
	}
	return nil, err // what a server said tells more than that others can't be reached
}

// connectOnce dials, takes the greeting, says EHLO and STARTTLS. Where TLS may fail, a failed
// handshake costs the connection and a second one is made in the clear.
func (s *Sender) connectOnce(ctx context.Context, p place, policy tlsPolicy) (*session, error) {
	ses, err := s.open(ctx, p, policy)
	if err != nil {
		return nil, err
	}
	err = s.secure(ctx, ses, policy)
	if err == nil {
		return ses, nil
	}
	ses.close()
	switch {
	case ctx.Err() != nil, ses.answered(err):
		return nil, ses.failed(err)
	case policy.level == tlsVerify:
		return nil, ses.failed(fmt.Errorf("%w (%s): %w", errTLS, policy.source, err))
	}
	// RFC 7435 3: some protection or none, but the mail arrives.
	s.cfg.Log.Info("TLS failed, sending in the clear", "host", p.name, "error", err)
	again, err := s.open(ctx, p, policy)
	if err == nil {
		again.remark = ses.remark
	}
	return again, err
}

// open dials and greets. After an error nothing is open.
func (s *Sender) open(ctx context.Context, p place, policy tlsPolicy) (*session, error) {
	conn, err := s.dial(ctx, p.addrs, p.port)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", p.name, err)
	}
	ses := newSession(conn, p.name, s.cfg.Timeouts, s.cfg.Now())
	undo := ses.interruptible(ctx)
	if p.implicit {
		err = s.implicitTLS(ctx, ses, policy)
	}
	if err == nil {
		err = ses.greet(s.cfg.Hello)
	}
	if undo() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		ses.close()
		return nil, ses.failed(err)
	}
	return ses, nil
}

// implicitTLS shakes hands before anything is said (RFC 8314 3.3).
func (s *Sender) implicitTLS(ctx context.Context, ses *session, policy tlsPolicy) error {
	err := ses.handshake(ctx, s.clientConfig(ses, policy))
	if err == nil {
		return nil
	}
	if ctx.Err() == nil {
		s.remember(TLSOutcome{Host: ses.host, Policy: policy.source, Fault: err.Error()})
	}
	return fmt.Errorf("%w (%s): %w", errTLS, policy.source, err)
}

// secure does STARTTLS when it is offered or demanded, and remembers what TLS came to. After an error the session
// is of no further use.
func (s *Sender) secure(ctx context.Context, ses *session, policy tlsPolicy) error {
	err := s.upgrade(ctx, ses, policy)
	if ctx.Err() != nil {
		return err // our own end says nothing about the peer
	}
	outcome := TLSOutcome{Host: ses.host, Policy: policy.source}
	switch {
	case err != nil && !ses.answered(err):
		outcome.Fault = err.Error()
	case !ses.strict:
		outcome.TLS, outcome.Fault = ses.tls, "certificate not verified"
	default:
		outcome.TLS = ses.tls
	}
	if policy.report {
		s.report(ses, policy, &outcome)
	}
	s.remember(outcome)
	if errors.Is(err, errNoSTARTTLS) && policy.level == tlsMay && !ses.broken {
		return nil // nothing is spoilt: go on in the clear
	}
	return err
}

// upgrade runs STARTTLS where TLS is not there yet.
func (s *Sender) upgrade(ctx context.Context, ses *session, policy tlsPolicy) error {
	if ses.tls != "" {
		return nil
	}
	undo := ses.interruptible(ctx)
	defer undo()
	return ses.startTLS(ctx, s.clientConfig(ses, policy), s.cfg.Hello)
}

// report tells what a policy in mode testing would have refused (RFC 8461 5).
func (s *Sender) report(ses *session, policy tlsPolicy, o *TLSOutcome) {
	if policy.err != nil {
		o.Fault = policy.err.Error()
	}
	if o.Fault == "" {
		return
	}
	s.cfg.Log.Warn("MTA-STS in mode testing: delivery would have failed", "host", ses.host, "error", o.Fault)
	o.Fault = "MTA-STS testing: " + o.Fault
	ses.remark = o.Fault
}

// failure turns an error of connect into the reply of a recipient.
func failure(domain string, err error) *mta.Reply {
	var said *mta.Reply
	switch {
	case errors.Is(err, errTLS):
		return &mta.Reply{Code: 451, Enhanced: [3]int{4, 7, 5}, Err: err,
			Text: fmt.Sprintf("No server of %s offers the encryption that its policy or the sender demands", domain)}
	case errors.As(err, &said) && said.Permanent():
		// A server that greets with 554 may be only one of several, or wrong for a
		// while: RFC 5321 3.1 and 4.2.4.2 let the sender try again.
		return &mta.Reply{Code: 451, Enhanced: [3]int{4, 3, 2}, Err: err,
			Text: fmt.Sprintf("The server for %s takes no mail now: %d %s", domain, said.Code, said.Text)}
	case said != nil:
		return unexpected(said, "our connection")
	case errors.Is(err, errNoAddress):
		return &mta.Reply{Code: 550, Enhanced: [3]int{5, 4, 4}, Err: err,
			Text: fmt.Sprintf("The domain %s has no mail server with an address", domain)}
	case errors.Is(err, errSelf):
		return loopReply(domain)
	}
	return &mta.Reply{Code: 451, Enhanced: [3]int{4, 4, 1}, Err: err,
		Text: fmt.Sprintf("No server of %s can be reached", domain)}
}
