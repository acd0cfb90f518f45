package mta

import (
	"fmt"
	"time"
)

// Reply is an answer in SMTP's words, and an error with an SMTP face. Text is
// what the peer hears; Err, when there is one, is what we log (never both the
// same words, never a path or a query in Text).
type Reply struct {
	Code     int
	Enhanced [3]int // RFC 3463; zero: the reply has none (the greeting, EHLO, 354)
	Text     string // one line or several, separated by "\n"; ASCII unless the session has SMTPUTF8
	Err      error
	Quoted   bool // a peer's words, not ours about it: a report says whose they are (RFC 3464 2.3.6)
}

// NewReply returns a Reply; the text is formatted as by fmt.Sprintf.
func NewReply(code int, enhanced [3]int, format string, args ...any) *Reply {
	return &Reply{Code: code, Enhanced: enhanced, Text: fmt.Sprintf(format, args...)}
}

// TempFail is the answer to a fault on our side: the peer keeps the message and
// comes again. The cause is for the log.
func TempFail(cause error) *Reply {
	return &Reply{Code: 451, Enhanced: [3]int{4, 3, 0}, Text: "A fault on our side, please try again later", Err: cause}
}

// Error makes a Reply an error; the log reads the cause through Unwrap.
func (r *Reply) Error() string {
	s := fmt.Sprintf("%d %s", r.Code, r.Text)
	if r.Enhanced != [3]int{} {
		s = fmt.Sprintf("%d %d.%d.%d %s", r.Code, r.Enhanced[0], r.Enhanced[1], r.Enhanced[2], r.Text)
	}
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

func (r *Reply) Unwrap() error { return r.Err }

// Status is Enhanced as a DSN writes it, "5.1.1".
func (r *Reply) Status() string {
	return fmt.Sprintf("%d.%d.%d", r.Enhanced[0], r.Enhanced[1], r.Enhanced[2])
}

// Positive, Temporary and Permanent sort replies by their first digit.
func (r *Reply) Positive() bool  { return r.Code < 400 }
func (r *Reply) Temporary() bool { return r.Code >= 400 && r.Code < 500 }
func (r *Reply) Permanent() bool { return r.Code >= 500 }

// Result is how one try at one recipient ended.
type Result struct {
	To        Recipient
	Err       *Reply // nil: the recipient's side has taken it
	RemoteMTA string // host name of the peer that answered; empty: no peer did
	Peer      string // its address and port, for the log
	Said      *Reply // what the peer said on success, for the log and the DSN
	TLS       string // "TLSv1.3 TLS_AES_128_GCM_SHA256 verified", empty: in the clear; with what an MTA-STS policy in mode testing would refuse in brackets
	// Unreachable: no server of the destination could be spoken to, so whatever else is
	// bound for it need not be tried now either.
	Unreachable bool
	Relayed     bool // handed to a server without DSN: the sender's NOTIFY=SUCCESS ends with "relayed"
	Expanded    bool // sent on to several, some of them elsewhere: it ends with "expanded" (RFC 3461 5.2.7.3)
	At          time.Time
}
