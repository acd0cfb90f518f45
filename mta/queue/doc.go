// Package queue keeps what we promised to deliver until it is delivered or
// bounced. It owns queue.db and the spool folder beside it.
//
// A message (row in message, octets in body, those of a large one in a spool file)
// is split into jobs, one for each destination. Run and Add put due jobs into lanes,
// one lane a destination; a job's try hands it to its Transport and records
// what came of it, together with the DSN that follows from it, in one transaction.
//
// What must stay true:
//
//  1. Add returns nil only when row, body and spool file are synced. From then on the
//     message ends in a delivery, a DSN, or an operator's Drop.
//  2. A result is recorded before anything else happens to its job. A crash between a
//     peer's 250 and that record delivers twice; no SMTP sender can close that gap
//     (RFC 1047), ours is one commit long.
//  3. A DSN enters the queue in the transaction that records its reason.
//  4. Nothing sleeps for a message: jobs wait in the database, a lane's first few in
//     memory, and Run has one timer.
//  5. A destination learns from its own results only. The one thing destinations
//     share is MaxActive: one that can't be reached takes one place of it, and one that is slow takes its
//     place for slowAfter only.
//  6. All changes of queue.db go through committer, which shares transactions.
//  7. A file is never removed on a message's way, only by Run's housekeeping, Drop and Open.
//
// Bodies up to 1 MiB stand in queue.db: one sync then covers a message whole, and
// nothing has to be removed later. Measured with 10 KiB messages on two cores (BenchmarkAdd
// and BenchmarkSend in mta/simulate): 11,000 Adds and 7,000 deliveries a second, against
// 3,100 and 1,800 with a file for each.
//
// 100,000 waiting messages for 2,000 destinations (BenchmarkHundredThousand): Open takes 1 ms, the first look 18 ms,
// a page of 1,000 of the list 3 ms, and the heap holds 11 MiB.
//
// RFC 5321 4.5.4.1 (retries), 3461, 3464, 6522, 6533 (DSN), 3463 (status codes),
// 3834 (Auto-Submitted), 4865 (FUTURERELEASE).
//
// BUGS: a schedule counts tries of a whole job, so one slow recipient of several at one destination sets
// the pace of all of them.
package queue
