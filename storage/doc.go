// Package storage keeps the accounts' mail: Maildir is the truth, a SQLite index
// beside it makes it fast, a compact table in memory makes it faster.
//
// The rules of the disk. A change may not break them; tests name them by number.
//
//  1. The Maildir is the truth and index.db can be thrown away. Without it and after
//     a restart nothing is lost and no client notices: same UIDVALIDITY, UIDs, flags
//     and folders. Other programs may add, flag, move and delete files while we
//     run, and watchers are woken.
//  2. The layout is Maildir++: cur new tmp at the account's root for INBOX, .Sent and
//     .Archive.2026 beside them, names in modified UTF-7 with a literal dot written
//     "&AC4-". Mailbox names in this API are UTF-8 with "/" between levels.
//  3. A message's identity rides in its file name:
//     TIME.UNIQUE.HOST,S=SIZE,W=SIZE,I=UIDVALIDITY-UID:2,FLAGS
//     so it becomes durable in the rename that makes the message durable. S is
//     the size on disk, W with CRLF line ends: where W is larger the file was written
//     by another program with bare LF, and is served with CRLF. A file whose I does
//     not name its own folder is foreign and gets a new UID. The file "facteur" in
//     each folder holds UIDVALIDITY, a bound of the UIDs handed out, special use,
//     subscription, the mailbox's ID and the letters of the keywords.
//  4. A delivery writes to tmp, syncs the file, renames it, syncs the folder, and then
//     answers. Concurrent deliveries share the folder's sync and the index's
//     transaction. The index runs WAL with synchronous=NORMAL, because of rule 1; after
//     an unclean stop the account is scanned again at its first use.
//  5. A ModSeq is max(last+1, now in microseconds): it rises even over a lost index.
//  6. One index.db for each account, with one writer. No network or client is waited
//     for while a transaction is open; "database is locked" can't happen.
//  7. A file name is built from what a client sent only through maildir.EncodeName.
//
// RFC 3501 and 9051 (UIDs, flags), 7162 (ModSeq), 8474 (object IDs), 8514 (SAVEDATE),
// 9208 (quota), 5464 (METADATA), 6154 (special use).
package storage
