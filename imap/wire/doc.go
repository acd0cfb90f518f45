// Package wire is IMAP's grammar: tokens, literals, sets, modified UTF-7, and the encoder. It knows no policy.
package wire
