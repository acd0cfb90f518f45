package remote

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"facteur/mta"
)

// outcome is how one transaction ended for one recipient.
type outcome struct {
	reply   *mta.Reply // the peer's words, or ours when it said nothing
	ok      bool       // the server takes mail for the recipient, in the end: has taken it
	retry   bool       // nothing was decided: this recipient may be tried on another connection at once
	relayed bool
}

func (o outcome) accepted() bool { return o.ok }

func lostReply(peer, phase string, err error) *mta.Reply {
	return &mta.Reply{Code: 451, Enhanced: [3]int{4, 4, 2}, Err: fmt.Errorf("%s: connection lost: %w", phase, err),
		Text: fmt.Sprintf("Connection with %s was lost or timed out %s", peer, phase)}
}

// transact sends one message to up to recipientLimit recipients: the envelope, and the message
// once somebody wants it. The outcomes are in the order of to.
func (s *session) transact(f *form, to []mta.Recipient) []outcome {
	s.used++
	out := make([]outcome, len(to))
	data, lost := s.envelope(f, to, out)
	if lost != nil {
		undecided(out, lost)
		return out
	}
	wanted := slices.ContainsFunc(out, outcome.accepted)
	switch {
	case data == nil && !wanted: // MAIL or all of RCPT failed
		s.reset()
	case data == nil || goOn(data) && wanted:
		s.body(f, out)
	case goOn(data):
		// RFC 2920 3.1: DATA was pipelined and taken though no RCPT was. An empty
		// message closes the transaction; the peer refuses it or delivers to nobody.
		if _, err := s.command(s.timeouts.DataEnd, "."); err == nil {
			s.reset()
		}
	default:
		fail(out, unexpected(data, "DATA"))
		s.reset()
	}
	return out
}

// undecided marks whom a connection that was lost before the message leaves open: all but those who were refused for
// good may be tried elsewhere. A 421 said before tells more than that the connection went.
func undecided(out []outcome, lost *mta.Reply) {
	for i, o := range out {
		switch {
		case o.reply == nil:
			out[i] = outcome{reply: lost, retry: true}
		case o.reply.Temporary():
			out[i].retry = true
		}
	}
}

// envelope says MAIL, RCPT and DATA, and notes each recipient's outcome in out. It returns DATA's reply, nil when
// DATA was not said: nobody was accepted, or the message goes by BDAT. lost is what to tell when the
// connection breaks.
func (s *session) envelope(f *form, to []mta.Recipient, out []outcome) (data, lost *mta.Reply) {
	if s.has("PIPELINING") {
		return s.envelopeAtOnce(f, to, out)
	}
	return s.envelopeInSteps(f, to, out)
}

// envelopeAtOnce writes all commands before it reads a reply (RFC 2920 3.1). Where BDAT stands for DATA it waits
// with that, since its octets can't be taken back (RFC 3030 2).
func (s *session) envelopeAtOnce(f *form, to []mta.Recipient, out []outcome) (data, lost *mta.Reply) {
	s.write(f.mail)
	for _, r := range to {
		s.write(f.rcpt(r))
	}
	if !f.chunk {
		s.write("DATA")
	}
	if err := s.flush(); err != nil {
		return nil, lostReply(s.host, "at MAIL", err)
	}
	mail, err := s.read(s.timeouts.Command)
	if err != nil {
		return nil, lostReply(s.host, "at MAIL", err)
	}
	refused := mailRefused(mail, out)
	for i := range to {
		rcpt, err := s.read(s.timeouts.Command)
		if err != nil {
			return nil, lostReply(s.host, "at RCPT", err)
		}
		if !refused { // or it is 503: what counts is what MAIL was told
			out[i] = rcptOutcome(rcpt)
		}
	}
	if f.chunk {
		return nil, nil
	}
	if data, err = s.read(s.timeouts.DataInit); err != nil {
		return nil, lostReply(s.host, "at DATA", err)
	}
	return data, nil
}

// envelopeInSteps is for a peer without PIPELINING: each command waits for the reply to the one before. Such a peer
// gets no BDAT.
func (s *session) envelopeInSteps(f *form, to []mta.Recipient, out []outcome) (data, lost *mta.Reply) {
	mail, err := s.command(s.timeouts.Command, f.mail)
	if err != nil {
		return nil, lostReply(s.host, "at MAIL", err)
	}
	if mailRefused(mail, out) {
		return nil, nil
	}
	for i := range to {
		rcpt, err := s.command(s.timeouts.Command, f.rcpt(to[i]))
		if err != nil {
			return nil, lostReply(s.host, "at RCPT", err)
		}
		out[i] = rcptOutcome(rcpt)
	}
	if !slices.ContainsFunc(out, outcome.accepted) {
		return nil, nil
	}
	if data, err = s.command(s.timeouts.DataInit, "DATA"); err != nil {
		return nil, lostReply(s.host, "at DATA", err)
	}
	return data, nil
}

// done and goOn go by the first digit alone, as RFC 5321 4.2 wants it for codes that it doesn't list: a message that
// was taken with another code than 250 would be sent again and again.
func done(r *mta.Reply) bool { return r.Code/100 == 2 }
func goOn(r *mta.Reply) bool { return r.Code/100 == 3 }

// mailRefused notes for everyone that MAIL was refused, when it was.
func mailRefused(mail *mta.Reply, out []outcome) bool {
	if done(mail) {
		return false
	}
	for i := range out {
		out[i] = outcome{reply: unexpected(mail, "MAIL"), retry: mail.Code == 421}
	}
	return true
}

