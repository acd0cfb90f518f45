package smtpd

import (
	"context"

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

// Verifier finds out who a message is from.
type Verifier interface {
	Verify(ctx context.Context, m *mta.Message) (Facts, error)
}

// Deliverer makes a message durable for each of to in the account's mailboxes, or takes the promise to
// (an alias that leads elsewhere goes to the queue). One Result for each of to, in order.
type Deliverer interface {
	Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient, junk bool) []mta.Result
}

// Queue takes messages over durably.
type Queue interface {
	Add(ctx context.Context, m *mta.Message) error
}

// Senders knows which addresses a login may write from.
type Senders interface {
	MaySendAs(ctx context.Context, account string, from message.AddrSpec) (bool, error)
}

// Signer makes the DKIM-Signature header lines for a message of ours (both keys), CRLF ends.
type Signer interface {
	Sign(ctx context.Context, from message.AddrSpec, m *mta.Message) ([]byte, error)
}
