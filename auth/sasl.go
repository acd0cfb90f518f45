package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"unicode/utf8"
)

// The names of the SASL mechanisms, as IANA has them.
const (
	mechScramPlus = "SCRAM-SHA-256-PLUS"
	mechScram     = "SCRAM-SHA-256"
	mechPlain     = "PLAIN"
	mechLogin     = "LOGIN"
)

// Exchange is a SASL exchange on the server's side.
type Exchange interface {
	// Next takes the client's response (nil: none given, as at the start without an initial
	// response) and returns our next challenge, or the login. It blocks on the password
	// hash. Errors: ErrCredentials, ErrThrottled, ErrMalformed, or a fault of ours.
	Next(ctx context.Context, response []byte) (challenge []byte, login *Login, err error)
}

// Mechanisms lists the SASL mechanisms a client may use now, the best first. There are none
// without TLS, unless plainOK: what PLAIN would show to a listener, SCRAM would let him guess at.
func (d *Directory) Mechanisms(c Client, plainOK bool) []string {
	switch {
	case c.TLS != nil && d.cfg.Plus:
		return []string{mechScramPlus, mechScram, mechPlain, mechLogin}
	case c.TLS != nil || plainOK:
		return []string{mechScram, mechPlain, mechLogin}
	}
	return nil
}

// Exchange starts one. ErrMechanism when the name is unknown or not allowed now. Case does not
// matter.
func (d *Directory) Exchange(mechanism string, c Client, plainOK bool) (Exchange, error) {
	name := asciiUpper(mechanism)
	for _, allowed := range d.Mechanisms(c, plainOK) {
		if name != allowed {
			continue
		}
		switch name {
		case mechPlain:
			return &plainExchange{d: d, c: c}, nil
		case mechLogin:
			return &loginExchange{d: d, c: c}, nil
		}
		return &scramExchange{d: d, c: c, plus: name == mechScramPlus}, nil
	}
	return nil, ErrMechanism
}

// Converse passes challenges and responses in base64 until there is a login, as IMAP, SMTP and POP3 do (RFC
// 9051 6.2.2, RFC 4954 4, RFC 5034 4). initial is the response in the command itself, when it had one. ask sends a challenge
// and returns the client's line.
func Converse(ctx context.Context, x Exchange, initial string, hasInitial bool, ask func(challenge string) (string, error)) (*Login, error) {
	var response []byte
	if hasInitial {
		var err error
		if response, err = decodeResponse(initial); err != nil {
			return nil, err
		}
	}
	for {
		challenge, login, err := x.Next(ctx, response)
		if err != nil || login != nil {
			return login, err
		}
		line, err := ask(base64.StdEncoding.EncodeToString(challenge))
		if err != nil {
			return nil, err
		}
		if line == "*" {
			return nil, ErrCancelled
		}
		if response, err = decodeResponse(line); err != nil {
			return nil, err
		}
	}
}

// decodeResponse: "=" is an empty one, which is not the same as none.
func decodeResponse(s string) ([]byte, error) {
	if s == "=" {
		s = ""
	}
	b, err := base64.StdEncoding.Strict().AppendDecode([]byte{}, []byte(s))
	if err != nil {
		return nil, ErrMalformed
	}
	return b, nil
}

func asciiUpper(s string) string { return string(bytes.ToUpper([]byte(s))) }

// plainExchange is PLAIN (RFC 4616): authzid NUL authcid NUL password.
type plainExchange struct {
	d     *Directory
	c     Client
	asked bool
	done  bool
}

func (x *plainExchange) Next(ctx context.Context, response []byte) ([]byte, *Login, error) {
	switch {
	case x.done:
		return nil, nil, fmt.Errorf("%w: PLAIN has ended", ErrMalformed)
	case response == nil && !x.asked:
		x.asked = true
		return []byte{}, nil, nil
	}
	x.done = true
	f := bytes.Split(response, []byte{0})
	// RFC 4616 2: names and password are not empty, and UTF-8.
	if len(f) != 3 || len(f[1]) == 0 || len(f[2]) == 0 || !utf8.Valid(response) {
		return nil, nil, fmt.Errorf("%w: PLAIN", ErrMalformed)
	}
	authzid, user := string(f[0]), string(f[1])
	if authzid != "" && !x.d.sameUser(authzid, user) {
		return nil, nil, ErrCredentials // nobody acts for another here
	}
	login, err := x.d.Password(ctx, x.c, user, string(f[2]))
	return nil, login, err
}

// loginExchange is LOGIN, which no RFC describes and Outlook needs: the prompts are not looked at
// by clients, but they are always these.
type loginExchange struct {
	d     *Directory
	c     Client
	asked bool
	user  string
	done  bool
}

func (x *loginExchange) Next(ctx context.Context, response []byte) ([]byte, *Login, error) {
	switch {
	case x.done:
		return nil, nil, fmt.Errorf("%w: LOGIN has ended", ErrMalformed)
	case response == nil && !x.asked:
		x.asked = true
		return []byte("Username:"), nil, nil
	case len(response) == 0 || !utf8.Valid(response):
		x.done = true
		return nil, nil, fmt.Errorf("%w: LOGIN", ErrMalformed)
	case x.user == "":
		x.asked, x.user = true, string(response)
		return []byte("Password:"), nil, nil
	}
	x.done = true
	login, err := x.d.Password(ctx, x.c, x.user, string(response))
	return nil, login, err
}
