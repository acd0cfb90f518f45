// Package auth knows who is who among our users: domains, accounts, aliases, their
// secrets and what a login may do. It owns server.db.
//
// What must stay true: no password is kept in the clear; a wrong password, an unknown
// user and a disabled one cost the same time and get the same answer; an address
// belongs to one account or alias at most, compared by message.AddrSpec.Key; postmaster
// and abuse of every hosted domain resolve.
//
// RFC 4616 (PLAIN), 5802 and 7677 (SCRAM-SHA-256), 5929 and 9266 (channel binding),
// 5233 (subaddresses), 2142 and 5321 4.5.1 (postmaster).
package auth
