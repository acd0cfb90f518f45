// Package admin is what an operator can ask of a server: accounts, domains, aliases,
// keys, the queue, mailboxes, and what became of a message.
//
// Everything is a method of Service. Local answers from the open data folder; a
// running server serves its Local on a unix socket (Handler), and Client asks there. So
// a verb of the command line is written once and does not know where it is answered.
//
// What must stay true: a data folder has one process at a time that opens it, and Lock
// says who that is; the socket is for its owner alone (0600); a secret
// that was generated is answered once and never logged; what a Journal has
// recorded is never edited, and losing it loses no mail.
//
// RFC 1035 5 (zone text), 6186 and 8314 (SRV records), 8460 (where reports on our TLS go).
package admin
