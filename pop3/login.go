package pop3

import (
	"context"
	"encoding/base64"
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
	login, err := c.exchange(ctx, x, initial, hasInitial)
	c.enter(ctx, mechanism, login, err)
}

// exchange passes challenges and responses until there is a login.
func (c *session) exchange(ctx context.Context, x auth.Exchange, initial string, hasInitial bool) (*auth.Login, error) {
	var response []byte
	if hasInitial {
		var err error
		if response, err = decodeSASL(initial); err != nil {
			return nil, err
		}
	}
	for {
		challenge, login, err := x.Next(ctx, response)
		if err != nil || login != nil {
			return login, err
		}
		c.w.WriteString("+ " + base64.StdEncoding.EncodeToString(challenge) + "\r\n")
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		if line == "*" {
			return nil, auth.ErrCancelled
		}
		if response, err = decodeSASL(line); err != nil {
			return nil, err
		}
	}
}

// decodeSASL reads a response; "=" is an empty one (RFC 5034 4), which is not the same as none.
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
	c.s.Observe(LoggedIn)
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
	c.s.Observe(LoginFailed)
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
