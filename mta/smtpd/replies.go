package smtpd

import (
	"strconv"
	"strings"

	"facteur/mta"
)

// Replies that are always the same. Nobody changes them.
var (
	replyOK         = mta.NewReply(250, [3]int{2, 0, 0}, "OK")
	replyMailOK     = mta.NewReply(250, [3]int{2, 1, 0}, "OK")
	replyRcptOK     = mta.NewReply(250, [3]int{2, 1, 5}, "OK")
	replyBye        = mta.NewReply(221, [3]int{2, 0, 0}, "Goodbye")
	replyVrfy       = mta.NewReply(252, [3]int{2, 5, 2}, "Not told; send mail and see") // RFC 5321 7.3
	replyGo         = mta.NewReply(354, [3]int{}, "Go ahead, end with CRLF.CRLF")
	replyTLS        = mta.NewReply(220, [3]int{2, 0, 0}, "Ready for TLS")
	replyShutdown   = mta.NewReply(421, [3]int{4, 3, 2}, "Going down, please try again later")
	replyTimeout    = mta.NewReply(421, [3]int{4, 4, 2}, "You took too long")
	replyEnough     = mta.NewReply(421, [3]int{4, 7, 0}, "Too many errors")
	replyIdle       = mta.NewReply(421, [3]int{4, 7, 0}, "Too many commands without a message")
	replyHTTP       = mta.NewReply(421, [3]int{4, 7, 0}, "This is a mail server")
	replyEarly      = mta.NewReply(421, [3]int{4, 7, 0}, "You talked before the greeting") // after a 554 QUIT would be waited for (RFC 5321 3.1)
	replyUnknown    = mta.NewReply(500, [3]int{5, 5, 1}, "No such command; try HELP")
	replyElsewhere  = mta.NewReply(502, [3]int{5, 5, 1}, "Not available here")
	replyNoArgument = mta.NewReply(501, [3]int{5, 5, 4}, "This command takes no argument")
	replyLong       = mta.NewReply(500, [3]int{5, 5, 6}, "Line too long") // RFC 4954 6
	replyBareLF     = mta.NewReply(500, [3]int{5, 5, 2}, "A line ends with CR and LF")
	replyOctets     = mta.NewReply(501, [3]int{5, 5, 2}, "Characters that no command may hold")
	replyLoginFirst = mta.NewReply(530, [3]int{5, 7, 0}, "Authentication required")
	replyAfterTLS   = mta.NewReply(421, [3]int{4, 7, 0}, "Nothing may follow STARTTLS before the handshake")
	replyBadChunk   = mta.NewReply(421, [3]int{4, 5, 4}, "BDAT takes a size and LAST; I've lost my place")
	replyTooMuch    = mta.NewReply(452, [3]int{4, 5, 3}, "Too many recipients; send the rest in another message")
	replyStrangers  = mta.NewReply(421, [3]int{4, 7, 0}, "Too many unknown recipients")
	replyMessages   = mta.NewReply(421, [3]int{4, 7, 0}, "Enough messages for one session, please connect again")
	replyBareLine   = mta.NewReply(550, [3]int{5, 6, 11}, "A CR or LF alone in the message: every line has to end with CRLF")
	replyHops       = mta.NewReply(554, [3]int{5, 4, 6}, "Too many Received fields: the message goes in circles")
	replyHeader     = mta.NewReply(552, [3]int{5, 3, 4}, "Header too large")
	replySize       = mta.NewReply(552, [3]int{5, 3, 4}, "Message too large")
)

const helpText = `Facteur. Commands:
EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT
STARTTLS AUTH VRFY HELP
RFC 5321 says how they work.`

// appendReply writes r as it goes over the wire (RFC 5321 4.2.1), with the enhanced code on each
// line (RFC 2034 4). Texts may quote what a peer or a user's filter said: what is not printable
// ASCII becomes "?" (RFC 5321 4.2, textstring).
func appendReply(b []byte, r *mta.Reply) []byte {
	text := r.Text
	for {
		line, rest, more := strings.Cut(text, "\n")
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if more {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if r.Enhanced != [3]int{} {
			b = strconv.AppendInt(b, int64(r.Enhanced[0]), 10)
			b = append(b, '.')
			b = strconv.AppendInt(b, int64(r.Enhanced[1]), 10)
			b = append(b, '.')
			b = strconv.AppendInt(b, int64(r.Enhanced[2]), 10)
			b = append(b, ' ')
		}
		start := len(b)
		b = append(b, line...)
		for i, c := range b[start:] {
			if c < ' ' || c > '~' {
				b[start+i] = '?'
			}
		}
		b = append(b, "\r\n"...)
		if !more {
			return b
		}
		text = rest
	}
}
