package imap

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"facteur/imap/wire"
	"facteur/storage/message"
)

func summarize(t testing.TB, msg string) (*message.Summary, memContent) {
	t.Helper()
	s, err := message.Summarize(strings.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatal(err)
	}
	return s, memContent{bytes.NewReader([]byte(msg))}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestEnvelope(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"},
		{"Subject:\nDate: d\n", `("d" "" NIL NIL NIL NIL NIL NIL NIL NIL)`},
		{"From: a@b\n", `(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)`},
		{"From: a@b\nSender: c@d\nReply-To:\n", `(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)`},
		{"To: g: \"A \\\"B\\\"\" <x@y>, z@y;, <@r:q@y>\n", `(NIL NIL NIL NIL NIL ((NIL NIL "g" NIL)("A \"B\"" NIL "x" "y")(NIL NIL "z" "y")(NIL NIL NIL NIL)(NIL "@r" "q" "y")) NIL NIL NIL NIL)`},
		{"To: foo, Name <>\n", `(NIL NIL NIL NIL NIL ((NIL NIL "foo" "MISSING_DOMAIN")("Name" NIL "MISSING_MAILBOX" "MISSING_DOMAIN")) NIL NIL NIL NIL)`},
		{"Subject: =?utf-8?q?x?=\n =?utf-8?q?y?=  z\n", `(NIL "=?utf-8?q?x?= =?utf-8?q?y?= z" NIL NIL NIL NIL NIL NIL NIL NIL)`},
		{"Subject: k\xc3\xb6ln\nIn-Reply-To: <a>\nMessage-Id: <b>\n", "(NIL {5}\r\nk\xc3\xb6ln NIL NIL NIL NIL NIL NIL \"<a>\" \"<b>\")"},
		{"Subject: a\x00b\n", "(NIL {5}\r\na\ufffdb NIL NIL NIL NIL NIL NIL NIL NIL)"},
	} {
		s, _ := summarize(t, crlf(c.header+"\n"))
		if got := string(appendEnvelope(nil, &s.Envelope, false)); got != c.want {
			t.Errorf("%q:\n%s, want\n%s", c.header, got, c.want)
		}
	}
}

func TestBodyStructure(t *testing.T) {
	const text = `"text" "plain" ("charset" "us-ascii") NIL NIL "7bit"`
	for _, c := range []struct{ msg, want string }{
		{"\nhello\n", "(" + text + " 7 1 NIL NIL NIL NIL)"},
		{"Content-Type: garbage\n\nhello", "(" + text + " 5 0 NIL NIL NIL NIL)"},
		{"Content-Type: TEXT/Html; Charset=X; a=\"b\\\"c\"\nContent-Transfer-Encoding: QUOTED-Printable\nContent-Id: <i>\n" +
			"Content-Description: d\nContent-MD5: m\nContent-Disposition: Inline; filename*0=a; filename*1=b; x=y\n" +
			"Content-Language: de, en\nContent-Location: l\n\n",
			`("TEXT" "Html" ("Charset" "X" "a" "b\"c") "<i>" "d" "quoted-printable" 0 0 "m" ("Inline" ("x" "y" "filename" "ab")) ("de" "en") "l")`},
		{"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n", `("image" "png" NIL NIL NIL "base64" 6 NIL NIL NIL NIL)`},
		{"Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\nhello\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\nbody\n--b--\nepilogue\n",
			"((" + text + ` 5 0 NIL NIL NIL NIL)("message" "rfc822" NIL NIL NIL "7bit" 18 (NIL "x" NIL NIL NIL NIL NIL NIL NIL NIL) (` + text +
				` 4 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)`},
		{"Content-Type: multipart/mixed; boundary=b\n\nnothing\n", "((" + text + ` 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)`},
		{"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b--\n",
			`(("message" "rfc822" NIL NIL NIL "7bit" 15 (NIL "x" NIL NIL NIL NIL NIL NIL NIL NIL) (` + text + ` 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) "digest" ("boundary" "b") NIL NIL NIL)`},
	} {
		s, _ := summarize(t, crlf(c.msg))
		if got := string(appendBodyStructure(nil, s.Structure, false)); got != c.want {
			t.Errorf("%q:\n%s, want\n%s", c.msg, got, c.want)
		}
		if got := string(appendBody(nil, s.Structure, false)); len(got) >= len(c.want) || strings.Contains(got, "Inline") {
			t.Errorf("BODY has extension data: %s", got)
		}
	}
}

const sectionMessage = `Subject: outer
From: a@b
nonsense line
From : c@d

preamble
--b

first
--b
Content-Type: message/rfc822
X: 1

Subject: inner
Content-Type: multipart/mixed; boundary=c

--c
Content-Type: text/html
Content-Transfer-Encoding: base64

AAECaGVsbG8=
--c--
--b
Content-Transfer-Encoding: x-strange

third
--b--
epilogue
`

