package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"facteur/auth"
	"facteur/imap/wire"
	"facteur/storage"
)

// session is one IMAP conversation.
type session struct {
	*conn
	state  state
	login  *auth.Login
	acct   *storage.Account
	watch  *storage.Watch
	noCaps []string
	view   *view       // the selected mailbox
	saved  wire.Ranges // "$": the UIDs of SEARCH RETURN (SAVE)

	// What ENABLE has switched on. CONDSTORE goes on by itself at its first use (RFC 7162
	// 3.1).
	condstore, qresync, utf8, rev2, uidOnly bool

	notifying *notifySet
	contexts  []*searchContext
	errors    int // BAD answers in a row
}

// request is one command as it is being carried out.
type request struct {
	tag    string
	cmd    *command
	okCode string          // response code of the final OK
	okText string          // its text; empty: "NAME completed."
	own    []storage.Entry // changes that it has told of itself, ascending
	made   []storage.UID   // messages that it has put into the selected mailbox
	// numbers: it searched by message numbers, which have to hold during UID SEARCH too (RFC 7162 3.2.10.2).
	numbers bool
}

func newSession(c *conn) *session {
	return &session{conn: c, state: notAuthenticated}
}

// close gives back what the session holds.
func (s *session) close() {
	s.leaveMailbox()
	if s.watch != nil {
		s.watch.Close()
	}
	s.dropNotify()
	if s.acct != nil {
		s.acct.Release()
	}
	if s.login != nil {
		s.login.Release()
	}
}

// maxErrors is how many bad commands in a row end a session.
const maxErrors = 20

// run reads and carries out commands until the session ends.
func (s *session) run(ctx context.Context) error {
	s.out.printf("* OK [CAPABILITY %s] Facteur ready.\r\n", strings.Join(s.capabilities(), " "))
	for {
		if err := s.awaitCommand(ctx); err != nil {
			return err
		}
		if err := s.command(ctx); err != nil {
			return err
		}
		if s.errors >= maxErrors {
			s.out.printf("* BYE [CLIENTBUG] Too many errors\r\n")
			return errBye
		}
	}
}

// idleTimeout is how long a client may go without a command (RFC 9051 5.4 asks for 30 minutes at least).
const idleTimeout = 31 * time.Minute

// awaitCommand waits for the start of a command. NOTIFY lets us speak meanwhile.
func (s *session) awaitCommand(ctx context.Context) error {
	timeout := idleTimeout
	if s.state == notAuthenticated {
		timeout = time.Until(s.deadline)
	}
	if s.state != notAuthenticated && s.notifying != nil {
		return s.listen(ctx, timeout, s.reportNotify)
	}
	if err := s.wait(timeout); err != nil {
		return err
	}
	return s.revoked()
}

// wait returns when the first octet of a line has come.
func (s *session) wait(timeout time.Duration) error {
	if ready, err := s.settle(); ready || err != nil {
		return err
	}
	until := s.cap(time.Now().Add(timeout))
	for {
		if err := s.waitUntil(until); err != errWoken {
			return err
		}
		// Of what has changed nothing can be told now, but for the end.
		s.takeWake()
		if err := s.revoked(); err != nil {
			return err
		}
	}
}

// revoked ends a session whose password has been changed or withdrawn.
func (s *session) revoked() error {
	if s.login == nil {
		return nil
	}
	select {
	case <-s.login.Revoked:
		s.out.printf("* BYE [EXPIRED] Login is no longer valid\r\n")
		return errBye
	default:
		return nil
	}
}

// limits of a command line; before login they are tighter.
func (s *session) limits() wire.Limits {
	if s.state == notAuthenticated {
		return wire.Limits{Line: 8 << 10, Literal: 4 << 10, Depth: 50}
	}
	return wire.Limits{Line: 64 << 10, Literal: 64 << 10, Depth: 50}
}

