// Package pop3 is the POP3 server over storage: an account's INBOX, as it is at login.
//
// What must stay true: a message is deleted at QUIT and not before, so a connection that breaks loses
// nothing; numbers and sizes don't change during a session, whatever other sessions do; a UIDL
// names the same message for ever; no password goes over the wire in the clear.
//
// RFC 1939, 2449 (CAPA, RESP-CODES, PIPELINING), 2595 (STLS), 3206 (AUTH-RESP-CODE), 5034 (AUTH), 6856
// (UTF8).
//
// BUGS: A session does not lock the maildrop, as RFC 1939 4 asks: IMAP sessions have it open at the
// same time in any case. Two sessions may download the same message; both may delete it.
// Messages with UTF-8 headers are not downgraded for clients that did not say UTF8.
package pop3
