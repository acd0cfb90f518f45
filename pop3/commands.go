package pop3

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"facteur/storage"
)

// state is where a session stands (RFC 1939 3), as a bit.
type state uint8

const (
	authorization state = 1 << iota
	transaction
)

// command is one row of what we understand.
type command struct {
	name string
	in   state
	run  func(c *session, ctx context.Context, arg string)
}

var commands = [...]command{
	{"CAPA", authorization | transaction, (*session).capa},
	{"QUIT", authorization | transaction, (*session).quit},
	{"STLS", authorization, (*session).stls},
	{"UTF8", authorization, (*session).utf8},
	{"USER", authorization, (*session).userName},
	{"PASS", authorization, (*session).pass},
	{"AUTH", authorization, (*session).auth},
	{"NOOP", transaction, (*session).noop},
	{"STAT", transaction, (*session).stat},
	{"LIST", transaction, (*session).list},
	{"UIDL", transaction, (*session).uidl},
	{"RETR", transaction, (*session).retr},
	{"TOP", transaction, (*session).top},
	{"DELE", transaction, (*session).dele},
	{"RSET", transaction, (*session).rset},
}

// run runs one line.
func (c *session) run(ctx context.Context, line string) {
	name, arg, _ := strings.Cut(line, " ")
	now := authorization
	if c.login != nil {
		now = transaction
		select {
		case <-c.login.Revoked:
			c.fail("[AUTH] This login has been revoked")
			c.closing = true
			return
		default:
		}
	}
	for i := range commands {
		cmd := &commands[i]
		if !strings.EqualFold(cmd.name, name) {
			continue
		}
		switch {
		case cmd.in&now != 0:
			cmd.run(c, ctx, arg)
		case now == authorization:
			c.fail("Log in first")
		default:
			c.fail("You are logged in already")
		}
		return
	}
	c.fail("No such command")
}

// capa lists what we can (RFC 2449 5).
func (c *session) capa(context.Context, string) {
	c.ok("This is what I can do")
	lines := []string{"TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8 USER", "EXPIRE NEVER"}
	if c.login == nil {
		if c.mayLogin() {
			lines = append(lines, "USER")
			if m := c.s.Auth.Mechanisms(c.client(), c.s.PlainAuth); len(m) > 0 {
				lines = append(lines, "SASL "+strings.Join(m, " "))
			}
		}
		if c.s.TLS != nil && c.tls == nil {
			lines = append(lines, "STLS")
		}
	}
	lines = append(lines, "IMPLEMENTATION Facteur", ".")
	c.w.WriteString(strings.Join(lines, "\r\n") + "\r\n")
}

// stls: RFC 2595 4.
func (c *session) stls(ctx context.Context, _ string) {
	switch {
	case c.tls != nil:
		c.fail("TLS is on already")
	case c.s.TLS == nil:
		c.fail("Not available here")
	case c.r.Buffered() > 0:
		// What was sent in the clear must not be run as if it had come over TLS.
		c.fail("Nothing may follow STLS before the handshake")
		c.closing = true
	default:
		c.ok("Ready for TLS")
		c.closing = c.flush() != nil || !c.handshake(ctx)
		c.user = ""
	}
}

// utf8: RFC 6856 2. We send messages as they are in any case.
func (c *session) utf8(context.Context, string) { c.ok("UTF-8 it is") }

func (c *session) noop(context.Context, string) { c.ok("") }

// stat: RFC 1939 5.
func (c *session) stat(context.Context, string) {
	var n int
	var size int64
	for i, e := range c.drop.All(0) {
		if !c.deleted[i] {
			n++
			size += e.Size
		}
	}
	c.ok("%d %d", n, size)
}

func (c *session) list(_ context.Context, arg string) {
	c.listing(arg, func(e storage.Entry) string { return strconv.FormatInt(e.Size, 10) })
}

