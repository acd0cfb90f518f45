// Package sender finds out who a message is really from: SPF, DKIM, DMARC and ARC, and signs our own
// with DKIM.
//
// Verifier.Verify is the way in: it asks for everything at the same time and makes one Verdict of
// it, with the Authentication-Results field to put on top. CheckSPF, CheckIPRev and ForgedResult stand
// for themselves. Keyring holds our DKIM keys and signs.
//
// What must stay true: linear time whatever the message; a look-up that gave no answer is never a
// pass or a fail; nothing that was not in the signed text is trusted; what a stranger wrote can't
// leave its place in a field of ours; a name that isn't one of letters, digits, hyphens and underscores is never
// asked for as d= or s=; the author is one address that every reader would take for the author, or
// the message is refused.
//
// Where we decide what the RFCs leave open: ten signatures are verified, from the top; a signature whose l=
// leaves a part of the body unsigned, and a key below 1024 or above 8192 bits, are "policy", which is no
// pass; an expired signature is "fail"; a key in testing mode (t=y) counts like any other and is
// reported. ARC is never sealed and only used to set a policy aside for a sealer that the owner trusts.
//
// Verifier and signer are our own: libraries are quadratic in places, read records too generously, or hash
// the body once for each key. The tests and "facteur domain check" let go-msgauth check what we
// sign.
//
// An RSA-2048 signature is most of what sending a message costs: 0.8 ms of processor time with Go's
// constant-time arithmetic, against 0.6 ms in OpenSSL, or 0.26 ms where that has AVX-512's IFMA.
//
// BUGS: DMARC reports are not sent.
//
// RFC 7208 (SPF), 6376 8301 8463 (DKIM), 9989 (DMARC), 8617 (ARC, verified and never sealed), 8601
// and 6008 (Authentication-Results), 8616 (internationalized mail).
package sender
