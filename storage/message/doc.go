// Package message is the vocabulary of mail text: addresses, headers, the MIME
// tree, charsets and dates. It works on bytes and knows no disk, no network and
// no policy.
//
// What must stay true:
//
//   - Every parser is linear in its input and bounded: a header's first 256 KiB and
//     1,000 fields have a meaning, 100 levels, 10,000 parts, 1 MiB of header text in one
//     Summary. What lies beyond is kept as it is, and never an error.
//   - Malformed mail gets the most sensible reading; where several are sensible, that
//     of Dovecot, because clients are tested against it.
//   - Nothing is decoded that a client asked to see as written: Envelope and Part hold
//     raw text, the Decode functions make it readable.
//   - Author is the one strict reader. Whom it names, the tolerant ones name too.
//   - A new form of Summary has a new summaryVersion.
//   - What SEARCH looks at is what ExtractText gives to the full-text index, compared
//     by Fold on both sides.
//
// RFC 5322, 6532, 6854 (headers), 2045, 2046, 2047, 2183, 2231, 3282, 2557 (MIME), 5321
// 4.1.2 and 6531 3.3 (addresses), 5256 2.1 (base subject), 8970 (preview), 2152 (UTF-7),
// 3676 4.3 (signatures), 5051 (in spirit, Fold).
//
// BUGS: uuencoded text, TNEF and what PDF and office files say is not searched. ISO-2022-KR
// is unknown to x/text and read as if it were UTF-8. Base64 in a message/rfc822, which RFC
// 2046 5.2.1 forbids, is not taken off.
package message
