package smtpd

import (
	"context"
	"encoding/base64"
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
	login, err := c.exchange(ctx, x, initial, hasInitial)
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

// exchange passes challenges and responses until there is a login.
func (c *conn) exchange(ctx context.Context, x auth.Exchange, initial string, hasInitial bool) (*auth.Login, error) {
	var response []byte
	if hasInitial {
		var err error
		if response, err = decodeSASL(initial); err != nil {
			return nil, err
		}
	}
	for {
		challenge, login, err := x.Next(ctx, response)
		if err != nil {
			return nil, err
		}
		if login != nil {
			return login, nil
		}
		c.out = append(c.out, "334 "...)
		c.out = base64.StdEncoding.AppendEncode(c.out, challenge)
		c.out = append(c.out, "\r\n"...)
		c.setDeadline(c.s.Limits.Command)
		line, err := c.readLine(authLineMax)
		if err != nil && !errors.Is(err, errLong) && !errors.Is(err, errBareLF) {
			return nil, fmt.Errorf("%w: %w", errLost, err)
		}
		if err != nil {
			return nil, err
		}
		if string(line) == "*" {
			return nil, auth.ErrCancelled
		}
		if response, err = decodeSASL(string(line)); err != nil {
			return nil, err
		}
	}
}

// decodeSASL reads a response; "=" is an empty one (RFC 4954 4), which is not the same as none.
func decodeSASL(s string) ([]byte, error) {
	if s == "=" {
		s = ""
	}
	b, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, []byte(s))
	if err != nil {
		return nil, auth.ErrMalformed
	}
	return b, nil
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
