package smtpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"facteur/auth"
	"facteur/mta"
)

// Replies of AUTH (RFC 4954 6).
var (
	replyAuthOK        = mta.NewReply(235, [3]int{2, 7, 0}, "Welcome")
	replyCredentials   = mta.NewReply(535, [3]int{5, 7, 8}, "Wrong user name or password")
	replyAuthTLS       = mta.NewReply(538, [3]int{5, 7, 11}, "Only over TLS: STARTTLS first")
	replyAuthTwice     = mta.NewReply(503, [3]int{5, 5, 1}, "You are logged in already")
	replyMechanism     = mta.NewReply(504, [3]int{5, 5, 4}, "No such mechanism")
	replyAuthCancelled = mta.NewReply(501, [3]int{5, 0, 0}, "Login cancelled")
	replyAuthMalformed = mta.NewReply(501, [3]int{5, 5, 2}, "That is not what the mechanism asks for")
	replyThrottled     = mta.NewReply(421, [3]int{4, 7, 0}, "Too many failed logins, please try again later")
)

// auth: RFC 4954 4.
func (c *conn) auth(ctx context.Context, arg string) *mta.Reply {
	mechanism, initial, hasInitial := strings.Cut(arg, " ")
	switch {
	case c.s.Auth == nil || c.s.Kind == MX || !c.peer.ESMTP:
		return replyElsewhere
	case c.login != nil:
		return replyAuthTwice
	case c.peer.TLS == nil && !c.s.PlainAuth:
		return replyAuthTLS
	case mechanism == "":
		return mta.NewReply(501, [3]int{5, 5, 4}, "Which mechanism?")
	}
	x, err := c.s.Auth.Exchange(strings.ToUpper(mechanism), c.client(), c.s.PlainAuth)
	if err != nil {
		return c.authFailed(mechanism, err)
	}
	login, err := auth.Converse(ctx, x, initial, hasInitial, c.ask)
	if err != nil {
		return c.authFailed(mechanism, err)
	}
	c.login, c.peer.Login = login, login.Account
	c.seat.login()
	c.s.Log.LogAttrs(ctx, slog.LevelInfo, "login", slog.String("listener", c.peer.Listener), slog.String("peer", c.peer.Addr.String()),
		slog.String("login", login.Account), slog.String("app_password", login.AppPassword), slog.String("mechanism", strings.ToUpper(mechanism)))
	return replyAuthOK
}

// errLost: the client went away, or silent, in the middle of a login.
var errLost = errors.New("connection lost")

// ask sends a challenge and waits for the response.
func (c *conn) ask(challenge string) (string, error) {
	c.out = append(c.out, "334 "...)
	c.out = append(c.out, challenge...)
	c.out = append(c.out, "\r\n"...)
	c.setDeadline(c.s.Limits.Command)
	line, err := c.readLine(authLineMax)
	if err != nil && !errors.Is(err, errLong) && !errors.Is(err, errBareLF) {
		err = fmt.Errorf("%w: %w", errLost, err)
	}
	return string(line), err
}

func (c *conn) authFailed(mechanism string, err error) *mta.Reply {
	c.s.event(LoginFailed)
	c.s.Log.Info("login failed", "listener", c.peer.Listener, "peer", c.peer.Addr.String(), "mechanism", mechanism, "error", err)
	switch {
	case errors.Is(err, auth.ErrCredentials):
		return replyCredentials
	case errors.Is(err, auth.ErrThrottled):
		return replyThrottled
	case errors.Is(err, auth.ErrMechanism):
		return replyMechanism
	case errors.Is(err, auth.ErrCancelled):
		return replyAuthCancelled
	case errors.Is(err, auth.ErrMalformed), errors.Is(err, errBareLF):
		return replyAuthMalformed
	case errors.Is(err, errLong):
		return replyLong
	case c.s.stopping.Load():
		return replyShutdown
	case errors.Is(err, errLost):
		return c.cutOff(err)
	}
	return &mta.Reply{Code: 454, Enhanced: [3]int{4, 7, 0}, Text: "Can't check logins now, please try again later", Err: err}
}
