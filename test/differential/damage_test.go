package differential

import (
	"slices"
	"strings"
)

// damage changes a message in one place.
func (m *maker) damage(text string) string {
	lines := strings.SplitAfter(text, "\n")
	i, j := m.IntN(len(lines)), m.IntN(len(lines))
	at := m.IntN(len(text) + 1)
	switch m.IntN(14) {
	case 0: // a line goes
		return strings.Join(slices.Delete(lines, i, i+1), "")
	case 1: // comes twice
		return strings.Join(slices.Insert(lines, i, lines[j]), "")
	case 2: // two change places
		lines[i], lines[j] = lines[j], lines[i]
		return strings.Join(lines, "")
	case 3: // cut off
		return text[:at]
	case 4: // an octet that means something
		return text[:at] + m.one(" ", "\t", "\r", "\r\n", "\"", "\\", "(", ")", "<", ">", "@", ",", ";", ":", "=", "?", "'", "%", "*", "-", "\xff", "\x80", "\x00", "\n", "[", "]", ".") + text[at:]
	case 5: // an octet goes
		if at < len(text) {
			return text[:at] + text[at+1:]
		}
	case 6: // lines go
		return strings.Join(slices.Delete(lines, min(i, j), max(i, j)), "")
	case 7: // the header of one, the body of another
		other := string(m.known())
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		_, body, _ := strings.Cut(other, "\r\n\r\n")
		return head + "\r\n\r\n" + body
	case 8: // a field more
		return m.field() + "\r\n" + text
	case 9: // a field more somewhere
		return strings.Join(slices.Insert(lines, i, m.field()+"\r\n"), "")
	case 10: // inside a multipart
		return "From: alice@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=" + m.one("b", "out", "bb") + "\r\n\r\n--b\r\nContent-Type: " + m.one("message/rfc822", "text/plain", "multipart/mixed; boundary=x") + "\r\n\r\n" + text + m.one("\r\n--b--\r\n", "--b--", "\r\n--b--", "")
	case 11: // inside a message
		return "Subject: outer\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n" + m.one("", "Content-Transfer-Encoding: "+m.one("base64", "quoted-printable", "8bit")+"\r\n") + "\r\n" + text
	case 12: // a line folded or no longer folded
		if at < len(text) && text[at] == ' ' {
			return text[:at] + "\r\n" + text[at:]
		}
		return strings.Replace(text, "\r\n ", " ", 1)
	case 13: // the end of the last line goes
		return strings.TrimSuffix(text, "\r\n")
	}
	return text
}
