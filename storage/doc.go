// Package storage keeps the accounts' mail: Maildir is the truth, a SQLite index
// beside it makes it fast, a compact table in memory makes it faster.
//
// The rules of the disk. A change may not break them; tests name them by number.
//
//  1. The Maildir is the truth and index.db can be thrown away. Without it and after
//     a restart nothing is lost and no client notices: same UIDVALIDITY, UIDs, flags
//     and folders. Other programs may add, flag, move and delete files while we
//     run, and watchers are woken. A file that one still writes comes in when it is
//     closed; one that is written to later becomes a new message. A folder renamed by
//     another program keeps its UIDs.
//  2. The layout is Maildir++: cur new tmp at the account's root for INBOX, .Sent and
//     .Archive.2026 beside them, names in modified UTF-7 with a literal dot written
//     "&AC4-". Mailbox names in this API are UTF-8 with "/" between levels.
//  3. A message's identity rides in its file name:
//     TIME.UNIQUE.HOST,S=SIZE,W=SIZE,I=UIDVALIDITY-UID:2,FLAGS
//     so it becomes durable in the rename that makes the message durable. S is
//     the size on disk, W with CRLF line ends: where W is larger the file was written
//     by another program with bare LF, and is served with CRLF. A file whose I does
//     not name its own folder is foreign and gets a new UID. The file "facteur" in
//     each folder holds UIDVALIDITY, bounds of the UIDs and ModSeqs handed out, special use,
//     subscription, the mailbox's ID, its METADATA and the letters of the keywords;
//     "facteur-account" beside INBOX's holds the last UIDVALIDITY handed out, the account's
//     METADATA, and subscribed names that are no mailbox.
//  4. A delivery writes to tmp, syncs the file, renames it, syncs the folder, and then
//     answers. Concurrent deliveries share the folder's sync and the index's
//     transaction. The index runs WAL with synchronous=NORMAL, because of rule 1; after
//     an unclean stop the account is scanned again at its first use.
//  5. A ModSeq is max(last+1, now in microseconds), and below the bound in the text file, which is
//     kept up to a day ahead. Where the index has lost the last ones they go on from that
//     bound: they rise even over a lost index and a clock that was set back.
//  6. One index.db for each account, with one writer. No network or client is waited
//     for while a transaction is open; "database is locked" can't happen.
//  7. A file name is built from what a client sent only through maildir.EncodeName.
//
// How it hangs together: a Mailbox has one lock for its writers, and a Snapshot that
// readers take without any. Who wants to add messages puts them in the mailbox's queue and
// asks for the lock; who gets it commits for all (commit.go). Snapshots share all that
// didn't change (table.go). The index is written behind and flushed by whoever
// reads it (index.go), so that the path of a message has two syncs and no SQL. What other
// programs did is found by the times of new and cur before each change, and told
// by inotify to those who wait (scan.go, adopt.go, watch.go, bulk.go). The full-text index follows
// when there is quiet, and at a trickle while there is none (run.go). The order of
// syncs, and what a crash leaves after each step, is in maildir/write.go.
//
// BUGS: A file over 4 GiB is not taken for a message, nor is a folder whose name is not in
// modified UTF-7, or one that is a symbolic link. A message with bare LFs is turned into CRLF in memory. Keywords that
// Dovecot keeps in dovecot-keywords are not read: letters without a name are dropped
// when the file gets its name here. The date of SAVEDATE is the delivery's again after the
// index was lost. Where another program changes a folder while we do, and Run isn't running, that is only seen
// at the next change.
//
// RFC 3501 and 9051 (UIDs, flags), 7162 (ModSeq), 8474 (object IDs), 8514 (SAVEDATE),
// 9208 (quota), 5464 (METADATA), 6154 (special use).
package storage
