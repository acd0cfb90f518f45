// Package imap is the IMAP server: conversations, the command table, one file for each
// family of commands, and each client's view of its mailbox.
//
// What must stay true:
//
//   - A view's sequence numbers change only where EXPUNGE or VANISHED is sent, and
//     whether that is allowed is a column of the command table (command.go) which one
//     function reads (sync.go). No command decides it; a search by message numbers holds them.
//   - Wake, then pull: a change carries no data. A session asks the mailbox for its
//     Snapshot and tells its client what differs from the one before.
//   - What a client is told of ModSeqs never goes back, but for HIGHESTMODSEQ while expunges are
//     held back (sync.go).
//   - No lock is held and no transaction is open while a client is waited for.
//   - An idle session holds no buffer, and no copy of the mailbox's UIDs: it shares the
//     snapshot's.
//   - Output is bounded: responses are gathered up to 32 KiB and then written, which
//     blocks; octets of messages, and lists of messages found, are streamed. (What a tagged
//     OK lists is whole: of COPYUID and APPENDUID as long as the command that asked for it.)
//   - Bad input gets BAD, and the next command is read from where it begins.
//
// Goroutines: one accepts for each listener, and one serves each connection, in IDLE too: who
// changes a mailbox ends the read that a listening session waits in. While a command works for
// long, and writes nothing, a timer shows its progress (progress.go).
//
// RFC 9051 and 3501, 2177 (IDLE), 2342 (NAMESPACE), 2971 (ID), 3502 (MULTIAPPEND), 3516
// (BINARY), 3691 (UNSELECT), 4315 (UIDPLUS), 4469 (CATENATE), 4731 (ESEARCH), 4959 (SASL-IR),
// 4978 (COMPRESS), 5032 (WITHIN), 5161 (ENABLE), 5182 (SEARCHRES), 5256 (SORT, THREAD),
// 5258 (LIST-EXTENDED), 5267 (CONTEXT, ESORT), 5464 (METADATA), 5465 (NOTIFY), 5530
// (response codes), 5819 (LIST-STATUS), 5957 (SORT=DISPLAY), 6154 (SPECIAL-USE), 6851 (MOVE),
// 7162 (CONDSTORE, QRESYNC), 7377 (MULTISEARCH), 7888 (LITERAL+), 7889 (APPENDLIMIT), 8437
// (UNAUTHENTICATE), 8438 (STATUS=SIZE), 8474 (OBJECTID), 8508 (REPLACE), 8514 (SAVEDATE), 8970
// (PREVIEW), 9208 (QUOTA), 9394 (PARTIAL), 9585 (INPROGRESS), 9586 (UIDONLY), 9590
// (LIST-METADATA), 9738 (MESSAGELIMIT), 9755 (UTF8=ACCEPT), 10022 (UIDBATCHES).
//
// BUGS: There are no access control lists, and so no LIST-MYRIGHTS; there is no CONTEXT=SORT, and no I18NLEVEL=1: texts
// are compared as i;unicode-casemap does but for a few characters that hide others, and SORT doesn't put last what is in
// an unknown charset. A capability that is switched off for an account takes its commands along, but the arguments
// that it brings to other commands still work for those who use them unasked.
// Under NOTIFY a client hears of messages that it has put into other mailboxes itself, and the ends of commands
// tell EXISTS and EXPUNGE of a selected mailbox that it did not ask to watch. MESSAGELIMIT is a
// million by default, so that no command is cut short: a client that doesn't know RFC 9738 takes
// the part that it gets for the whole. It bounds memory, not time: STORE of a million messages
// keeps others from changing that mailbox for minutes. INPROGRESS counts for SEARCH, SORT and THREAD only:
// COPY, MOVE, STORE and EXPUNGE, each one call of the storage, tell that they go on, not how far.
package imap
