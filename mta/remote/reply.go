package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"facteur/mta"
)

// What a reply may hold before the session is given up. RFC 5321 4.5.3.1.5 sets
// 512 octets a line; peers with long explanations exist.
const (
	maxReplyLine  = 4096
	maxReplyLines = 200
)

var errReply = errors.New("the peer's reply breaks the rules of SMTP")

// readReply reads one reply, of one line or several (RFC 5321 4.2). The text is
// free of control characters and valid UTF-8, so it may stand in a log or a DSN.
func readReply(r *bufio.Reader) (*mta.Reply, error) {
	reply := &mta.Reply{Quoted: true}
	var text []string
	for range maxReplyLines {
		line, err := readReplyLine(r)
		if err != nil {
			return nil, err
		}
		code, more, words, err := splitReplyLine(line)
		if err != nil {
			return nil, err
		}
		if reply.Code != 0 && code != reply.Code {
			return nil, fmt.Errorf("%w: codes %d and %d in one reply", errReply, reply.Code, code)
		}
		reply.Code = code
		enhanced, words := cutEnhanced(code, words)
		if reply.Enhanced == [3]int{} {
			reply.Enhanced = enhanced
		}
		text = append(text, clean(words))
		if !more {
			reply.Text = strings.Join(text, "\n")
			return reply, nil
		}
	}
	return nil, fmt.Errorf("%w: over %d lines", errReply, maxReplyLines)
}

// readReplyLine returns a line without its end. A bare LF ends a line too: old
// peers send it, and nothing can be smuggled in a reply.
func readReplyLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxReplyLine:
			return "", fmt.Errorf("%w: a line over %d octets", errReply, maxReplyLine)
		case err == nil:
			return strings.TrimRight(string(line), "\r\n"), nil
		case err == io.EOF && len(line) > 0:
			return "", io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// splitReplyLine takes "250-text", "250 text" or "250" apart.
func splitReplyLine(line string) (code int, more bool, text string, err error) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, false, "", fmt.Errorf("%w: %q", errReply, clean(line[:min(len(line), 80)]))
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, "", nil
	}
	switch line[3] {
	case ' ':
		return code, false, line[4:], nil
	case '-':
		return code, true, line[4:], nil
	}
	return 0, false, "", fmt.Errorf("%w: %q", errReply, clean(line[:min(len(line), 80)]))
}

// cutEnhanced takes the enhanced status code off the front of text (RFC 2034 4).
// One whose class does not fit the code is left in the text and not believed.
func cutEnhanced(code int, text string) ([3]int, string) {
	word, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 {
		return [3]int{}, text
	}
	var e [3]int
	for i, p := range parts {
		if p == "" || len(p) > 3 {
			return [3]int{}, text
		}
		for j := range len(p) {
			if !isDigit(p[j]) {
				return [3]int{}, text
			}
			e[i] = e[i]*10 + int(p[j]-'0')
		}
	}
	if e[0] != code/100 {
		return [3]int{}, text
	}
	return e, rest
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// clean makes what a peer said fit to be shown: control characters become
// spaces, what is not UTF-8 becomes U+FFFD.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == utf8.RuneError && r != '\uFFFD' {
			return ' '
		}
		return r
	}, s))
}

// withStatus returns the peer's reply with an enhanced code: the peer's own, or
// when it gave none (RFC 3463 allows that) the undefined one of its class.
func withStatus(r *mta.Reply) *mta.Reply {
	if r.Enhanced != [3]int{} {
		return r
	}
	out := *r
	out.Enhanced = [3]int{r.Code / 100, 0, 0}
	return &out
}
