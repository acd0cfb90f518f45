// Package sender finds out who a message is really from: SPF, DKIM, DMARC and ARC, and signs our own
// with DKIM.
//
// What must stay true: linear time whatever the message; a look-up that gave no answer is never a
// pass or a fail; nothing that was not in the signed text is trusted.
//
// RFC 7208 (SPF), 6376 8301 8463 (DKIM), 9989 (DMARC), 8617 (ARC, verified and never sealed), 8601
// (Authentication-Results), 8616 (internationalized mail).
package sender
