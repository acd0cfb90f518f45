// Package maildir is the Maildir format on disk: the names of folders and of
// files, the text file that each folder has, and the steps by which a message
// becomes durable. It knows no SQL and no UIDs' meaning; storage decides.
//
// What must stay true:
//
//   - A folder's name is built from what a client sent only by EncodeName, an account's
//     only by EncodeAccount. Both are fuzzed: no result holds a "/" or is "." or "..".
//   - Every access goes through FS, which can't leave the account's folder and in
//     which tests break off after any step.
//   - What Parse doesn't understand in a file name of another program is kept.
//
// Maildir and Maildir++ have no RFC; modified UTF-7 is RFC 3501 5.1.3.
package maildir
