// Package linger ends a connection so that the other side reads our last words.
//
// Who closes a TCP connection with input unread resets it (RFC 1122 4.2.2.13), and a reset may
// overtake the reply that is on its way: a client that sends commands ahead would lose the 221, the
// 421 or the BYE. So a server ends its own half first, and reads on for a moment.
package linger
