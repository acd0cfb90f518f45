package smtpd

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"facteur/mta"
	"facteur/storage/message"
)

func syntax(format string, args ...any) *mta.Reply {
	return mta.NewReply(501, [3]int{5, 5, 4}, format, args...)
}

// cutPath splits "FROM:<a@b> SIZE=1" into what is between the angle brackets and the parameters.
// Blanks before the path are no error: Outlook sends them.
func cutPath(arg, keyword string) (path, params string, ok bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", false
	}
	s := strings.TrimLeft(arg[len(keyword):], " \t")
	if s == "" || s[0] != '<' {
		return "", "", false
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			rest := s[i+1:]
			if rest != "" && rest[0] != ' ' {
				return "", "", false
			}
			return s[1:i], rest, true
		}
	}
	return "", "", false
}

// eachParam calls set for every "KEYWORD=value" (RFC 5321 4.1.2), the keyword in upper case, and ends with
// its first reply.
func eachParam(params string, set func(keyword, value string) *mta.Reply) *mta.Reply {
	var seen [16]string
	n := 0
	for p := range strings.FieldsSeq(params) {
		k, v, _ := strings.Cut(p, "=")
		k = strings.ToUpper(k)
		for _, s := range seen[:n] {
			if s == k {
				return syntax("%s twice", k)
			}
		}
		if n == len(seen) || !isKeyword(k) {
			return syntax("Malformed parameter")
		}
		seen[n] = k
		n++
		if r := set(k, v); r != nil {
			return r
		}
	}
	return nil
}

func isKeyword(k string) bool {
	for i := 0; i < len(k); i++ {
		if b := k[i]; (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' {
			return false
		}
	}
	return k != ""
}

// unknownParam: RFC 5321 4.1.1.11.
func unknownParam(k string) *mta.Reply {
	return mta.NewReply(555, [3]int{5, 5, 4}, "Parameter %s is not known here", k)
}

// The values of BODY, RET and NOTIFY.
var (
	bodies   = map[string]mta.Encoding{"7BIT": mta.Encoding7Bit, "8BITMIME": mta.Encoding8BitMIME, "BINARYMIME": mta.EncodingBinaryMIME}
	returns  = map[string]mta.Return{"FULL": mta.ReturnFull, "HDRS": mta.ReturnHeaders}
	notifies = map[string]mta.Notify{"NEVER": mta.NotifyNever, "SUCCESS": mta.NotifySuccess, "FAILURE": mta.NotifyFailure, "DELAY": mta.NotifyDelay}
)

// mailParam sets one parameter of MAIL in env.
func (c *conn) mailParam(env *mta.Envelope, k, v string) *mta.Reply {
	switch k {
	case "SIZE": // RFC 1870
		n, ok := parseSize(v)
		if !ok {
			return syntax("SIZE takes a number")
		}
		if c.s.Limits.Message > 0 && n > c.s.Limits.Message {
			return replySize
		}
		env.Size = n
	case "BODY": // RFC 6152, RFC 3030 3
		encoding, ok := bodies[strings.ToUpper(v)]
		if !ok {
			return syntax("BODY is 7BIT, 8BITMIME or BINARYMIME")
		}
		env.Encoding = encoding
	case "SMTPUTF8": // RFC 6531 3.4
		if v != "" {
			return syntax("SMTPUTF8 takes no value")
		}
		env.UTF8 = true
	case "RET": // RFC 3461 4.3
		wants, ok := returns[strings.ToUpper(v)]
		if !ok {
			return syntax("RET is FULL or HDRS")
		}
		env.Return = wants
	case "ENVID": // RFC 3461 4.4: at most 100 characters, printable when decoded
		id, ok := decodeXtext(v)
		if !ok || id == "" || len(v) > 100 {
			return syntax("Malformed ENVID")
		}
		env.ENVID = id
	case "AUTH": // RFC 4954 5: whom the peer takes the author for; we go by our own logins
		if _, ok := decodeXtext(v); !ok {
			return syntax("Malformed AUTH")
		}
	case "REQUIRETLS": // RFC 8689 4.1
		if v != "" {
			return syntax("REQUIRETLS takes no value")
		}
		if c.peer.TLS == nil {
			return mta.NewReply(530, [3]int{5, 7, 10}, "REQUIRETLS needs TLS on this connection too")
		}
		env.RequireTLS = true
	case "HOLDFOR", "HOLDUNTIL":
		return c.hold(env, k, v)
	default:
		return unknownParam(k)
	}
	return nil
}

// hold: RFC 4865 4.
func (c *conn) hold(env *mta.Envelope, k, v string) *mta.Reply {
	if c.s.Kind == MX {
		return unknownParam(k)
	}
	if !env.HoldUntil.IsZero() {
		return syntax("HOLDFOR and HOLDUNTIL exclude each other")
	}
	now := c.s.Now()
	until, err := time.Parse(time.RFC3339, v)
	if k == "HOLDFOR" {
		var n uint64
		n, err = strconv.ParseUint(v, 10, 31)
		until = now.Add(time.Duration(n) * time.Second)
	}
	if err != nil || v == "" {
		return syntax("%s takes %s", k, map[string]string{"HOLDFOR": "seconds", "HOLDUNTIL": "a date and time of RFC 3339"}[k])
	}
	if until.After(now.Add(holdMax + time.Minute)) { // a minute for the client's clock and the way here
		return syntax("Held at most for %d seconds", int(holdMax.Seconds()))
	}
	env.HoldUntil = until
	return nil
}

