package message

import (
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/text/transform"
)

func TestAuthor(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"From: a@example.org\n", "a@example.org"},
		{"from : \"A, B\" (x) <a@Example.ORG> (y)\n", "a@example.org"},
		{"From: John Q. Public <jq@example.org>\n", "jq@example.org"},
		{"From: a@x.org <A@x.org>\n", "A@x.org"}, // nothing else can be meant,
		{"From: \"a@b\" <c@example.org>\n", "c@example.org"},
		{"From:\n a@example.org\n", "a@example.org"},
		{"From: \"l p\"@example.org\n", `"l p"@example.org`},
		{"From: Jürgen <j@köln.example>\n", "j@köln.example"},
		{"From: a@[192.0.2.1]\n", "a@[192.0.2.1]"},
		{"Subject: x\n", "message has no From field"},
		{"From: a@x.org\nFROM: b@x.org\n", "message has more than one From field"},
		{"From:\n", "From field is empty"},
		{"From: (c)\n", "From field is empty"},
		{"From: Name\n", "From field has no address"},
		{"From: a@x.org, b@x.org\n", "From field has more than one mailbox"},
		{"From: A <a@x.org>, B <b@x.org>\n", "From field has more than one mailbox"},
		{"From: g: a@x.org;\n", "From field has a group"},
		{"From: a@x.org <b@x.org>\n", "From field has text after its address"},
		{"From: A a@x.org <b@x.org>\n", "From field has an address where a name should stand"},
		{"From: A <a@x.org> <b@x.org>\n", "From field has text after its address"},
		{"From: <@r:a@x.org>\n", "From field has a source route"},
		{"From: A <a@x.org\n", "From field has an open angle bracket"},
		{"From: \"A <a@x.org>\n", "From field has an open quote"},
		{"From: a@x.org (open <b@x.org>\n", "From field has an open comment"},
		{"From: a\x00@x.org\n", "From field has a control character"},
		{"From: a@x..org\n", "From field: address has an empty label in its domain"},
		{"From: <>\n", "From field has no address"},
		{"From: a;b@x.org\n", "From field has a character that needs quotes"},
		{"\nFrom: a@x.org\n", "message has no From field"},
	} {
		a, fault := Author([]byte(crlf(c.header)))
		if got := a.String() + fault; got != c.want {
			t.Errorf("%q: %s, want %s", c.header, got, c.want)
		}
	}
}

