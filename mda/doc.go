// Package mda makes the final delivery: it finds out whom an address leads to, chooses the mailboxes, has storage
// make the message durable, and sends onwards what leads elsewhere.
//
// What must stay true:
//
//   - An account gets one copy of a message, however many of its recipients lead to it.
//   - A recipient is answered positively only when everything it leads to is durable: stored, or in the queue.
//     An alias that got through in part is promised as a whole, and the queue carries the rest: the sender never
//     has a reason to send again what somebody has already.
//   - A message that is sent onwards has a reverse-path of ours, signed (SRS), so that its bounces
//     come back through us, and a Delivered-To for each address it passed here, so that a loop ends.
//   - Mail comes back to a signed reverse-path only as a bounce: with the null reverse-path.
//   - Where a message is filed is decided in one place, file.
//
// RFC 5321 4.4 (Return-Path), 3.9 (aliases) and 6.3 (loops), 9228 (Delivered-To), 5233 (subaddresses), 3461 5.2.7 (DSN
// parameters through an alias), 3463 and 5248 (enhanced status codes).
//
// BUGS: A signed reverse-path can be longer than the 64 octets that RFC 5321 4.5.3.1.1 promises for a local-part; in
// practice nobody counts.
package mda