// rcptParam sets one parameter of RCPT (RFC 3461 4.1, 4.2).
func rcptParam(to *mta.Recipient, utf8OK bool, k, v string) *mta.Reply {
	switch k {
	case "NOTIFY":
		n, ok := parseNotify(v)
		if !ok {
			return syntax("NOTIFY is NEVER, or of SUCCESS, FAILURE and DELAY")
		}
		to.Notify = n
	case "ORCPT":
		orcpt, ok := parseORCPT(v, utf8OK)
		if !ok {
			return syntax("Malformed ORCPT")
		}
		to.ORCPT = orcpt
	default:
		return unknownParam(k)
	}
	return nil
}

func parseSize(s string) (int64, bool) {
	if s == "" || len(s) > 20 || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func parseNotify(s string) (n mta.Notify, ok bool) {
	for word := range strings.SplitSeq(s, ",") {
		bit, ok := notifies[strings.ToUpper(word)]
		if !ok {
			return 0, false
		}
		n |= bit
	}
	// RFC 3461 4.1: NEVER stands alone.
	return n, n&mta.NotifyNever == 0 || n == mta.NotifyNever
}

// parseORCPT reads "rfc822;xtext", or "utf-8;..." of RFC 6533 3, into the decoded form.
func parseORCPT(s string, utf8OK bool) (string, bool) {
	kind, addr, ok := strings.Cut(s, ";")
	if !ok || len(s) > 500 || !isKeyword(strings.ToUpper(kind)) {
		return "", false
	}
	if strings.EqualFold(kind, "utf-8") {
		addr, ok = decodeUTF8Address(addr, utf8OK)
	} else {
		addr, ok = decodeXtext(addr)
	}
	if !ok || addr == "" {
		return "", false
	}
	return kind + ";" + addr, true // in the letters' case that it came in (RFC 3461 5.2.1)
}

// decodeXtext reads xtext (RFC 3461 4): "+XX" stands for an octet. What comes out is printable ASCII:
// it goes into headers of reports.
func decodeXtext(s string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		b := s[i]
		switch {
		case b == '+':
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || strings.ToUpper(s[i+1:i+3]) != s[i+1:i+3] {
				return "", false
			}
			b = byte(n)
			i += 2
		case b == '=':
			return "", false
		case b <= ' ':
			return "", false
		}
		if b < ' ' || b > '~' {
			return "", false
		}
		out.WriteByte(b)
	}
	return out.String(), true
}

// decodeUTF8Address reads utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 3): "\x{HEX}" stands for a
// character, and others than ASCII stand for themselves when the session has SMTPUTF8.
func decodeUTF8Address(s string, utf8OK bool) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n < 2 || r >= utf8.RuneSelf && !utf8OK {
			return "", false
		}
		if strings.HasPrefix(s[i:], `\x{`) {
			hex, _, ok := strings.Cut(s[i+3:], "}")
			v, err := strconv.ParseUint(hex, 16, 21)
			if !ok || err != nil || len(hex) < 2 || !utf8.ValidRune(rune(v)) {
				return "", false
			}
			r, n = rune(v), 4+len(hex)
		} else if r == '\\' || r == '+' || r == '=' {
			return "", false
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return "", false
		}
		out.WriteRune(r)
		i += n
	}
	return out.String(), true
}

// parsePath reads the address of MAIL or RCPT. Characters outside of ASCII need SMTPUTF8 (RFC 6531 3.5).
func parsePath(path string, utf8OK bool, bad [3]int) (message.AddrSpec, *mta.Reply) {
	addr, err := message.ParseAddrSpec(withoutRoute(path))
	if err != nil {
		return addr, mta.NewReply(501, bad, "The %s", strings.TrimSuffix(err.Error(), "\n"))
	}
	if !utf8OK {
		for i := 0; i < len(path); i++ {
			if path[i] >= utf8.RuneSelf {
				return addr, mta.NewReply(553, [3]int{5, 6, 7}, "This address needs SMTPUTF8")
			}
		}
	}
	return addr, nil
}

// withoutRoute takes a source route off a path: "@a.test,@b.test:joe@c.test" is for joe@c.test. It has to be recognised, and
// what it asks for we don't do (RFC 5321 4.1.1.3, appendix C).
func withoutRoute(path string) string {
	route, mailbox, ok := strings.Cut(path, ":")
	if !ok {
		return path
	}
	for hop := range strings.SplitSeq(route, ",") {
		domain, at := strings.CutPrefix(hop, "@")
		if _, err := message.ParseDomain(domain); !at || err != nil {
			return path // no route: a colon in quotes or in a literal, or nonsense
		}
	}
	return mailbox
}