func rcptOutcome(rcpt *mta.Reply) outcome {
	if done(rcpt) { // RFC 5321 3.4: 251, the peer forwards
		return outcome{ok: true}
	}
	return outcome{reply: unexpected(rcpt, "RCPT")}
}

// body sends the message and gives its reply to everyone who was accepted.
func (s *session) body(f *form, out []outcome) {
	if err := s.writeMessage(f); err != nil {
		// Without the final dot, or all octets of the chunk, the peer must throw away what
		// it has (RFC 5321 4.1.1.4, RFC 3030 2).
		s.broken = true
		s.conn.Close()
		fail(out, mta.TempFail(fmt.Errorf("read the message to send: %w", err)))
		return
	}
	if err := s.flush(); err != nil {
		fail(out, lostReply(s.host, "while sending the message", err))
		return
	}
	r, err := s.read(s.timeouts.DataEnd)
	if err != nil {
		// The peer may have taken it or not. Another try could double the message, none
		// could lose it: RFC 5321 4.5.3.2.6 and RFC 1047 say to try again, later.
		fail(out, lostReply(s.host, "before it answered the end of the message", err))
		return
	}
	for i := range out {
		if !out[i].ok {
			continue
		}
		if done(r) {
			out[i] = outcome{reply: r, ok: true, relayed: !s.has("DSN")}
		} else {
			out[i] = outcome{reply: unexpected(r, "the message")}
		}
	}
}

// writeMessage puts the message on its way, as one chunk or with a final dot. An error is one of our own reading.
func (s *session) writeMessage(f *form) error {
	if f.chunk {
		s.write("BDAT " + strconv.FormatInt(f.size, 10) + " LAST")
		return f.writeTo(patient{s.w})
	}
	w := &stuffer{w: s.w}
	if err := f.writeTo(w); err != nil {
		return err
	}
	w.end()
	return nil
}

// fail gives reply to everyone who was accepted.
func fail(out []outcome, reply *mta.Reply) {
	for i := range out {
		if out[i].ok {
			out[i] = outcome{reply: reply}
		}
	}
}

// reset ends a transaction that went nowhere.
func (s *session) reset() {
	if s.broken {
		return
	}
	if r, err := s.command(s.timeouts.Quit, "RSET"); err != nil || !done(r) {
		s.broken = true
	}
}

// unexpected is the reply of a peer that did not do what we asked, as the queue
// takes it: 4xx or 5xx, with an enhanced code. A positive reply in a place where
// it makes no sense is not believed: try again later.
func unexpected(r *mta.Reply, command string) *mta.Reply {
	if r.Code >= 400 {
		return withStatus(r)
	}
	return &mta.Reply{Code: 451, Enhanced: [3]int{4, 5, 0},
		Text: fmt.Sprintf("The server answered %s with a reply that has no place there: %d %s", command, r.Code, r.Text)}
}

// form is a message as one peer gets it: command lines and octets that fit the
// extensions of its server.
type form struct {
	msg  *mta.Message
	body []byte // nil: the message as it is; else what it was re-encoded to
	size int64  // octets of either
	mail string // the command

	eightBit   bool // BODY=8BITMIME
	utf8       bool // addresses in UTF-8; else domains in A-labels
	requireTLS bool
	dsn        bool
	chunk      bool // BDAT stands for DATA
}

func (f *form) rcpt(to mta.Recipient) string {
	var b strings.Builder
	b.WriteString("RCPT TO:<" + wireAddress(to.Address, f.utf8) + ">")
	if f.dsn {
		if to.Notify != 0 {
			b.WriteString(" NOTIFY=" + to.Notify.String())
		}
		if orcpt := to.ORCPT; orcpt != "" {
			b.WriteString(" ORCPT=" + encodeORCPT(orcpt, f.utf8))
		}
	}
	return b.String()
}

// writeTo writes our Prefix and the message: all of it, or there is an error.
func (f *form) writeTo(w io.Writer) error {
	if f.body != nil {
		_, err := w.Write(f.body)
		return err
	}
	if _, err := w.Write(f.msg.Prefix); err != nil {
		return err
	}
	if b, ok := f.msg.Body.Bytes(); ok {
		_, err := w.Write(b)
		return err
	}
	n, err := io.CopyBuffer(w, f.msg.Body.Reader(), make([]byte, 64<<10))
	if err == nil && n < f.msg.Body.Size() {
		err = io.ErrUnexpectedEOF // somebody has cut the file
	}
	return err
}

// patient passes octets on and leaves the connection's errors to Flush, as the
// stuffer does: what fails in writeTo is our own reading.
type patient struct{ w *bufio.Writer }

func (p patient) Write(b []byte) (int, error) {
	p.w.Write(b)
	return len(b), nil
}

// mailLine writes MAIL with the parameters the peer knows.
func (s *session) mailLine(f *form) string {
	var b strings.Builder
	env := f.msg.Env
	b.WriteString("MAIL FROM:<" + wireAddress(env.MailFrom, f.utf8) + ">")
	if s.has("SIZE") {
		b.WriteString(" SIZE=" + strconv.FormatInt(f.size, 10))
	}
	if f.eightBit {
		b.WriteString(" BODY=8BITMIME")
	}
	if f.utf8 {
		b.WriteString(" SMTPUTF8")
	}
	if f.requireTLS {
		b.WriteString(" REQUIRETLS")
	}
	if f.dsn {
		switch env.Return {
		case mta.ReturnFull:
			b.WriteString(" RET=FULL")
		case mta.ReturnHeaders:
			b.WriteString(" RET=HDRS")
		}
		if env.ENVID != "" {
			b.WriteString(" ENVID=" + xtext(env.ENVID))
		}
	}
	return b.String()
}
