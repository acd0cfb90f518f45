package smtpd

import (
	"context"
	"strings"

	"facteur/mta"
)

// state is where a session stands, as a bit, so that a command can name all those it may be
// given in.
type state uint8

const (
	stateNew   state = 1 << iota // no greeting from the peer, or none since STARTTLS
	stateHello                   // HELO or EHLO
	stateMail                    // MAIL
	stateRcpt                    // at least one RCPT was tried
	stateBdat                    // a BDAT that was not the last

	anyState = stateNew | stateHello | stateMail | stateRcpt | stateBdat
	noMail   = stateNew | stateHello
)

// command is one row of what we understand.
type command struct {
	verb    string
	in      state // where it is in order (RFC 5321 4.1.4); elsewhere 503
	login   bool  // on submission, only for those who are logged in
	useless bool  // moves no mail: counted
	bare    bool  // takes no argument
	run     func(c *conn, ctx context.Context, arg string) *mta.Reply
}

var commands = [...]command{
	{verb: "MAIL", in: stateHello, login: true, run: (*conn).mail},
	{verb: "RCPT", in: stateMail | stateRcpt, login: true, run: (*conn).rcpt},
	{verb: "DATA", in: stateRcpt, login: true, bare: true, run: (*conn).data},
	{verb: "BDAT", in: anyState, run: (*conn).bdat}, // its octets have to be read in any state
	{verb: "EHLO", in: anyState, useless: true, run: (*conn).ehlo},
	{verb: "HELO", in: anyState, useless: true, run: (*conn).helo},
	{verb: "RSET", in: anyState, useless: true, bare: true, run: (*conn).rset},
	{verb: "QUIT", in: anyState, bare: true, run: (*conn).quit},
	{verb: "NOOP", in: anyState, useless: true, run: (*conn).noop},
	{verb: "STARTTLS", in: noMail, bare: true, run: (*conn).starttls},
	{verb: "AUTH", in: stateHello, run: (*conn).auth},
	{verb: "VRFY", in: anyState, useless: true, run: (*conn).vrfy},
	{verb: "HELP", in: anyState, useless: true, run: (*conn).help},
}

// dispatch runs one line. The result is the reply; nil when the command gave its own.
func (c *conn) dispatch(ctx context.Context, line []byte) *mta.Reply {
	for _, b := range line {
		if b < ' ' && b != '\t' || b == 0x7f {
			return replyOctets
		}
	}
	verb, arg, _ := strings.Cut(string(line), " ")
	verb = strings.TrimRight(verb, "\t")
	arg = strings.TrimRight(arg, " \t")
	cmd := find(verb)
	switch {
	case cmd == nil:
		return c.noSuch(verb)
	case len(line)+2 > lineMax && cmd.verb != "AUTH":
		return replyLong
	case cmd.bare && arg != "":
		return replyNoArgument
	case cmd.login && c.s.Kind != MX && c.login == nil:
		return replyLoginFirst
	case c.state&cmd.in == 0:
		return c.outOfOrder()
	case c.revoked():
		return mta.NewReply(421, [3]int{4, 7, 0}, "This login has been revoked")
	}
	if cmd.useless {
		if c.useless++; c.s.Limits.Idle > 0 && c.useless > c.s.Limits.Idle {
			return replyIdle
		}
	}
	return cmd.run(c, ctx, arg)
}

func find(verb string) *command {
	for i := range commands {
		if strings.EqualFold(commands[i].verb, verb) {
			return &commands[i]
		}
	}
	return nil
}

// noSuch answers an unknown command. A browser that was made to talk to us must not be
// able to smuggle commands in the body of a request.
func (c *conn) noSuch(verb string) *mta.Reply {
	switch strings.ToUpper(verb) {
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT":
		return replyHTTP
	case "EXPN", "TURN", "ETRN", "ATRN", "SEND", "SOML", "SAML":
		return replyElsewhere
	}
	return replyUnknown
}

func (c *conn) outOfOrder() *mta.Reply {
	text := "RCPT first"
	switch c.state {
	case stateNew:
		text = "HELO or EHLO first"
	case stateHello:
		text = "MAIL first"
	case stateRcpt:
		text = "A message is under way; RSET gives it up"
	case stateBdat:
		text = "BDAT has begun; only BDAT or RSET may follow"
	}
	return mta.NewReply(503, [3]int{5, 5, 1}, "%s", text)
}

// revoked reports that the login this session lives on is no more.
func (c *conn) revoked() bool {
	if c.login == nil {
		return false
	}
	select {
	case <-c.login.Revoked:
		return true
	default:
		return false
	}
}

// reset gives up the message under way.
func (c *conn) reset() {
	if c.chunks != nil {
		c.chunks.discard()
		c.chunks = nil
	}
	c.env = mta.Envelope{}
	if c.state > stateHello {
		c.state = stateHello
	}
}

func (c *conn) helo(_ context.Context, arg string) *mta.Reply {
	if r := c.hello(arg); r != nil {
		return r
	}
	c.peer.ESMTP = false
	return mta.NewReply(250, [3]int{}, "%s", c.s.Hostname)
}

func (c *conn) ehlo(_ context.Context, arg string) *mta.Reply {
	if r := c.hello(arg); r != nil {
		return r
	}
	c.peer.ESMTP = true
	return mta.NewReply(250, [3]int{}, "%s", c.s.Hostname+"\n"+strings.Join(c.extensions(), "\n"))
}

// hello checks the name a peer gives itself by its octets alone: it ends up in a header and in the
// log. RFC 5321 4.1.4 forbids to refuse mail because the name doesn't fit.
func (c *conn) hello(arg string) *mta.Reply {
	if arg == "" || len(arg) > 255 || !isHello(arg) {
		return mta.NewReply(501, [3]int{5, 5, 4}, "Give your domain name, or an address in brackets")
	}
	c.reset()
	c.state = stateHello
	c.peer.Hello = arg
	return nil
}

func isHello(s string) bool {
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case strings.IndexByte(".-_:[]", b) >= 0:
		default:
			return false
		}
	}
	return true
}

func (c *conn) rset(context.Context, string) *mta.Reply {
	c.reset()
	return replyOK
}

func (c *conn) quit(context.Context, string) *mta.Reply {
	c.closing = true
	return replyBye
}

func (c *conn) noop(context.Context, string) *mta.Reply { return replyOK }

// vrfy tells nothing about who exists (RFC 5321 7.3).
func (c *conn) vrfy(_ context.Context, arg string) *mta.Reply {
	if arg == "" {
		return mta.NewReply(501, [3]int{5, 5, 4}, "Whom?")
	}
	return replyVrfy
}

func (c *conn) help(context.Context, string) *mta.Reply {
	return mta.NewReply(214, [3]int{2, 0, 0}, "%s", helpText)
}
