package pop3

import (
	"context"
	"errors"
	"strings"

	"facteur/auth"
)

// mayLogin: no password in the clear, unless configured.
func (c *session) mayLogin() bool { return c.tls != nil || c.s.PlainAuth }

func (c *session) client() auth.Client {
	return auth.Client{Addr: c.addr, Service: auth.POP3, TLS: c.tls}
}

// userName is USER. It tells nothing about who exists.
func (c *session) userName(_ context.Context, arg string) {
	switch {
	case !c.mayLogin():
		c.fail("Only over TLS: STLS first")
	case arg == "":
		c.fail("Who?")
	default:
		c.user = arg
		c.ok("And the password?")
	}
}

// pass takes all of the line for the password, blanks included (RFC 1939 7).
func (c *session) pass(ctx context.Context, arg string) {
	if c.user == "" {
		c.fail("USER first")
		return
	}
	user := c.user
	c.user = ""
	login, err := c.s.Auth.Password(ctx, c.client(), user, arg)
	c.enter(ctx, "PASS", login, err)
}

// auth: RFC 5034 4.
func (c *session) auth(ctx context.Context, arg string) {
	if !c.mayLogin() {
		c.fail("Only over TLS: STLS first")
		return
	}
	if arg == "" { // what old clients ask before they know CAPA
		c.ok("Mechanisms")
		for _, m := range c.s.Auth.Mechanisms(c.client(), c.s.PlainAuth) {
			c.w.WriteString(m + "\r\n")
		}
		c.w.WriteString(".\r\n")
		return
	}
	mechanism, initial, hasInitial := strings.Cut(arg, " ")
	mechanism = strings.ToUpper(mechanism)
	x, err := c.s.Auth.Exchange(mechanism, c.client(), c.s.PlainAuth)
	if err != nil {
		c.enter(ctx, mechanism, nil, err)
		return
	}
	login, err := auth.Converse(ctx, x, initial, hasInitial, c.ask)
	c.enter(ctx, mechanism, login, err)
}

// ask sends a challenge and waits for the response.
func (c *session) ask(challenge string) (string, error) {
	c.w.WriteString("+ " + challenge + "\r\n")
	return c.line()
}

// enter opens the maildrop of a login that succeeded, and answers.
func (c *session) enter(ctx context.Context, mechanism string, login *auth.Login, err error) {
	if err != nil {
		c.refuse(mechanism, err)
		return
	}
	c.login = login // released with the session from here on
	if err := c.open(ctx); err != nil {
		c.fault("open maildrop", err)
		c.closing = true
		return
	}
	c.s.known(c)
	c.s.Log.Info("login", "listener", "pop3", "peer", c.addr.String(), "login", login.Account, "app_password", login.AppPassword,
		"mechanism", mechanism, "tls", c.tls != nil)
	c.ok("%d messages", c.drop.Len())
}

func (c *session) open(ctx context.Context) (err error) {
	if c.account, err = c.s.Store.Account(ctx, c.login.Account); err != nil {
		return err
	}
	if c.box, err = c.account.Mailbox(ctx, "INBOX"); err != nil {
		return err
	}
	c.drop = c.box.Snapshot()
	return nil
}

// refuse answers a login that failed (RFC 3206: [AUTH] is the user's fault, [SYS/TEMP] ours).
func (c *session) refuse(mechanism string, err error) {
	c.s.Log.Info("login failed", "listener", "pop3", "peer", c.addr.String(), "mechanism", mechanism, "error", err)
	switch {
	case errors.Is(err, auth.ErrCredentials):
		c.fail("[AUTH] Wrong user name or password")
	case errors.Is(err, auth.ErrThrottled):
		c.fail("[SYS/TEMP] Too many failed logins, please try again later")
		c.closing = true
	case errors.Is(err, auth.ErrMechanism):
		c.fail("No such mechanism")
	case errors.Is(err, auth.ErrCancelled):
		c.fail("Login cancelled")
	case errors.Is(err, auth.ErrMalformed):
		c.fail("That is not what the mechanism asks for")
	default:
		c.fail("[SYS/TEMP] Can't check logins now, please try again later")
		c.closing = true
	}
}
