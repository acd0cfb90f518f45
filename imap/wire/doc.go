// Package wire is IMAP's grammar: tokens, literals, sets, dates, flags, mailbox
// names and LIST patterns on the way in, and functions that append the same to a
// buffer on the way out. It knows no command, no state and no policy.
//
// What must stay true:
//
//   - Nothing is read ahead of what was asked for, so that a literal can be
//     streamed and a synchronizing one can still be refused.
//   - Memory is bounded by Limits, whatever the client sends. Only Decoder.Literal
//     hands out more octets than Limits.Line, as a stream.
//   - Every function is linear in its input, LIST patterns included (they cost
//     pattern times name).
//   - A Decoder keeps its first error and reads nothing after it; whoever loops over
//     a Decoder has to look at Err.
//
// RFC 9051 and 3501 section 9 (grammar), 7888 (non-synchronizing literals), 3516
// (literal8), 3501 5.1.3 (modified UTF-7), 9755 (UTF-8), 5182 ("$"), 9394 (partial
// ranges), 5258 (patterns).
package wire
