// Package remote holds every SMTP conversation that we start: MX look-up, the choice
// of servers and addresses, the session with one server, and what is asked of its TLS.
// A Sender is the queue's transport for domains that are not ours, a Smarthost the one
// through a configured server.
//
// What must stay true:
//
//  1. A bare CR or LF never leaves us: line ends are made CRLF, then dots are stuffed,
//     in one place (stuffer). By BDAT, which mends nothing, go only messages that
//     have nothing to mend.
//  2. Every recipient gets exactly one Result. A recipient is tried elsewhere only while
//     it is certain that the server before has not taken the message: never after
//     the final dot or the last chunk.
//  3. One function decides about the TLS of an MX (tlsPolicyFor), and a session in the
//     pool serves only messages that ask for no more than it was opened with.
//  4. What a peer says reaches logs and DSNs without control characters.
//  5. Every read and every write has a deadline, and ctx's end breaks all of them.
//
// The line of a message is Sender.Deliver, deliverDomain, connectMX, delivery.over and session.transact; a
// Smarthost differs in where it connects and that it logs in. The dialogues in testdata show the rest.
//
// The client is our own, not go-smtp's, since that one has no pipelining and one
// deadline for all phases, and does not normalise line ends; the tests and "facteur mx --connect" use it.
//
// RFC 5321 (4.5.3.2 timeouts, 5 MX), 1870 SIZE, 2920 PIPELINING, 3030 CHUNKING, 3207 STARTTLS, 3461
// DSN, 4954 AUTH, 6152 8BITMIME, 6531 SMTPUTF8, 6533, 7435, 7505 null MX, 8305, 8461
// MTA-STS, 8689 REQUIRETLS, 9422 LIMITS.
//
// BUGS: no DANE (RFC 7672) and no TLS-RPT yet. BINARYMIME messages are re-encoded for
// everybody, also for servers that would take them, since a bare CR or LF stays
// here.
package remote