// command reads one command and carries it out. An error ends the session.
func (s *session) command(ctx context.Context) error {
	d := s.dec
	d.UTF8 = s.utf8 || s.rev2
	d.Start(s.limits())
	r := &request{tag: d.Tag()}
	d.SP()
	name := d.Keyword()
	if name == "UID" {
		d.SP()
		name = "UID " + d.Keyword()
	}
	err := d.Err()
	if err == nil {
		err = s.dispatch(ctx, r, name)
	}
	return s.finish(r, name, err)
}

// dispatch checks that a command may be used now, and runs it.
func (s *session) dispatch(ctx context.Context, r *request, name string) error {
	cmd := s.srv.commands[name]
	switch {
	case cmd == nil, s.switchedOff(cmd.cap):
		return &response{"BAD", "", "Unknown command " + name}
	case cmd.states&s.state == 0 && s.state == notAuthenticated:
		return &response{"BAD", "", "Log in first"}
	case cmd.states&s.state == 0 && cmd.states == selected:
		return &response{"BAD", "", "No mailbox selected"}
	case cmd.states&s.state == 0:
		return &response{"BAD", "", name + " is not possible now"}
	case cmd.seqs && s.uidOnly:
		return uidRequired()
	case cmd.writes && s.view.readOnly:
		return no("", "Mailbox is open read-only")
	}
	r.cmd = cmd
	if err := cmd.run(s, ctx, r); err != nil {
		s.reportHeld() // before it failed it may have told of changes
		return err
	}
	return s.sync(ctx, r)
}

// finish answers a command with its tagged response and leaves the input where the
// next one begins.
func (s *session) finish(r *request, name string, err error) error {
	if err == errAnswered {
		return s.out.err
	}
	if err == nil {
		s.errors = 0
		text := r.okText
		if text == "" {
			text = name + " completed."
		}
		s.tagged(r, &response{"OK", r.okCode, text})
		return s.out.err
	}
	resp, fault, fatal := failure(err)
	if fatal || s.out.err != nil || s.dec.Broken() {
		return errors.Join(err, s.out.err)
	}
	if fault != nil {
		s.log.Error("imap: command failed", "command", name, "account", s.account, "error", fault)
	}
	if resp.status == "BAD" {
		s.errors++
	}
	// A client that waits for "+" has to be answered before the rest of its command is
	// read: there may be none.
	s.tagged(r, resp)
	if err := s.dec.Skip(); err != nil {
		var tooBig *wire.TooBigError
		if errors.As(err, &tooBig) {
			s.out.printf("* BYE [TOOBIG] Literal too big to skip\r\n")
			return errBye
		}
		return err
	}
	return s.out.err
}

// oneLine keeps what a client has sent in a literal, and hears of in a text, from ending the line.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c == '\r' || c == '\n' {
			return ' '
		}
		return c
	}, text)
}

func (s *session) tagged(r *request, resp *response) {
	tag := r.tag
	if tag == "" { // RFC 9051 7.1: what can't be laid at a command's door
		tag = "*"
	}
	text := oneLine(resp.text)
	if resp.code != "" {
		s.out.printf("%s %s [%s] %s\r\n", tag, resp.status, resp.code, text)
		return
	}
	s.out.printf("%s %s %s\r\n", tag, resp.status, text)
}

// hasMade notes messages that a command has put into box: a client isn't sent its own (RFC 5465
// 5.2).
func (r *request) hasMade(s *session, box *storage.Mailbox, uids ...storage.UID) {
	if s.notifying != nil && s.view != nil && s.view.box == box {
		r.made = uids
	}
}

// appendMailbox appends a mailbox name in the session's encoding.
func (s *session) appendMailbox(b []byte, name string) []byte {
	return wire.AppendMailbox(b, name, s.utf8 || s.rev2)
}

// mailboxText is appendMailbox for printf.
func (s *session) mailboxText(name string) string { return string(s.appendMailbox(nil, name)) }

// open opens a mailbox of the account by the name a client gave.
func (s *session) open(ctx context.Context, name string) (*storage.Mailbox, error) {
	if name == "" {
		return nil, fmt.Errorf("empty mailbox name: %w", storage.ErrNoMailbox)
	}
	return s.acct.Mailbox(ctx, strings.TrimSuffix(name, "/"))
}
