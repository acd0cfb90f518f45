package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// Kind is what a listener is for.
type Kind uint8

const (
	MX          Kind = iota // port 25: other servers bring mail for us
	Submission              // port 587: our users send, STARTTLS
	Submissions             // port 465: our users send, TLS from the first octet (RFC 8314 3.3)
)

func (k Kind) String() string { return [...]string{"mx", "submission", "submissions"}[k] }

// Config of a Server. The parts that a kind of listener doesn't use stay nil.
type Config struct {
	Kind      Kind
	Hostname  string       // in the greeting, Received, and as authserv-id
	TLS       *tls.Config  // nil: no STARTTLS
	PlainAuth bool         // AUTH without TLS is allowed (tests on loopback)
	SpoolDir  string       // for bodies over Limits.Memory; on the file system of the queue, which links them
	Free      func() error // why there is no room on the disk for more mail; nil: not asked
	Limits    Limits       // DefaultLimits(Kind)
	Log       *slog.Logger
	Now       func() time.Time // time.Now
	Observe   func(Event)      // counters; may be nil

	// ForgedResult reports whether a header field is an Authentication-Results field that claims
	// to be from us, the host ourID: sender.ForgedResult.
	ForgedResult func(field []byte, ourID string) bool

	// Submission asks it too, so that a typing error in an address of ours is told at once; there
	// it may be nil.
	Recipients Recipients

	// Of the MX.
	Verifier  Verifier // nil: senders are not checked
	Deliverer Deliverer
	Names     Names         // nil: no reverse names
	Lists     *Lists        // nil: none asked
	First     *FirstContact // nil: strangers are not asked to come again

	// Of submission.
	Auth    Authenticator
	Senders Senders
	Signer  Signer // nil: not signed

	Queue Queue // of both: what the MX could not deliver for one of several recipients goes there
}

// Names finds reverse names.
type Names interface {
	// Reverse returns the name of an address that resolves back to it, or "".
	Reverse(ctx context.Context, addr netip.Addr) string
}

// Event is something to count.
type Event struct {
	Listener string
	What     What
	Octets   int64 // of an accepted message
	Took     time.Duration
}

// What happened.
type What uint8

const (
	Connected What = iota
	TurnedAway
	Accepted
	Refused
	LoginFailed
	Panicked
)

// Limits are the caps of one listener. Zero means no limit, unless said otherwise.
type Limits struct {
	Message    int64 // octets of a message, SIZE
	Memory     int64 // octets of a body that are kept in memory
	Recipients int   // of one message, RCPTMAX
	Messages   int   // of one session, MAILMAX

	Header     int64 // octets of the header block
	Fields     int   // header fields
	Field      int   // octets of a field
	FieldLines int   // lines of a field
	Hops       int   // Received fields (RFC 5321 6.3)

	Errors  int           // refused commands in a session, then 421
	Unknown int           // refused recipients in a session, then 421; a quarter of them is free of delay
	Idle    int           // commands without a message between them (NOOP, RSET, ...), then 421
	Delay   time.Duration // after an error

	Command time.Duration // waiting for one (RFC 5321 4.5.3.2.7: at least 5 min)
	Data    time.Duration // for a whole message
	Session time.Duration
	MinRate int64         // octets a second that a message must come in with, after a minute's grace
	Greet   time.Duration // how long we listen for those who talk before the greeting

	Sessions int // at a time
	Reserve  int // of these, kept for those who are logged in
	// Before login, at a time from one IPv4 address or IPv6 /64; the wider networks may have three
	// and nine times as many.
	PerAddress int
	PerMinute  int // messages a minute, counted in the same way

	Shutdown time.Duration // for transactions under way when we stop
}

// DefaultLimits are the limits for the open Internet.
func DefaultLimits(k Kind) Limits {
	l := Limits{
		Message: 50 << 20, Memory: 1 << 20, Recipients: 100, Messages: 50,
		Header: 256 << 10, Fields: 1000, Field: 64 << 10, FieldLines: 500, Hops: 100,
		Errors: 10, Unknown: 20, Idle: 100, Delay: time.Second,
		Command: 300 * time.Second, Data: 30 * time.Minute, Session: 30 * time.Minute, MinRate: 1000,
		Greet:    300 * time.Millisecond,
		Sessions: 1000, PerAddress: 50, PerMinute: 600,
		Shutdown: 30 * time.Second,
	}
	if k != MX {
		l.Recipients, l.Greet, l.Unknown, l.Reserve = 1000, 0, 0, l.Sessions/4
	}
	return l
}

func (cfg *Config) check() error {
	switch {
	case cfg.Hostname == "":
		return errors.New("smtpd: no hostname")
	case cfg.Queue == nil:
		return errors.New("smtpd: no queue")
	case cfg.ForgedResult == nil:
		return errors.New("smtpd: nothing finds forged Authentication-Results")
	case cfg.Kind == MX && (cfg.Recipients == nil || cfg.Deliverer == nil):
		return errors.New("smtpd: an MX needs Recipients and a Deliverer")
	case cfg.Kind != MX && (cfg.Auth == nil || cfg.Senders == nil):
		return errors.New("smtpd: submission needs Auth and Senders")
	case cfg.Kind == Submissions && cfg.TLS == nil:
		return errors.New("smtpd: submissions needs TLS")
	case cfg.Limits.Message <= 0 || cfg.Limits.Command <= 0 || cfg.Limits.Data <= 0 || cfg.Limits.Session <= 0:
		return errors.New("smtpd: limits of message size and time must be set")
	}
	return nil
}
