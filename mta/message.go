package mta

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"net/netip"
	"strings"
	"time"

	"facteur/storage/message"
)

// ID names a message from the moment we take it until its last delivery: in
// every log line, in Received, in the queue and in "facteur explain".
type ID string

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a fresh ID: 16 lower-case letters and digits, not guessable.
func NewID() ID {
	var b [10]byte
	rand.Read(b[:])
	return ID(idEncoding.EncodeToString(b[:]))
}

// Message is a mail message accepted into our hands. It is not edited after
// acceptance: what we add stands in Prefix. The holder of the last reference
// calls Body.Close.
type Message struct {
	ID      ID
	Env     Envelope
	Arrived time.Time
	Peer    Peer
	Prefix  []byte // header lines we put in front, CRLF: Authentication-Results, Received, DKIM-Signature
	Body    *Body  // header and body as received, CRLF line ends, immutable
	Junk    bool   // final delivery files it as junk, also when the queue carries it there
}

// Size is the number of octets of the message with our Prefix.
func (m *Message) Size() int64 { return int64(len(m.Prefix)) + m.Body.Size() }

// Envelope is what MAIL and RCPT said.
type Envelope struct {
	MailFrom   message.AddrSpec // zero: the null reverse-path
	To         []Recipient
	ENVID      string // decoded from xtext (RFC 3461 4.4)
	Return     Return
	Encoding   Encoding
	UTF8       bool // MAIL had SMTPUTF8 (RFC 6531)
	RequireTLS bool // MAIL had REQUIRETLS (RFC 8689)
	Size       int64
	HoldUntil  time.Time // FUTURERELEASE (RFC 4865); zero: now
}

// Recipient is one RCPT.
type Recipient struct {
	Address message.AddrSpec
	ORCPT   string // "rfc822;bob@example.org", decoded; empty: none given (RFC 3461 4.2)
	Notify  Notify
}

// Return is the RET parameter of MAIL (RFC 3461 4.3).
type Return uint8

const (
	ReturnUnset Return = iota
	ReturnFull
	ReturnHeaders
)

// Encoding is the BODY parameter of MAIL (RFC 6152, RFC 3030).
type Encoding uint8

const (
	Encoding7Bit Encoding = iota
	Encoding8BitMIME
	EncodingBinaryMIME
)

// Notify is the NOTIFY parameter of RCPT (RFC 3461 4.1), a set. The zero value
// means that the parameter was not given: failure, and delay as we see fit.
type Notify uint8

const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Wants reports whether the sender is to be told of what, one of NotifySuccess,
// NotifyFailure and NotifyDelay.
func (n Notify) Wants(what Notify) bool {
	if n == 0 {
		return what != NotifySuccess
	}
	return n&what != 0
}

// String writes n as NOTIFY takes it: "NEVER" or a list.
func (n Notify) String() string {
	var words []string
	for _, w := range []struct {
		bit  Notify
		word string
	}{{NotifyNever, "NEVER"}, {NotifySuccess, "SUCCESS"}, {NotifyFailure, "FAILURE"}, {NotifyDelay, "DELAY"}} {
		if n&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

// Peer is who handed a message to us.
type Peer struct {
	Addr     netip.AddrPort // zero for a message made here
	Name     string         // reverse name that resolves back to Addr (FcrDNS), or empty
	Hello    string         // argument of EHLO or HELO, checked against the allow-list of RFC 5321 4.1.1.1
	ESMTP    bool           // it said EHLO
	TLS      *tls.ConnectionState
	Login    string // account name; empty: not authenticated
	Listener string // name of our listener: "mx", "submission", "submissions"
}
