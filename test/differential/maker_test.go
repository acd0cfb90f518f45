package differential

import (
	"math/rand/v2"
	"strings"
)

// maker makes messages that nobody wrote: some it puts together from pieces that are odd in one way each, others are
// messages of the corpus, recombined and damaged. The same seed gives the same messages.
type maker struct {
	*rand.Rand
	corpus []testMessage
}

// newMaker is for message number n of a seed.
func newMaker(seed, n uint64, corpus []testMessage) *maker {
	return &maker{rand.New(rand.NewPCG(seed, n)), corpus}
}

// maxRandom bounds a random message, so that thousands of them take little time.
const maxRandom = 12 << 10

// mail makes a message.
func (m *maker) mail() []byte {
	var text string
	if m.IntN(5) < 3 {
		text = m.message(0)
	} else {
		text = string(m.known())
	}
	for m.IntN(2) == 0 {
		text = m.damage(text)
	}
	if len(text) > maxRandom {
		text = text[:maxRandom]
	}
	return []byte(text)
}

// known is a message of the corpus of a bearable length.
func (m *maker) known() []byte {
	for {
		if b := m.corpus[m.IntN(len(m.corpus))].text; len(b) < maxRandom {
			return b
		}
	}
}

func (m *maker) one(list ...string) string { return list[m.IntN(len(list))] }

// some joins up to n pieces.
func (m *maker) some(n int, piece func() string) string {
	var out strings.Builder
	for range m.IntN(n + 1) {
		out.WriteString(piece())
	}
	return out.String()
}

// chance is true once in n times.
func (m *maker) chance(n int) bool { return m.IntN(n) == 0 }

// message is a header and a body.
func (m *maker) message(depth int) string {
	fields := []string{}
	for range m.IntN(8) {
		fields = append(fields, m.field())
	}
	// Without it Dovecot doesn't look at some Content fields, which the corpus shows.
	fields = append(fields, m.one("MIME-Version: 1.0", "Mime-version: 1.0 (produced by x)", "MIME-Version: 1.0", "MIME-Version:1.0"))
	content, body := m.content(depth)
	fields = append(fields, content...)
	m.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	if depth == 0 && !m.chance(8) {
		fields = append([]string{"From: alice@example.org"}, fields...)
	}
	return m.lines(fields) + m.separator() + body
}

func (m *maker) lines(fields []string) string {
	var out strings.Builder
	for _, f := range fields {
		out.WriteString(f)
		out.WriteString("\r\n")
	}
	return out.String()
}

// separator is the blank line, or what may stand there instead.
func (m *maker) separator() string {
	if m.chance(15) {
		return m.one("", " \r\n", "\t\r\n", "\r\n\r\n", "no field\r\n\r\n", "From x\r\n\r\n")
	}
	return "\r\n"
}

func (m *maker) field() string {
	switch m.IntN(9) {
	case 0, 1:
		return m.fieldName("From", "To", "Cc", "Bcc", "Sender", "Reply-To") + m.fold(m.addressList())
	case 2, 3:
		return m.fieldName("Subject") + m.fold(m.phrase())
	case 4:
		return m.fieldName("Date") + m.fold(m.date())
	case 5:
		return m.fieldName("Message-ID", "In-Reply-To", "References") + m.fold(m.some(3, m.messageID))
	case 6:
		return m.fieldName("X-Other", "Received", "Comments", "Resent-From", "List-Id") + m.fold(m.phrase())
	case 7:
		return m.fieldName("Content-ID", "Content-Description", "Content-MD5", "Content-Language", "Content-Location", "Content-Disposition") + m.fold(m.one(m.phrase(), m.messageID(), m.disposition(), "de, en", "(c) fr (d)"))
	}
	return m.one("no field at all", " continues nothing", ":", ": empty name", "X", "Subject", "Subject :blank before", "X-Empty:", "\tx: y", "X\x01Y: z", "Subj\xc3\xa9ct: x", "Content-Type", "To", "From alice Sat Nov 21 2026")
}

