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
// is needed; 6 problems were found (verify, config check, domain check, mx); 7 the
// message would be or was refused (check, send).
package main
