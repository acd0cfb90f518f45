// Command facteur is a whole mail server for a personal domain in one binary.
//
// This room holds the verbs of the command line, the configuration file, and Daemon,
// which wires all other rooms together. Nothing imports it.
//
// What must stay true: no room is told in which mode it runs, serve and demo and the
// tests plug different parts into the same Daemon; every long-lived goroutine is a
// Run(ctx) error under Daemon's errgroup; a data folder is opened only under its
// lock; every verb has --json, and ends with one of the exit codes below.
//
// Exit codes: 0 done; 1 it failed; 2 wrong usage or configuration; 3 there is no such
// thing; 4 it exists already; 5 the data folder is in use, or a running server
// is needed; 6 problems were found (verify, mailbox verify, config check, domain check, mx);
// 7 the message would be or was refused (check, send, migrate).
//
// Two verbs use other people's code on purpose, for a second opinion: "mx --connect" talks to servers with
// go-smtp, and "domain check" has go-msgauth read what is published.
//
// BUGS: "mx --connect" calls from the address that the system picks, also when a [[route]] names a source, and
// says EHLO localhost before STARTTLS, since go-smtp can't say another name there.
package main
