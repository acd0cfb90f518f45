package differential

import (
	"fmt"
	"strings"
)

// generate makes shapes that are tedious to write: every combination of a few choices, so that what depends
// on two things at once is seen.
func generate() []testMessage {
	var list []testMessage
	add := func(name string, lines ...string) {
		list = append(list, testMessage{name, []byte(strings.Join(lines, "\r\n") + "\r\n")})
	}
	for i, from := range addresses {
		add(fmt.Sprintf("gen-address-%02d", i), "From: "+from, "To: bob@example.org", "Cc: "+from, "Subject: test", "", "text")
	}
	for i, ct := range contentTypes {
		for _, cte := range []string{"", "Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: QUOTED-PRINTABLE", "Content-Transfer-Encoding: x-own"} {
			header := []string{"From: alice@example.org", "Subject: type", "MIME-Version: 1.0"}
			if ct != "" {
				header = append(header, "Content-Type: "+ct)
			}
			if cte != "" {
				header = append(header, cte)
			}
			add(fmt.Sprintf("gen-type-%02d-%d", i, len(cte)), append(header, "", "one line =C3=BC", "--b", "", "in a part", "--b--")...)
		}
	}
	for i, d := range dates {
		add(fmt.Sprintf("gen-date-%02d", i), "From: alice@example.org", "Date: "+d, "Subject: date", "", "text")
	}
	for i, b := range boundaries {
		add(fmt.Sprintf("gen-boundary-%02d", i), "From: alice@example.org", "Subject: boundary", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary="+b.param, "", b.body)
	}
	for depth := 1; depth <= 20; depth++ {
		add(fmt.Sprintf("gen-depth-%02d", depth), nested(depth)...)
	}
	for n := 1; n <= 12; n++ {
		add(fmt.Sprintf("gen-parts-%02d", n), parts(n)...)
	}
	for i, h := range headers {
		add(fmt.Sprintf("gen-header-%02d", i), append(strings.Split(h, "\n"), "", "body text")...)
	}
	return list
}

var addresses = []string{
	"alice@example.org", "Alice <alice@example.org>", "\"Alice A.\" <alice@example.org>", "alice@example.org (Alice)", "Alice Q. Public <alice@example.org>",
	"<alice@example.org>", "alice", "Alice <alice>", "Group: a@example.org, b@example.org;", "Empty:;", "undisclosed-recipients:;", "a@example.org, b@example.org",
	"\"quoted \\\"inner\\\"\" <a@example.org>", "=?utf-8?q?Gr=C3=BCn?= <g@example.org>", "\"=?utf-8?q?Gr=C3=BCn?=\" <g@example.org>", "<@route.example,@two.example:a@example.org>",
	"\"local part\"@example.org", "a.b.c@example.org", "a@[192.0.2.1]", "Alice <alice@example.org", "alice@example.org>", "Alice alice@example.org", ",", "", ", a@example.org,,",
	"a@example.org; b@example.org", "(comment) a@example.org (another (nested))", "Alice\t<alice@example.org>", "al ice@example.org", "a@b@c", "@example.org", "<>", "Alice <>",
	"Gr\xc3\xbcn <g@example.org>", "A: b@example.org, C <c@example.org>; d@example.org", "\"unclosed <a@example.org>", "Mr. X <x@example.org>", "x@example.org (a) (b)", "a . b @ example . org",
}

var contentTypes = []string{
	"", "text/plain", "text/plain; charset=utf-8", "TEXT/HTML; Charset=\"UTF-8\"", "text", "text/", "/plain", "text/plain; charset", "text/plain; charset=", "text/plain;; charset=x",
	"application/octet-stream; name=\"a b.bin\"", "message/rfc822", "multipart/mixed; boundary=b", "multipart/mixed", "multipart/digest; boundary=b", "multipart/alternative; boundary=\"b\"; type=x",
	"text/plain; name*=utf-8''gr%C3%BCn.txt", "text/plain; name*0=\"a\"; name*1=\"b\"", "text/plain (comment); charset=us-ascii (more)", "image/png; name==?utf-8?q?x?=", "text/plain; charset=\"a\\\"b\"", "a/b/c; d=e",
	"message/delivery-status", "text/x-vcard; a=1; A=2",
}

var dates = []string{
	"Sat, 21 Nov 2026 10:00:00 +0000", "21 Nov 2026 10:00:00 GMT", "Sat, 21 Nov 26 10:00 EST", "Sat, 21 Nov 2026 23:59:59 -1200", "garbage", "", "Sat, 32 Nov 2026 10:00:00 +0000", "  Sat,  21  Nov  2026 10:00:00 +0100 (CET)", "2026-11-21T10:00:00Z", "Sat, 21 Nov 2026",
}

var boundaries = []struct{ param, body string }{
	{"b", "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--"},
	{"b", "preamble\r\n--b\r\n\r\none\r\n--b--\r\nepilogue"},
	{"b", "--b\r\n\r\none"},
	{"b", "nothing at all"},
	{"b", "--b--"},
	{"b", "--b\r\n--b\r\n--b--"},
	{"b", "--b  \r\n\r\nspace behind\r\n--b-- \r\n"},
	{"b", "--bb\r\n\r\nlonger\r\n--b\r\n\r\nreal\r\n--b--"},
	{"\"b c\"", "--b c\r\n\r\none\r\n--b c--"},
	{"b", "--b\r\nContent-Type: text/plain\r\nno blank line\r\n--b--"},
	{"b", "--b\r\nContent-Type: text/html\r\n\r\n\r\n--b\r\n\r\n\r\n--b--"},
	{"b", "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsame\r\n--b--\r\n--b--"},
	{"b", "--b\r\nContent-Type: multipart/mixed; boundary=bc\r\n\r\n--bc\r\n\r\nprefix\r\n--bc--\r\n--b--"},
	{"b", "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nopen inner\r\n--b\r\n\r\nafter\r\n--b--"},
	{"b", "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: i@example.org\r\n\r\ninner text\r\n--b--"},
	{"b", "--b\r\nContent-Type: message/rfc822\r\n\r\n--b--"},
	{"b", "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp5\r\n--b--"},
	{"b", "--b\r\nContent-ID: <x@y>\r\nContent-Description: a (b) c\r\nContent-MD5: abc\r\nContent-Language: de, en\r\nContent-Location: http://example.org/\r\nContent-Disposition: attachment; filename=\"x.txt\"; size=5\r\n\r\nhello\r\n--b--"},
	{"b", "--b\r\nContent-Disposition: INLINE\r\nContent-Language: fr\r\n\r\nbonjour\r\n--b\r\nContent-Disposition: weird; a; b=\r\n\r\nx\r\n--b--"},
}

func nested(depth int) []string {
	lines := []string{"From: alice@example.org", "Subject: depth", "MIME-Version: 1.0"}
	for i := range depth {
		lines = append(lines, fmt.Sprintf("Content-Type: multipart/mixed; boundary=level%d", i), "", fmt.Sprintf("--level%d", i))
	}
	lines = append(lines, "Content-Type: text/plain", "", "the bottom")
	for i := depth - 1; i >= 0; i-- {
		lines = append(lines, fmt.Sprintf("--level%d--", i))
	}
	return lines
}

func parts(n int) []string {
	lines := []string{"From: alice@example.org", "Subject: parts", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=p", ""}
	for i := range n {
		lines = append(lines, "--p", fmt.Sprintf("Content-Type: text/plain; name=part%d", i), "", strings.Repeat(fmt.Sprintf("line %d\r\n", i), i)+"end")
	}
	return append(lines, "--p--")
}

var headers = []string{
	"Subject: plain", "Subject:no space", "Subject:", "subject: lower", "SUBJECT: UPPER", "Subject : space before colon", "Subject: one\nSubject: two", "Subject: folded\n over two\n\tlines",
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?q?_zwei?=", "Subject: =?iso-8859-1?b?R3L832U=?=", "Subject: =?unknown?q?x?=", "Subject: =?utf-8?q?broken", "Subject: Gr\xc3\xbc\xc3\x9fe raw", "Subject: Gr\xfc\xdfe latin", "no colon at all\nSubject: after",
	" leading space\nSubject: after", "From: alice@example.org\nSender: s@example.org\nReply-To: r@example.org", "From: alice@example.org\nFrom: second@example.org", "To: a@example.org\nTo: b@example.org", "Message-ID: <a@b>\nIn-Reply-To: <c@d> <e@f>\nReferences: <g@h>",
	"Message-ID: no brackets", "Bcc: secret@example.org", "Received: from a by b; Sat, 21 Nov 2026 10:00:00 +0000\nReceived: from c by d", "X-Long: " + "w" + "ord ", "Date: Sat, 21 Nov 2026 10:00:00 +0000\nDate: second",
	"Subject: tab\there", "Subject: trailing   ", "In-Reply-To: <a@b>\n <c@d>", "Content-Type: text/plain\nContent-Type: text/html",
}