func TestParseDate(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Tue, 3 Feb 2026 10:11:12 +0130", "2026-02-03 10:11:12 +0130"},
		{"3 Feb 2026 10:11 -0500", "2026-02-03 10:11:00 -0500"},
		{"Tue,3 feb 26 10:11:12 EST", "2026-02-03 10:11:12 -0500"},
		{"3 Feb 126 10:11:12 GMT", "2026-02-03 10:11:12 +0000"},
		{"3 Feb 75 10:11:12 Z", "1975-02-03 10:11:12 +0000"},
		{"03-Feb-2026 10:11:12 UT", "2026-02-03 10:11:12 +0000"},
		{"(x) Tue (y), 3 (z) Feb 2026 10:11:12 +0000 (UTC)", "2026-02-03 10:11:12 +0000"},
		{"3 February 2026", "2026-02-03 00:00:00 +0000"},
		{"3 Feb 2026 23:59:60 +0000", "2026-02-03 23:59:59 +0000"},
		{"31 Feb 2026 10:00 +0000", ""},
		{"3 Foo 2026 10:00 +0000", ""},
		{"3 Feb 2026 25:00 +0000", ""},
		{"3 Feb", ""},
		{"", ""},
		{"soon", ""},
	} {
		got := ""
		if d, ok := ParseDate(c.in); ok {
			got = d.Format("2006-01-02 15:04:05 -0700")
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestBaseSubject(t *testing.T) {
	for _, c := range []struct {
		in, want string
		reply    bool
	}{
		{"lunch", "lunch", false},
		{"Re: lunch", "lunch", true},
		{"RE : Fwd: fw[3]:  lunch\t today ", "lunch today", true},
		{"lunch (fwd) (FWD)", "lunch", true},
		{"[list] lunch", "lunch", false},
		{"[list][a] Re: [b] lunch", "lunch", true},
		{"[list]", "[list]", false},
		{"[a] [b]", "[b]", false},
		{"[fwd: Re: lunch]", "lunch", true},
		{"[Fwd: [fwd: lunch (fwd)]]", "lunch", true},
		{"Re:", "", true},
		{"reply", "reply", false},
		{"Re[x", "Re[x", false},
		{"[open", "[open", false},
		{"", "", false},
		{strings.Repeat("[a]", 100000), "[a]", false},
		{strings.Repeat("[fwd:", 50000) + "x" + strings.Repeat("]", 50000), "x", true},
	} {
		got, reply := BaseSubject(c.in)
		if got != c.want || reply != c.reply {
			t.Errorf("%.40q: %.40q %v, want %q %v", c.in, got, reply, c.want, c.reply)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"<a@b>", "a@b"},
		{"<a@b><c@d>\t<e@f>", "a@b c@d e@f"},
		{"your mail <a@b> (of <c@d>) and \"<e@f>\" <g@h>", "a@b g@h"},
		{`<"a b"@c>`, "a b@c"},
		{"<a @ b>", "a@b"},
		{"<a> <@b> <c@> <>", ""},
		{"<open@x", ""},
		{"<a@<b@c>", "b@c"},
		{"none", ""},
	} {
		if got := strings.Join(MessageIDs(c.in), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestDecodeText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{"=?utf-8?q?a_b=3F?=", "a b?"},
		{"=?UTF-8?B?w6Q=?= =?utf-8?b?w7Y=?= x", "äö x"},
		{"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"},
		{"=?iso-8859-1?q?=E4?= =?utf-8?q?=C3=B6?=", "äö"},
		{"=?iso-8859-1*de?q?=E4?=", "ä"},
		{"a =?utf-8?q?b?= c", "a b c"},
		{"=?x?y?z?= =?", "=?x?y?z?= =?"},
		{"=?utf-8?q?open", "=?utf-8?q?open"},
		{"=?utf-8?q?what??=", "what?"},
		{"=?nonsense?q?=41?=", "A"},
		{"raw \xfc and ü", "raw ü and ü"},
		{"=?utf-8?q?=FC?=", "ü"},
		{"=?utf-8?q??=x", "x"},
	} {
		if got := DecodeText(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestDecodeTransfer(t *testing.T) {
	for _, c := range []struct{ encoding, in, want string }{
		{"7bit", "as = is", "as = is"},
		{"x-own", "as = is", "as = is"},
		{"base64", "SGVs\r\nbG8=", "Hello"},
		{"base64", "SGVsbG8=SGVsbG8=", "HelloHello"},
		{"base64", "S*G V!sbG8", "Hello"},
		{"base64", "", ""},
		{"quoted-printable", "a=\r\nb=3D=e4 \t\r\nc=\nd", "ab=\xe4\r\ncd"},
		{"quoted-printable", "=4=ZZ=", "=4=ZZ"},
		{"quoted-printable", "x" + strings.Repeat("=41", 5000), "x" + strings.Repeat("A", 5000)},
		{"quoted-printable", strings.Repeat("=41 ", 5000) + "\r\n", strings.TrimRight(strings.Repeat("A ", 5000), " ") + "\r\n"},
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(c.in), "bytes": iotest.OneByteReader(strings.NewReader(c.in)),
		} {
			got, err := io.ReadAll(iotest.OneByteReader(DecodeTransfer(c.encoding, r)))
			if err != nil || string(got) != c.want {
				t.Errorf("%s %.40q %s: %.60q, %v, want %.60q", c.encoding, c.in, name, got, err, c.want)
			}
		}
	}
}

func TestDecodeCharset(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		ok             bool
	}{
		{"", "ü", "ü", true},
		{"utf-8", "\xfc", "", false},
		{"ISO-8859-1", "\xfc", "ü", true},
		{"windows-1251", "\xcf", "П", true},
		{"utf-7", "A+ImIDkQ-.", "A≢Α.", true},
		{"utf-7", "1 +- 2", "1 + 2", true},
		{"utf-7", "+2D3eAA-!", "\U0001f600!", true},
		{"utf-16", "\xff\xfea\x00", "a", true},
		{"utf-16", "\x00a", "a", true},
		{"no-such", "a", "", false},
	} {
		got, ok := DecodeCharset(c.name, []byte(c.in))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s %q: %q %v, want %q %v", c.name, c.in, got, ok, c.want, c.ok)
		}
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"HELLO", "hello"}, {"Ä", "a\u0308"}, {"ﬁ", "FI"}, {"Σς", "σσ"}, {"Ⓐ", "a"}, {"ÅNGSTRÖM", "Ångström"},
	} {
		if Fold(c.a) != Fold(c.b) {
			t.Errorf("%q and %q differ: %q, %q", c.a, c.b, Fold(c.a), Fold(c.b))
		}
	}
	if Fold("a") == Fold("ä") || Fold(Fold("ÄﬁⒶ")) != Fold("ÄﬁⒶ") {
		t.Error("Fold loses letters, or changes what it has folded")
	}
}

func TestPreview(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"one\n\n  two\tthree\n", "one two three"},
		{"> quoted\n\nanswer\n", "answer"},
		{"On Monday, Bob wrote:\n> quoted\n\nanswer\n", "answer"},
		{"Please bring:\nbread\n", "Please bring: bread"},
		{"> only\n> quotes\n", "> only > quotes"},
		{"text\n-- \nsignature\n", "text"},
		{"a ========== b", "a b"},
		{strings.Repeat("word ", 100), strings.TrimSpace(strings.Repeat("word ", 40))},
		{strings.Repeat("ü", 300), strings.Repeat("ü", 200)},
		{"", ""},
	} {
		if got, _ := previewText(c.in); got != c.want {
			t.Errorf("%.40q: %q, want %q", c.in, got, c.want)
		}
	}
}