func TestSections(t *testing.T) {
	header := "Subject: outer\nFrom: a@b\nContent-Type: multipart/mixed; boundary=b\nnonsense line\nFrom : c@d\n\n"
	msg := header + sectionMessage[strings.Index(sectionMessage, "preamble"):]
	inner := "Subject: inner\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\nAAECaGVsbG8=\n--c--\n" // with the line end, as Dovecot
	s, content := summarize(t, crlf(msg))
	for _, c := range []struct{ item, want string }{
		{"BODY[]", msg},
		{"RFC822", msg},
		{"BODY[HEADER]", header},
		{"RFC822.HEADER", header},
		{"BODY[TEXT]", msg[len(header):]},
		{"RFC822.TEXT", msg[len(header):]},
		{"BODY[HEADER.FIELDS (from DATE)]", "From: a@b\nFrom : c@d\n\n"},
		{"BODY[HEADER.FIELDS.NOT (FROM)]", "Subject: outer\nContent-Type: multipart/mixed; boundary=b\nnonsense line\n\n"},
		{"BODY[1]", "first"},
		{"BODY[1.MIME]", "\n"},
		{"BODY[1.1]", "first"}, // as Dovecot
		{"BODY[1.2]", ""},
		{"BODY[1.HEADER]", ""},
		{"BODY[2]", inner},
		{"BODY[2.MIME]", "Content-Type: message/rfc822\nX: 1\n\n"},
		{"BODY[2.HEADER]", "Subject: inner\nContent-Type: multipart/mixed; boundary=c\n\n"},
		{"BODY[2.HEADER.FIELDS (SUBJECT)]", "Subject: inner\n\n"},
		{"BODY[2.TEXT]", inner[strings.Index(inner, "--c"):]},
		{"BODY[2.1]", "AAECaGVsbG8="},
		{"BODY[2.1.MIME]", "Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n"},
		{"BODY[4]", ""},
		{"BODY[0.1]", "BAD"},
		{"BODY[]<2.3>", "bje"},
		{"BODY[]<100000.3>", ""},
		{"BODY[TEXT]<0.4>", "prea"},
		{"BODY[HEADER.FIELDS (SUBJECT)]<9.5>", "outer"},
		{"BODY[1]<3.100>", "st"},
		{"BODY[]<1.0>", "BAD"},
		{"BODY[MIME]", "BAD"},
		{"BODY[HEADER.FIELDS ()]", "BAD"},
		{"BINARY[2.1]", "\x00\x01\x02hello"},
		{"BINARY[2.1]<3.2>", "he"},
		{"BINARY[1]", "first"},
		{"BINARY[]", msg},
		{"BINARY[3]", "UNKNOWN-CTE"},
		{"BINARY[9]", ""},
		{"BINARY[1.MIME]", "BAD"},
	} {
		d := decoder(c.item)
		q := parseFetchRequest(d)
		if d.End(); d.Err() != nil {
			if c.want != "BAD" {
				t.Errorf("%s: %v", c.item, d.Err())
			}
			continue
		}
		p, err := openItem(q.items[0], s.Structure, content)
		if errors.Is(err, errUnknownCTE) && c.want == "UNKNOWN-CTE" {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.item, err)
			continue
		}
		got, err := io.ReadAll(p.r)
		if want := crlf(c.want); err != nil || string(got) != want || p.size != int64(len(want)) {
			t.Errorf("%s: %q (%d octets), %v, want %q", c.item, got, p.size, err, want)
		}
		if p.literal8 != (strings.HasPrefix(c.item, "BINARY[2.1]")) {
			t.Errorf("%s: literal8 is %v", c.item, p.literal8)
		}
	}
	if n, err := binarySize(s.Structure, content, []uint32{2, 1}); n != 8 || err != nil {
		t.Errorf("BINARY.SIZE[2.1] is %d, %v", n, err)
	}
}

