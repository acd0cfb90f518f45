package imap

import (
	"strings"

	"facteur/imap/wire"
	"facteur/storage/message"
)

// appendEnvelope appends ENVELOPE's value (RFC 9051 7.5.2).
func appendEnvelope(b []byte, e *message.Envelope, utf8OK bool) []byte {
	// RFC 9051 7.5.2: a Sender or Reply-To that is missing or empty is the From.
	sender, replyTo := e.Sender, e.ReplyTo
	if len(sender) == 0 {
		sender = e.From
	}
	if len(replyTo) == 0 {
		replyTo = e.From
	}
	b = append(b, '(')
	b = appendText(b, e.Date, utf8OK)
	b = append(b, ' ')
	subject := e.Subject
	subject.Value = message.SqueezeBlanks(subject.Value)
	b = appendText(b, subject, utf8OK)
	for _, list := range [...][]message.Address{e.From, sender, replyTo, e.To, e.Cc, e.Bcc} {
		b = append(b, ' ')
		b = appendAddresses(b, list, utf8OK)
	}
	b = append(b, ' ')
	b = appendText(b, e.InReplyTo, utf8OK)
	b = append(b, ' ')
	b = appendText(b, e.MessageID, utf8OK)
	return append(b, ')')
}

func appendText(b []byte, t message.Text, utf8OK bool) []byte {
	return wire.AppendNString(b, withoutNUL(t.Value), t.Present, utf8OK)
}

func appendAddresses(b []byte, list []message.Address, utf8OK bool) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i := range list {
		b = appendAddress(b, &list[i], utf8OK)
	}
	return append(b, ')')
}

// envelopeParts are the mailbox and the host of an address that is no part of a group's frame.
// One that lacks either must not look like that; it gets the words that Dovecot puts there,
// which clients know.
func envelopeParts(a *message.Address) (mailbox, host string) {
	mailbox, ok := a.Local()
	host = a.Host
	if !ok {
		mailbox = "MISSING_MAILBOX"
	}
	if host == "" {
		host = "MISSING_DOMAIN"
	}
	return mailbox, host
}

// appendAddress appends one address. RFC 9051 7.5.2: a group begins with an address
// whose host is NIL and ends with one whose mailbox is NIL too.
func appendAddress(b []byte, a *message.Address, utf8OK bool) []byte {
	switch a.Kind {
	case message.GroupStart:
		b = append(b, "(NIL NIL "...)
		b = wire.AppendString(b, withoutNUL(a.Mailbox), utf8OK)
		return append(b, " NIL)"...)
	case message.GroupEnd:
		return append(b, "(NIL NIL NIL NIL)"...)
	}
	mailbox, host := envelopeParts(a)
	b = append(b, '(')
	b = appendOptional(b, a.Name, utf8OK)
	b = append(b, ' ')
	b = appendOptional(b, a.Route, utf8OK)
	b = append(b, ' ')
	b = wire.AppendString(b, withoutNUL(mailbox), utf8OK)
	b = append(b, ' ')
	b = wire.AppendString(b, withoutNUL(host), utf8OK)
	return append(b, ')')
}

// appendOptional appends s, or NIL when it is empty.
func appendOptional(b []byte, s string, utf8OK bool) []byte {
	return wire.AppendNString(b, withoutNUL(s), s != "", utf8OK)
}

// withoutNUL replaces NUL, which no string of IMAP may hold (RFC 9051 9, CHAR8), by
// U+FFFD, as Dovecot does.
func withoutNUL(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "\ufffd")
}