// fieldName is one of the names with its colon.
func (m *maker) fieldName(names ...string) string {
	name := m.one(names...)
	if m.chance(10) {
		name = m.one(strings.ToUpper(name), strings.ToLower(name), name+" ", name+"\t")
	}
	return name + m.one(": ", ": ", ": ", ": ", ":", ":  ", ":\t", ": \r\n ", ":\r\n ")
}

// fold breaks a value into lines at blanks, and now and then where it must not.
func (m *maker) fold(s string) string {
	if !m.chance(4) {
		return s
	}
	var out strings.Builder
	for i := range len(s) {
		if s[i] == ' ' && m.chance(3) {
			out.WriteString(m.one("\r\n ", "\r\n\t", " \r\n ", "\r\n  ", "\r\n \r\n "))
			continue
		}
		out.WriteByte(s[i])
		if m.chance(60) {
			out.WriteString("\r\n ")
		}
	}
	return out.String()
}

// word is an atom, a quoted string, an encoded word, or what isn't quite one.
func (m *maker) word() string {
	switch m.IntN(8) {
	case 0:
		return m.one(`"quoted"`, `"a b"`, `""`, `"a\"b"`, `"a\\b"`, `"a,b"`, `"a@b"`, `" "`, `"a(b)c"`, `"=?utf-8?q?x?="`, "\"\xc3\xa9\"", `"a\`+m.one("b", ",", "<", " ")+`"`)
	case 1:
		return m.encodedWord()
	case 2:
		return m.one("(comment)", "(a (nested) b)", `(a\)b)`, "()", "(a,b)", "( blanks  inside )", `("quote)`, "(=?utf-8?q?c?=)")
	case 3:
		return m.one("\xc3\xbc", "gr\xfc\xdfe", "\xff", "\xe2\x82", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "a\tb", "\x01", "\x7f", "\xc2\xa0", "\xef\xbb\xbf")
	}
	return m.one("alice", "bob", "Re:", "Fwd:", "[list]", "J.", "test", "x", "two", "the", "McX", "a.b", "0", "d'or", "dash-ed", "under_score", "(fwd)", "apples", "r\xc3\xa9sum\xc3\xa9")
}

func (m *maker) encodedWord() string {
	charset := m.one("utf-8", "UTF-8", "iso-8859-1", "ISO-8859-15", "windows-1252", "us-ascii", "x-unknown", "utf-8*en", "", "koi8-r", "iso-2022-jp", "utf8", "shift_jis", "gb2312", "utf-7")
	text := m.one("a", "Gr=C3=BC", "a_b", "=FC", "=C3", "R8O8", "R8O8=", "R8O", "w7w=", "==", "a b", "", "=", "=4", "a?b", "=20x=20", "=00", "=0D=0A", "=3D?=", "/w==", "8J+YgA==")
	w := "=?" + charset + "?" + m.one("q", "Q", "b", "B", "q", "b", "x", "") + "?" + text + "?="
	if m.chance(8) {
		w = m.one(w[:len(w)-1], w[:len(w)-2], w[1:], w+w, w+"x", strings.ToUpper(w), strings.Replace(w, "?", " ?", 1))
	}
	return w
}

// phrase is words with blanks, or without.
func (m *maker) phrase() string {
	return m.some(5, func() string { return m.word() + m.one(" ", " ", " ", "", "  ", "\t", "  ") })
}

func (m *maker) messageID() string {
	id := "<" + m.one("a", "b", "c", "d") + "@" + m.one("x", "example.org") + ">"
	if m.chance(6) {
		id = m.one("<a@x", "a@x>", "a@x", "<>", "<a>", "<a @x>", "<\"a\"@x>", "<\"a b\"@x>", "<a@x>(c)", "<a@[x]>", "<a@x>>", "<<a@x>>", "<a\r\n @x>", "<a@x@y>", "text", "<@x>", "<a@>")
	}
	return id + m.one(" ", " ", "", ", ", "\t")
}

func (m *maker) addressList() string {
	var out strings.Builder
	for i := range m.IntN(4) {
		if i > 0 {
			out.WriteString(m.one(", ", ", ", ", ", ",", ";", " ", ",, ", " , "))
		}
		out.WriteString(m.address())
	}
	return out.String()
}

func (m *maker) address() string {
	switch m.IntN(10) {
	case 0:
		return m.one("Group", m.phrase(), "A B", "") + ":" + m.one("", " ") + m.some(2, func() string { return m.mailbox() + m.one(", ", ",", "") }) + m.one(";", ";", "; ", "", ";,", ";;")
	case 1:
		return m.soup(`<>@,;:."\()[] `, 8)
	case 2:
		return m.spec()
	}
	return m.mailbox()
}

func (m *maker) mailbox() string {
	spec := m.spec()
	switch m.IntN(6) {
	case 0:
		return spec + m.one(" (Comment)", "(c)", " (a) (b)", " (=?utf-8?q?x?=)", "")
	case 1:
		return m.phrase() + "<" + m.one("", " ", "(c)") + m.one("@r:", "@r,@s:", "@r", "@r ,@s :", "@:", ":") + spec + ">"
	}
	return m.phrase() + m.one("<", "<", "<", "<", "< ", "<<", "", "<(c)") + spec + m.one(">", ">", ">", ">", " >", "", "> x", ">>", "(c)>", ">(c)")
}

func (m *maker) spec() string {
	local := m.one("alice", "bob", "carol", "a.b", "alice", "x+y", "", "a..b", ".a", "a.", "a b", "a . b", `"a b"`, `"a"."b"`, `"a".b`, `a"b"`, `"a\"b"`, `"a@b"`, "(c)a", "a(c)", "\xc3\xbc", "=?utf-8?q?x?=", `""`, "a!b", "a%b")
	domain := m.one("example.org", "example.org", "example.org", "EXAMPLE.Org", "[192.0.2.1]", "[IPv6:::1]", "", "a..b", "a.", ".a", "a b", "a . b", "b(c)", "(c)b", "[a", "[a b]", "[a\\]b]", "b\xc3\xbc", "a_b", `"q"`, "x@y", "b (c) . d")
	return local + m.one("@", "@", "@", "@", "@", "@", " @ ", "", "@@") + domain
}

// soup is a handful of special octets and words.
func (m *maker) soup(specials string, n int) string {
	return m.some(n, func() string {
		if m.chance(3) {
			return m.one("a", "b", "cd", "e.f", "g@h", "\xc3\xbc")
		}
		return string(specials[m.IntN(len(specials))])
	})
}

func (m *maker) date() string {
	if m.chance(8) {
		return m.one("", "garbage", m.phrase(), "2026-11-21T10:00:00Z", "Sat Nov 21 10:00:00 2026", "21.11.2026", "1 2 3", "Sat, 21 Nov 2026", "Sat,", "99999999999 Nov 2026 10:00:00 +0000", "21/Nov/2026 10:00")
	}
	return m.one("Sat, ", "Sat, ", "", "Sat ", "sat,", "Sun, ", "Samstag, ", "(c) Sat, ", "Sat , ", "Sat,(c)") +
		m.one("21", "21", "20", "22", "1", "01", "0", "31", "32", "29", "021", "-1") + m.one(" ", " ", " ", "-", "  ", "(c)", " (c) ", "") +
		m.one("Nov", "Nov", "Nov", "nov", "NOV", "Feb", "November", "Novx", "11", "Dez", "") + m.one(" ", " ", " ", "-", "  ", " (c) ") +
		m.one("2026", "2026", "2026", "26", "126", "99", "00", "49", "50", "1969", "1970", "2038", "2100", "20260", "02026", "x", "") + m.one(" ", " ", " ", "  ", ",", " (c) ") +
		m.one("10:00:00", "10:00:00", "23:59:59", "00:00:00", "10:00", "1:2:3", "24:00:00", "23:59:60", "25:00:00", "10:60:00", "10.00.00", "10", "", "10:00:", "10 : 00 : 00", "100000", "10:00:00.5") + m.one(" ", " ", " ", "", "  ", " (c) ") +
		m.one("+0000", "+0000", "-0800", "+1400", "-1200", "GMT", "EST", "PDT", "Z", "A", "J", "UT", "CEST", "+00:00", "+1", "+0099", "+9999", "-0000", "", "0000", "GMT+1", "(UTC)", "UTC") + m.one("", "", "", " (CET)", " x", "(c")
}
