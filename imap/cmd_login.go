package imap

import (
	"context"
	"errors"
	"strings"
	"time"

	"facteur/auth"
)

// client is who this is to the user directory.
func (s *session) client() auth.Client {
	return auth.Client{Addr: s.addr, Service: auth.IMAP, TLS: s.tls}
}

// mayLogIn reports whether a password may be sent now.
func (s *session) mayLogIn() bool { return s.tls != nil || s.srv.cfg.PlainAuth }

func (s *session) logIn(ctx context.Context, r *request) error {
	s.dec.SP()
	user := s.dec.AString()
	s.dec.SP()
	password := s.dec.AString()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if !s.mayLogIn() {
		return no("PRIVACYREQUIRED", "Use STARTTLS first")
	}
	login, err := s.srv.cfg.Auth.Password(ctx, s.client(), user, password)
	if err != nil {
		return s.loginFailed(err)
	}
	return s.enter(ctx, r, login)
}

func (s *session) authenticate(ctx context.Context, r *request) error {
	s.dec.SP()
	mechanism := s.dec.Keyword()
	initial, hasInitial := "", s.dec.Take(' ')
	if hasInitial {
		initial = s.dec.AString()
	}
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	exchange, err := s.srv.cfg.Auth.Exchange(mechanism, s.client(), s.srv.cfg.PlainAuth)
	if err != nil {
		return s.loginFailed(err)
	}
	var broken error // the conversation has ended before its login was decided
	login, err := auth.Converse(ctx, exchange, initial, hasInitial, func(challenge string) (line string, err error) {
		line, broken = s.askSASL(challenge)
		return line, broken
	})
	switch {
	case broken != nil:
		return broken
	case err != nil:
		return s.loginFailed(err)
	}
	return s.enter(ctx, r, login)
}

// askSASL sends a challenge and reads the response, a line of its own (RFC 9051 6.2.2).
func (s *session) askSASL(challenge string) (string, error) {
	s.out.printf("+ %s\r\n", challenge)
	if err := s.wait(commandTimeout); err != nil {
		return "", err
	}
	s.dec.Start(s.limits())
	line := ""
	if !s.dec.AtEnd() {
		line = s.dec.SASL()
	}
	s.dec.End()
	return line, s.dec.Err()
}

// loginFailed is what a client hears of a failed login (RFC 5530).
func (s *session) loginFailed(err error) error {
	switch {
	case errors.Is(err, auth.ErrThrottled):
		s.out.printf("* BYE [UNAVAILABLE] Too many failed logins\r\n")
		return errBye
	case errors.Is(err, auth.ErrCredentials), errors.Is(err, auth.ErrDisabled):
		s.log.Info("login failed", "listener", "imap", "error", err)
		return no("AUTHENTICATIONFAILED", "Authentication failed")
	case errors.Is(err, auth.ErrMechanism) && !s.mayLogIn():
		return no("PRIVACYREQUIRED", "Use STARTTLS first")
	case errors.Is(err, auth.ErrMechanism):
		return no("CANNOT", "Mechanism is not supported")
	case errors.Is(err, auth.ErrCancelled):
		return bad("Authentication cancelled")
	case errors.Is(err, auth.ErrMalformed):
		return bad("Malformed authentication")
	}
	s.log.Error("imap: login", "error", err)
	return no("UNAVAILABLE", "Temporary authentication failure")
}

// enter opens the account of a login.
func (s *session) enter(ctx context.Context, r *request, login *auth.Login) error {
	acct, err := s.srv.cfg.Store.Account(ctx, login.Account)
	if err != nil {
		login.Release()
		s.log.Error("imap: open account", "account", login.Account, "error", err)
		return no("UNAVAILABLE", "Account is not available")
	}
	if !s.srv.loggedIn(s.conn, login.Account) {
		acct.Release()
		login.Release()
		return no("LIMIT", "Too many connections of this user")
	}
	login.WhenRevoked(s.wake)
	s.login, s.acct, s.state, s.deadline = login, acct, authenticated, time.Time{}
	s.noCaps = s.srv.cfg.NoCaps(login.Account)
	s.log.Info("login", "listener", "imap", "login", login.Account, "app_password", login.AppPassword, "tls", s.tls != nil)
	r.okCode = "CAPABILITY " + strings.Join(s.capabilities(), " ")
	r.okText = "Logged in"
	return nil
}

// unauthenticate is RFC 8437: back to the state after the greeting, with TLS but without compression (4.1).
func (s *session) unauthenticate(_ context.Context, r *request) error {
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if s.inflater != nil && !s.compressedAllRead() {
		// RFC 8437 3 has no NO, but a BYE for what can't be reset.
		s.out.printf("* BYE [UNAVAILABLE] Can't tell where the compressed commands end\r\n")
		return errBye
	}
	s.srv.loggedOut(s.conn)
	s.close()
	*s = session{conn: s.conn, state: notAuthenticated}
	s.deadline = time.Now().Add(s.srv.cfg.LoginTimeout)
	if s.inflater == nil {
		return nil
	}
	s.tagged(r, &response{"OK", "", "UNAUTHENTICATE completed."})
	if err := s.endCompression(); err != nil {
		return err
	}
	return errAnswered
}

// compressedAllRead reports whether nothing stands between the command and where the client's compression ends. The
// end of its flush may still be on its way.
func (s *session) compressedAllRead() bool {
	return s.br.Buffered() == 0 && s.net.SetReadDeadline(s.cap(time.Now().Add(flushTime))) == nil && s.inflater.Rest()
}

// flushTime is how long the octets of one flush may take to arrive.
const flushTime = 5 * time.Second

func (s *session) logout(_ context.Context, r *request) error {
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	s.out.printf("* BYE Logging out\r\n")
	s.tagged(r, &response{"OK", "", "LOGOUT completed."})
	return errBye
}
