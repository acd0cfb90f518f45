// Package message is the vocabulary of mail text: addresses, headers, the MIME
// tree, charsets and dates. It works on bytes and knows no disk, no network and
// no policy.
//
// What must stay true: every parser is linear in its input and bounded (depth
// 100, 10,000 parts); malformed mail gets the most sensible reading instead of an
// error; nothing is decoded that a client asked to see as written.
//
// RFC 5322, 6532 (headers), 2045, 2046, 2047, 2231, 2183 (MIME), 5321 4.1.2 and
// 6531 3.3 (addresses), 5256 2.1 (base subject), 8970 (preview).
package message
