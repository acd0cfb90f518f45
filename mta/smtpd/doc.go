// Package smtpd holds every SMTP conversation that others start with us: mail that other servers bring
// (the MX), and mail that our users submit.
//
// What must stay true:
//   - 250 is said when every recipient's message is durable or in the queue, and not before.
//   - A message ends at CRLF.CRLF and nowhere else. The MX refuses one with a bare CR or LF; in a
//     message of a logged-in user they become CRLF. None is delivered or queued, but inside BINARYMIME.
//   - A message is complete or it does not exist; nothing of it is left for the next.
//   - The MX relays for nobody. Submission sends for those who are logged in, in their own name.
//   - What a peer says reaches headers and log only through an allow-list of octets.
//   - Only what we say ourselves looks like ours: forged Authentication-Results, Return-Path and
//     X-Facteur fields are taken out.
//   - No peer costs others their service: every wait has a deadline, every count a limit, and
//     all parsing is linear.
//
// The line from the last octet to the reply is conn.receive (mx.go) and conn.submit (submission.go);
// the MX's decision is the pure function Decide. The dialogues in testdata show the rest.
//
// RFC 5321 (SMTP), 6409 (submission), 8314 (TLS), 3207 (STARTTLS), 4954 (AUTH), 2920 (PIPELINING),
// 1870 (SIZE), 6152 (8BITMIME), 3030 (CHUNKING, BINARYMIME), 6531 (SMTPUTF8), 3461 and 6533 (DSN),
// 2034 and 3463 (enhanced codes), 9422 (LIMITS), 8689 (REQUIRETLS), 4865 (FUTURERELEASE), 3848
// (with), 5782 (DNS lists).
package smtpd
