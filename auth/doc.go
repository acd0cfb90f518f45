// Package auth knows who is who among our users: domains, accounts, aliases, their
// secrets and what a login may do. It owns server.db.
//
// What must stay true:
//
//   - No password is kept in the clear, nor in a form that is faster to guess at than
//     argon2id or, for SCRAM, 15,000 rounds of PBKDF2. App passwords are 125 random bits
//     and need no slow hash.
//   - A wrong password, an unknown user, a disabled one and a wrong scope cost the same
//     time and get the same answer.
//   - An address belongs to one account or alias at most, compared by message.AddrSpec.Key
//     (and without dots where they are ignored).
//   - postmaster and abuse of every hosted domain resolve.
//   - What RCPT and AUTH ask is answered from an immutable snapshot in memory. A change is
//     durable, and seen by everybody, before its call returns; the sessions that it
//     forbids have been told to end by then.
//
// RFC 4616 (PLAIN), 5802 and 7677 (SCRAM-SHA-256), 5929 and 9266 (channel binding),
// 4013 (SASLprep), 9106 (argon2), 5233 (subaddresses), 2142 and 5321 4.5.1 (postmaster).
//
// BUGS: A wrong password that comes by SCRAM can't be told from another wrong one, so each
// counts: a client that keeps an old password is refused sooner than with PLAIN, unless
// its network is known.
package auth
