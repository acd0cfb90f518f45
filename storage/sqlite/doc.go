// Package sqlite opens a SQLite file the one way this house does it: write-ahead log,
// one writer, a few readers, the schema brought up to date. It knows no mail.
//
// What must stay true:
//
//   - All changes go through DB.Write, one at a time, so that "database is locked" can't
//     happen inside one process. The busy timeout is only a seat belt.
//   - A transaction that has begun runs to its end: ctx ends the wait for a turn, never a
//     statement. Nothing slow (a network, a client, an fsync of other files) is waited
//     for inside one.
//   - A file written by a newer program is refused with ErrFuture, not guessed at. A
//     damaged one gives an error for which IsCorrupt is true.
package sqlite