// A message that is nothing has neither the blank line of what is around it nor the line end
// that belongs to the boundary.
func TestEmptyMessageInside(t *testing.T) {
	s, content := summarize(t, crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: x-own\n\nSubject: x\n\ny\n--b--\n"))
	for item, want := range map[string]string{
		"BODY[1.MIME]": "Content-Type: message/rfc822\n", "BODY[1]": "", "BODY[1.HEADER]": "", "BODY[1.TEXT]": "",
		"BODY[2.HEADER]": "Subject: x\n\n", "BODY[2.TEXT]": "y",
	} {
		p, err := openItem(parseFetchRequest(decoder(item)).items[0], s.Structure, content)
		if err != nil {
			t.Fatalf("%s: %v", item, err)
		}
		if got, err := io.ReadAll(p.r); err != nil || string(got) != crlf(want) {
			t.Errorf("%s: %q, %v, want %q", item, got, err, crlf(want))
		}
	}
	// A message has no encoding to be taken off, but this one can't be known to have none.
	if _, err := binarySize(s.Structure, content, []uint32{2}); !errors.Is(err, errUnknownCTE) {
		t.Errorf("BINARY.SIZE[2]: %v", err)
	}
}

func TestBinaryOfMuchIsStreamed(t *testing.T) {
	encoded := strings.Repeat("QUJDRA==\r\n", 400000)
	s, content := summarize(t, "Content-Transfer-Encoding: base64\r\n\r\n"+encoded)
	p, err := openBinary(s.Structure, content, []uint32{1}, &partial{from: 1500000, length: 6})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, p.size)
	if _, err := io.ReadFull(p.r, got); err != nil || string(got) != "ABCDAB" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFetchItems(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"ALL", "FLAGS INTERNALDATE SIZE ENVELOPE"},
		{"FAST", "FLAGS INTERNALDATE SIZE"},
		{"FULL", "FLAGS INTERNALDATE SIZE ENVELOPE BODY"},
		{"(ALL)", "BAD"},
		{"()", "BAD"},
		{"(FLAGS PREVIEW (LAZY) UID)", "FLAGS PREVIEW/LAZY UID"},
		{"PREVIEW (LAZY)", "PREVIEW/LAZY"},
		{"PREVIEW (LAZY) (CHANGEDSINCE 5)", "PREVIEW/LAZY since 5"},
		{"PREVIEW (CHANGEDSINCE 5 VANISHED)", "PREVIEW since 5 vanished"},
		{"FLAGS (LAZY)", "BAD"},
		{"(UID FLAGS) (CHANGEDSINCE 0 PARTIAL 1:10)", "UID FLAGS since 0 partial 1"},
		{"(BODY.PEEK[1] BODY[2]<1.2> BINARY.PEEK[3] BINARY.SIZE[4])", "BODY[1] BODY[2]<1>! BINARY[3] BINARY.SIZE[4]"},
		{"(EMAILID THREADID SAVEDATE MODSEQ)", "EMAILID THREADID SAVEDATE MODSEQ"},
		{"(RFC822.HEADER RFC822.TEXT RFC822)", "RFC822.HEADER RFC822.TEXT! RFC822!"},
		{"BODY.PEEK", "BAD"},
		{"NOSUCH", "BAD"},
	} {
		d := decoder(c.args)
		q := parseFetchRequest(d)
		if d.End(); d.Err() != nil {
			if c.want != "BAD" {
				t.Errorf("%s: %v", c.args, d.Err())
			}
			continue
		}
		if got := describe(q); got != c.want {
			t.Errorf("%s: %s, want %s", c.args, got, c.want)
		}
	}
}

// describe writes a request in short: "!" marks what sets \Seen.
func describe(q fetchRequest) string {
	names := map[fetchAttr]string{
		attrUID: "UID", attrFlags: "FLAGS", attrInternalDate: "INTERNALDATE", attrSize: "SIZE", attrModSeq: "MODSEQ",
		attrEmailID: "EMAILID", attrThreadID: "THREADID", attrSaveDate: "SAVEDATE", attrPreview: "PREVIEW",
		attrEnvelope: "ENVELOPE", attrBody: "BODY", attrBodyStructure: "BODYSTRUCTURE",
	}
	var out []string
	for _, item := range q.items {
		s, ok := names[item.attr]
		if !ok {
			s = string(appendContentName(nil, item, false))
		}
		if item.lazy {
			s += "/LAZY"
		}
		if item.setsSeen() {
			s += "!"
		}
		out = append(out, s)
	}
	if q.changedSince != nil {
		out = append(out, "since", string(wire.AppendNumber(nil, uint64(*q.changedSince))))
	}
	if q.vanished {
		out = append(out, "vanished")
	}
	if q.partial != nil {
		out = append(out, "partial", string(wire.AppendNumber(nil, q.partial.First)))
	}
	return strings.Join(out, " ")
}

// FuzzFetch renders whatever message and request come, and checks what must hold: a piece
// has as many octets as it says, and BODY[] is the message.
func FuzzFetch(f *testing.F) {
	f.Add(crlf(sectionMessage), "(BODY[1.1.MIME]<0.5> BINARY[2.1] BODY[HEADER.FIELDS.NOT (FROM)])")
	f.Add("Content-Type: message/rfc822\r\n\r\n\r\n", "(BODY[1.1.1] BODY[TEXT] RFC822 BINARY[])")
	f.Fuzz(func(t *testing.T, msg, request string) {
		s, content := summarize(t, msg)
		appendEnvelope(nil, &s.Envelope, true)
		appendBodyStructure(nil, s.Structure, false)
		d := decoder(request)
		q := parseFetchRequest(d)
		if d.Err() != nil {
			return
		}
		for _, item := range q.items {
			if _, streamed := item.needs(); !streamed || item.attr == attrBinarySize {
				continue
			}
			p, err := openItem(item, s.Structure, content)
			if errors.Is(err, errUnknownCTE) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(p.r)
			if err != nil || int64(len(got)) < p.size {
				t.Errorf("%d octets of %d, %v", len(got), p.size, err)
			}
			if item.whole() && item.partial == nil && string(got) != msg {
				t.Error("BODY[] is not the message")
			}
		}
	})
}

func BenchmarkFetchEnvelopeStructure(b *testing.B) {
	box := bigBox(1)
	var buf []byte
	for b.Loop() {
		s, err := message.ParseSummary(box.details[0].Summary)
		if err != nil {
			b.Fatal(err)
		}
		buf = appendEnvelope(buf[:0], &s.Envelope, false)
		buf = appendBodyStructure(buf, s.Structure, false)
	}
	b.SetBytes(int64(len(buf)))
}