// TestPreviewOfBeginning: what the beginning of a text is sure to give, all of it gives.
func TestPreviewOfBeginning(t *testing.T) {
	pieces := []string{"words of a line\r\n", "\r\n", "On Monday, Bob wrote:\r\n", "> quoted\r\n", "-- \r\n", "ünïcödé ", "\xe4", strings.Repeat("long", 60) + "\r\n", "----- "}
	random := rand.New(rand.NewPCG(1, 2))
	sures := 0
	for range 3000 {
		text := "Content-Type: text/plain; charset=utf-8\r\n\r\n"
		for range random.IntN(60) {
			text += pieces[random.IntN(len(pieces))]
		}
		in := strings.NewReader(text)
		part, _ := (&structureParser{in: newLineReader(in, int64(len(text))), budget: maxText}).part(new(Envelope), "text", "plain", 0)
		want, _, err := part.preview(in, previewRead)
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int64{200, 300, previewFirst} {
			got, sure, err := part.preview(in, limit)
			if err != nil || sure && got != want {
				t.Fatalf("%d octets of %q: %q, want %q (error %v)", limit, text, got, want, err)
			}
			if sure {
				sures++
			}
		}
	}
	if sures < 1000 {
		t.Errorf("only %d were sure", sures)
	}
}

// TestUTF8Reader: however the text comes in, it is read as looseUTF8 reads all of it.
func TestUTF8Reader(t *testing.T) {
	for _, in := range []string{"", "plain", "plain, then ünïcödé", "ü", "\xe4 is no UTF-8", "cut off \xe2\x82", strings.Repeat("x", 5000) + "€" + strings.Repeat("y", 5000)} {
		want, _, err := transform.String(looseUTF8{}, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in)), iotest.DataErrReader(strings.NewReader(in)), iotest.HalfReader(strings.NewReader(in))} {
			if got, err := io.ReadAll(charsetReader("utf-8", r)); string(got) != want || err != nil {
				t.Errorf("%T of %.20q: %.40q, %v", r, in, got, err)
			}
		}
	}
}

func TestFilename(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"Content-Disposition: attachment; filename=a.txt", "a.txt"},
		{"Content-Disposition: attachment; filename=a.txt; filename*=utf-8''%C3%A4.txt", "ä.txt"},
		{"Content-Disposition: attachment; filename*0*=iso-8859-1''%E4; filename*1=\" b%.txt\"", "ä b%.txt"},
		{"Content-Type: image/png; name=\"=?utf-8?q?=C3=A4?=.png\"", "ä.png"},
		{"Content-Disposition: attachment", ""},
	} {
		if got := summarize(t, c.header+"\r\n\r\n").Structure.Filename(); got != c.want {
			t.Errorf("%s: %q, want %q", c.header, got, c.want)
		}
	}
}

// TestHostileMessagesAreQuick reads messages that are built to cost much. They are a few
// megabytes each; a reading that is not linear would take minutes.
func TestHostileMessagesAreQuick(t *testing.T) {
	nest := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"b%d\"\n\n--b%d\n", i, i)
		}
		return b.String()
	}
	for name, msg := range map[string]string{
		"10,000 levels of multipart":      nest(10000) + "\nx\n",
		"10,000 levels of message":        strings.Repeat("Content-Type: message/rfc822\n\n", 10000) + "Subject: x\n\nx\n",
		"100,000 parts":                   "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 100000) + "--b--\n",
		"99 levels, many near boundaries": nest(99) + "\n" + strings.Repeat("--b\n", 500000),
		"a header of one line":            "Subject: " + strings.Repeat("x", 4<<20) + "\n\n",
		"a header of many folds":          "Subject: x\n" + strings.Repeat(" y\n", 1<<20) + "\n",
		"a million fields":                strings.Repeat("A: b\n", 1<<20) + "\n",
		"open quotes":                     "To: " + strings.Repeat(`\"`, 100000) + "\n\n",
		"open comments":                   "To: " + strings.Repeat("(", 200000) + "\n\n",
		"open encoded words":              "Subject: " + strings.Repeat("=?a?q?x", 30000) + "\n\n",
		"groups":                          "To: " + strings.Repeat("a:", 100000) + "\n\n",
		"angles":                          "To: " + strings.Repeat("<", 200000) + "\n\n",
		"parameters":                      "Content-Type: text/plain" + strings.Repeat(";a*0=b", 30000) + "\n\n",
		"a body of open tags":             "Content-Type: text/html\n\n" + strings.Repeat("<a ", 1<<20),
		"a body of one line":              "\n" + strings.Repeat("x", 8<<20),
	} {
		start := time.Now()
		msg = crlf(msg)
		checkSummary(t, []byte(msg))
		if _, err := ExtractText(strings.NewReader(msg), int64(len(msg)), 1<<20); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		Author([]byte(msg))
		t.Logf("%s: %v", name, time.Since(start).Round(time.Millisecond))
	}
}

