package smtpd

import (
	"context"

	"facteur/auth"
	"facteur/mta"
	"facteur/storage/message"
)

// What the room needs of others, filled in by cmd.

// Recipients knows the hosted addresses.
type Recipients interface {
	// Check returns nil when mail for the address is taken: 550 5.1.1 for an unknown user, 550
	// 5.7.1 for a domain that isn't ours, 452 4.2.2 over quota and so on otherwise.
	Check(ctx context.Context, p mta.Peer, from, to message.AddrSpec) *mta.Reply
}

// Verifier finds out who a message is from. An error is a fault of ours: the peer comes again.
type Verifier interface {
	Verify(ctx context.Context, m *mta.Message) (Facts, error)
}

// Deliverer makes a message durable for each of to in the account's mailboxes (in Junk, when m says so), or
// takes the promise to (an alias that leads elsewhere goes to the queue). One Result for each of to, in order. The body
// is closed when it has returned.
type Deliverer interface {
	Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result
}

// Queue takes messages over durably. The body is closed when it has returned.
type Queue interface {
	Add(ctx context.Context, m *mta.Message) error
	// Submit adds a message of an account and counts it towards what that may send, or returns the reply that
	// refuses it; then nothing is added or counted.
	Submit(ctx context.Context, account string, m *mta.Message) (refusal *mta.Reply, err error)
}

// Authenticator checks logins: *auth.Directory.
type Authenticator interface {
	Mechanisms(c auth.Client, plainOK bool) []string
	Exchange(mechanism string, c auth.Client, plainOK bool) (auth.Exchange, error)
}

// Senders knows which addresses a login may write from.
type Senders interface {
	MaySendAs(ctx context.Context, account string, from message.AddrSpec) (bool, error)
}

// Signer makes the DKIM-Signature header lines for a message of ours (both keys), CRLF ends. An error that is a
// *mta.Reply refuses the message; any other is a fault of ours: the client comes again.
type Signer interface {
	Sign(ctx context.Context, from message.AddrSpec, m *mta.Message) ([]byte, error)
}
