package message

import "strings"

// SubjectText is the subject as people read it, and as SEARCH looks into it: what ENVELOPE shows, decoded.
func (e *Envelope) SubjectText() string { return DecodeText(SqueezeBlanks(e.Subject.Value)) }

// SqueezeBlanks makes one blank of every run of them, as Dovecot does with a Subject:
// what folding leaves behind is for no one to see.
func SqueezeBlanks(s string) string {
	if !strings.Contains(s, "  ") && strings.IndexByte(s, '\t') < 0 {
		return s
	}
	var out strings.Builder
	blank := false
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' || s[i] == '\t' {
			blank = true
			continue
		}
		if blank && out.Len() > 0 {
			out.WriteByte(' ')
		}
		blank = false
		out.WriteByte(s[i])
	}
	return out.String()
}

// BaseSubject returns the base subject of a decoded Subject (RFC 5256 2.1), and whether
// something was taken off that says "reply" or "forward". It is linear.
func BaseSubject(s string) (base string, reply bool) {
	s = strings.Join(strings.FieldsFunc(s, isSubjectSpace), " ")
	for {
		s = trimTrailers(s, &reply)
		s = trimLeaders(s, &reply)
		// Step 6: "[fwd: ... ]" around everything.
		if len(s) < 6 || !asciiEqualFold(s[:5], "[fwd:") || s[len(s)-1] != ']' {
			return s, reply
		}
		s = s[5 : len(s)-1]
		reply = true
	}
}

func isSubjectSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }

// trimTrailers: step 2, "(fwd)" and blanks at the end.
func trimTrailers(s string, reply *bool) string {
	for {
		s = strings.TrimRight(s, " ")
		n := len(s) - len("(fwd)")
		if n < 0 || !asciiEqualFold(s[n:], "(fwd)") {
			return s
		}
		s = s[:n]
		*reply = true
	}
}

// trimLeaders: steps 3 to 5, *("[blob]" "re:"), and blobs as long as something is left.
// Blobs that no "re:" follows are gone over once, not once for each of them.
func trimLeaders(s string, reply *bool) string {
	for {
		s = strings.TrimLeft(s, " ")
		last, after := skipBlobs(s)
		if n := refwdLength(s[after:]); n > 0 {
			s = s[after+n:]
			*reply = true
			continue
		}
		if after == len(s) { // the last blob is the base
			return s[last:]
		}
		return s[after:]
	}
}

// skipBlobs passes over blobs: after is where they end, last where the last begins.
func skipBlobs(s string) (last, after int) {
	for {
		n := blobLength(s[after:])
		if n == 0 {
			return last, after
		}
		last, after = after, after+n
	}
}

// blobLength is the length of "[...]" and blanks that s begins with; 0: there is none.
func blobLength(s string) int {
	if s == "" || s[0] != '[' {
		return 0
	}
	i := strings.IndexAny(s[1:], "[]")
	if i < 0 || s[1+i] == '[' {
		return 0
	}
	n := i + 2
	for n < len(s) && s[n] == ' ' {
		n++
	}
	return n
}

// refwdLength is the length of "re:", "fw:" or "fwd:" that s begins with, a blob allowed
// before the colon.
func refwdLength(s string) int {
	n := 0
	switch {
	case len(s) >= 3 && asciiEqualFold(s[:3], "fwd"):
		n = 3
	case len(s) >= 2 && (asciiEqualFold(s[:2], "re") || asciiEqualFold(s[:2], "fw")):
		n = 2
	default:
		return 0
	}
	for n < len(s) && s[n] == ' ' {
		n++
	}
	n += blobLength(s[n:])
	if n < len(s) && s[n] == ':' {
		return n + 1
	}
	return 0
}
