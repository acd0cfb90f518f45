// Package mta holds the nouns of mail transfer: the message in our hands, its
// envelope, its body, the peer it came from, and the answers we give. Rooms
// hand these to each other; none of them is edited after a message has been
// accepted.
//
// RFC 5321 (envelope, Received), 3461 (DSN parameters), 3463 and 5248 (enhanced
// status codes), 6531 (SMTPUTF8), 8689 (REQUIRETLS).
package mta
