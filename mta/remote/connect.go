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

// connect opens a session with one MX under a policy: dial, greeting, EHLO,
// STARTTLS. Where TLS may fail, a failed handshake costs the connection and a
// second one is made in the clear.
func (s *Sender) connect(ctx context.Context, h host, policy tlsPolicy) (*session, error) {
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
	ses, err := s.open(ctx, h, addrs)
	if err != nil {
		return nil, err
	}
	outcome := TLSOutcome{Host: h.name, Policy: policy.source}
	err = s.secure(ctx, ses, policy, &outcome)
	if policy.report {
		if policy.err != nil {
			outcome.Fault = policy.err.Error()
		}
		if outcome.Fault != "" {
			s.cfg.Log.Warn("MTA-STS in mode testing: delivery would have failed", "host", h.name, "error", outcome.Fault)
			outcome.Fault = "MTA-STS testing: " + outcome.Fault
			ses.remark = outcome.Fault
		}
	}
	switch {
	case err == nil:
		s.remember(outcome)
		return ses, nil
	case policy.level == tlsVerify:
		ses.close()
		s.remember(outcome)
		return nil, fmt.Errorf("%w (%s): %w", errTLS, policy.source, err)
	case ctx.Err() != nil:
		ses.close()
		return nil, err
	}
	// RFC 7435 3: some protection or none, but the mail arrives.
	s.cfg.Log.Info("TLS failed, sending in the clear", "host", h.name, "error", err)
	ses.close()
	s.remember(outcome)
	again, err := s.open(ctx, h, addrs)
	if err == nil {
		again.remark = ses.remark
	}
	return again, err
}

// open dials and greets.
func (s *Sender) open(ctx context.Context, h host, addrs []netip.Addr) (*session, error) {
	conn, err := s.dial(ctx, addrs, s.cfg.Port)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", h.name, err)
	}
	ses := newSession(conn, h.name, s.cfg.Timeouts, s.cfg.Now())
	undo := ses.interruptible(ctx)
	err = ses.greet(s.cfg.Hello)
	if undo() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		ses.close()
		return nil, err
	}
	return ses, nil
}

// secure does STARTTLS when it is offered or demanded.
func (s *Sender) secure(ctx context.Context, ses *session, policy tlsPolicy, outcome *TLSOutcome) error {
	if !ses.has("STARTTLS") {
		outcome.Fault = errNoSTARTTLS.Error()
		if policy.level == tlsVerify {
			return errNoSTARTTLS
		}
		return nil
	}
	undo := ses.interruptible(ctx)
	defer undo()
	err := ses.upgrade(ctx, s, policy.level == tlsVerify)
	outcome.TLS = ses.tls
	if err != nil {
		outcome.Fault = err.Error()
		if errors.Is(err, errNoSTARTTLS) && policy.level == tlsMay && !ses.broken {
			return nil // 454: refused before anything was spoilt, go on in the clear
		}
		return err
	}
	if !ses.strict {
		outcome.Fault = "certificate not verified"
	}
	return nil
}

// upgrade runs STARTTLS and notes what it gave.
func (ses *session) upgrade(ctx context.Context, s *Sender, verify bool) error {
	var verified bool
	cfg := s.clientConfig(ses.host, verify, &verified)
	if err := ses.startTLS(ctx, cfg, s.cfg.Hello); err != nil {
		return err
	}
	ses.noteTLS(verified)
	return nil
}

// failure turns an error of connect into the reply of a recipient.
func failure(domain string, err error) *mta.Reply {
	var said *mta.Reply
	switch {
	case errors.Is(err, errTLS):
		return &mta.Reply{Code: 451, Enhanced: [3]int{4, 7, 5}, Err: err,
			Text: fmt.Sprintf("No server of %s offers the encryption that its policy or the sender demands", domain)}
	case errors.As(err, &said):
		r := withStatus(said, [3]int{0, 0, 0})
		if r.Positive() {
			r = unexpected(said, "our connection")
		}
		if r.Permanent() {
			// A server that greets with 554 may be only one of several, or wrong for a
			// while: RFC 5321 3.1 and 4.2.4.2 let the sender try again.
			return &mta.Reply{Code: 451, Enhanced: [3]int{4, 3, 2}, Err: err,
				Text: fmt.Sprintf("The server for %s takes no mail now: %d %s", domain, said.Code, said.Text)}
		}
		return r
	case errors.Is(err, errNoAddress):
		return &mta.Reply{Code: 550, Enhanced: [3]int{5, 4, 4}, Err: err,
			Text: fmt.Sprintf("The domain %s has no mail server with an address", domain)}
	case errors.Is(err, errSelf):
		return loopReply(domain)
	}
	return &mta.Reply{Code: 451, Enhanced: [3]int{4, 4, 1}, Err: err,
		Text: fmt.Sprintf("No server of %s can be reached", domain)}
}
