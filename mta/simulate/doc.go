// Package simulate is the bad Internet on your desk, for the demo and the tests: an SMTP
// peer with faults that the recipient's address asks for, with odd TLS, greylisting and
// a tarpit; and a Sink, the transport that takes mail for everywhere.
//
// The local-part of a recipient, up to a "+", names the fault:
//
//	452@ 550@ ...     that code in reply to RCPT
//	slow@             every answer about it takes Delay
//	timeout@          no answer at all
//	drop@             the connection breaks at RCPT
//	drop-after-data@  it breaks after the final dot or the last chunk, the message is not kept
//
// What must stay true: nothing here is asked "am I in demo mode" by other rooms; cmd and
// tests plug it in where a real peer would be. The SMTP server here is honest about
// nothing but its protocol: it serves tests on loopback and must not face the Internet.
//
// RFC 5321, 2920, 3030, 3207, 3461 as far as a peer in a test needs them.
package simulate