func TestPartsAndDepthAreBounded(t *testing.T) {
	msg := crlf("Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 20000) + "--b--\n")
	if n := len(summarize(t, msg).Structure.Parts); n != maxParts {
		t.Errorf("%d parts", n)
	}
	depth := 0
	for p := summarize(t, strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 500)).Structure; len(p.Parts) > 0; p = &p.Parts[0] {
		depth++
	}
	if depth != maxDepth {
		t.Errorf("%d levels", depth)
	}
}

func TestDamagedSummaryIsRefused(t *testing.T) {
	b := string(summarize(t, crlf("From: a@b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n")).AppendBinary(nil))
	for i := range b {
		if _, err := ParseSummary(b[:i]); err == nil {
			t.Errorf("cut at %d: taken", i)
		}
	}
	if _, err := ParseSummary(string(rune(summaryVersion+1)) + b[1:]); err == nil {
		t.Error("another version: taken")
	}
}

// A reader's memory holds nothing of what it read before.
func TestSummaryReaderReadsMany(t *testing.T) {
	var sr SummaryReader
	rich := crlf("From: a@b, c@d\nSubject: x\nContent-Type: multipart/mixed; boundary=b; x=y\n\n--b\nContent-Type: message/rfc822\n\n" +
		"To: e@f\n\nx\n--b\nContent-Language: en, de\n\nx\n--b--\n")
	for _, msg := range []string{crlf(ordinary), rich, "\r\n", crlf(ordinary), rich} {
		want := summarize(t, msg)
		form := string(want.AppendBinary(nil))
		if e, err := sr.Envelope(form); err != nil || !reflect.DeepEqual(*e, want.Envelope) {
			t.Errorf("envelope %+v, want %+v (%v)", e, want.Envelope, err)
		}
		if got, err := sr.Summary(form); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v (%v)", got, want, err)
		}
	}
}

const ordinary = `Return-Path: <alice@example.org>
Received: from mx.example.org (mx.example.org [192.0.2.1])
	by mx.example.net with ESMTPS id abc; Tue, 3 Feb 2026 10:00:00 +0100
From: =?utf-8?q?Alice_Ex=C3=A4mple?= <alice@example.org>
To: Bob Example <bob@example.net>, "Doe, Jane" <jane@example.net>
Cc: carol@example.com
Subject: Re: [list] A message as they come every day
Date: Tue, 3 Feb 2026 10:00:00 +0100
Message-ID: <abc.123@example.org>
In-Reply-To: <xyz.9@example.net>
References: <root.1@example.net> <xyz.9@example.net>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="=_b1"

--=_b1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Hello Bob, this is what one writes: some text in a few lines, with=
 a soft break.

--=_b1
Content-Type: text/html; charset=utf-8

<html><body><p>Hello Bob, this is what one writes.</p></body></html>
--=_b1--
`

func BenchmarkSummarize(b *testing.B) {
	msg := crlf(ordinary)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		summarize(b, msg)
	}
}

func BenchmarkSummarizeAttachment(b *testing.B) {
	msg := crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n" +
		strings.Repeat(strings.Repeat("A", 76)+"\n", 100000) + "--b--\n")
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		summarize(b, msg)
	}
}

func BenchmarkParseSummary(b *testing.B) {
	form := string(summarize(b, crlf(ordinary)).AppendBinary(nil))
	var sr SummaryReader
	b.SetBytes(int64(len(form)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sr.Summary(form); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExtractText(b *testing.B) {
	msg := crlf(ordinary)
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		if _, err := ExtractText(strings.NewReader(msg), int64(len(msg)), 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBase64(b *testing.B) {
	text := strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 10000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := io.Copy(io.Discard, DecodeTransfer("base64", strings.NewReader(text))); err != nil {
			b.Fatal(err)
		}
	}
}