// uidl: RFC 1939 7. UIDVALIDITY and UID outlive everything but the mailbox.
func (c *session) uidl(_ context.Context, arg string) {
	c.listing(arg, func(e storage.Entry) string {
		return strconv.FormatUint(uint64(c.drop.UIDValidity), 10) + "." + strconv.FormatUint(uint64(e.UID), 10)
	})
}

// listing answers for one message, or for all that are not marked.
func (c *session) listing(arg string, what func(storage.Entry) string) {
	if arg != "" {
		if i, ok := c.number(arg); ok {
			c.ok("%d %s", i+1, what(c.drop.At(i)))
		}
		return
	}
	c.ok("%d messages", c.drop.Len()-len(c.deleted))
	for i, e := range c.drop.All(0) {
		if c.deleted[i] {
			continue
		}
		c.w.WriteString(strconv.Itoa(i + 1))
		c.w.WriteByte(' ')
		c.w.WriteString(what(e))
		c.w.WriteString("\r\n")
	}
	c.w.WriteString(".\r\n")
}

// number reads a message number, and answers when it names none.
func (c *session) number(arg string) (i int, ok bool) {
	n, err := strconv.ParseUint(arg, 10, 31)
	switch {
	case err != nil || n == 0 || int(n) > c.drop.Len():
		c.fail("No such message")
	case c.deleted[int(n)-1]:
		c.fail("Message is marked as deleted")
	default:
		return int(n) - 1, true
	}
	return 0, false
}

func (c *session) dele(_ context.Context, arg string) {
	if i, ok := c.number(arg); ok {
		c.deleted[i] = true
		c.ok("Goes at QUIT")
	}
}

func (c *session) rset(context.Context, string) {
	clear(c.deleted)
	c.ok("%d messages", c.drop.Len())
}

// quit: RFC 1939 6. In the transaction state what is marked goes now.
func (c *session) quit(ctx context.Context, _ string) {
	c.closing = true
	if len(c.deleted) == 0 {
		c.ok("Goodbye")
		return
	}
	uids := make([]storage.UID, 0, len(c.deleted))
	for i, e := range c.drop.All(0) {
		if c.deleted[i] {
			uids = append(uids, e.UID)
		}
	}
	_, err := c.box.Store(ctx, uids, storage.FlagsAdd, storage.Flags{System: storage.Deleted}, nil)
	if err == nil {
		_, err = c.box.Expunge(ctx, uids)
	}
	if err != nil {
		c.fault("expunge", err)
		return
	}
	c.ok("%d messages deleted, goodbye", len(uids))
}

func (c *session) retr(_ context.Context, arg string) {
	if i, ok := c.number(arg); ok {
		c.send(i, -1)
	}
}

// top: RFC 1939 7.
func (c *session) top(_ context.Context, arg string) {
	number, lines, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(strings.TrimSpace(lines), 10, 31)
	if err != nil {
		c.fail("TOP takes a message and a number of lines")
		return
	}
	if i, ok := c.number(number); ok {
		c.send(i, int(n))
	}
}

// send writes a message; of its body so many lines, or all with a negative number.
func (c *session) send(i, lines int) {
	e := c.drop.At(i)
	content, err := c.box.Open(e.UID)
	switch {
	case errors.Is(err, storage.ErrGone):
		// No error of the client's, who isn't to be sent away when an IMAP session has emptied the mailbox.
		c.w.WriteString("-ERR Another program has deleted this message\r\n")
		return
	case err != nil:
		c.fault("open message", err)
		return
	}
	defer content.Close()
	c.ok("%d octets", content.Size())
	if err := stuff(c.w, content, content.Size(), lines); err != nil {
		// The client must not take half a message for a whole one.
		c.s.Log.Info("message not sent to its end", "listener", "pop3", "peer", c.addr.String(), "login", c.login.Account, "error", err)
		c.w.Reset(writer{c.conn})
		c.raw.Close()
		c.closing = true
	}
}
