package imap

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"facteur/imap/wire"
	"facteur/storage"
	"facteur/storage/message"
)

// memBox is a mailbox in memory. With narrow it has a full-text index that says of no
// message that it can match, but for those that it has not indexed.
type memBox struct {
	entries []storage.Entry
	details []storage.Details
	bodies  [][]byte
	opened  int

	narrow    bool
	unindexed []storage.UID
}

func (b *memBox) add(msg string, e storage.Entry) {
	msg = strings.ReplaceAll(msg, "\n", "\r\n")
	s, err := message.Summarize(strings.NewReader(msg), int64(len(msg)))
	if err != nil {
		panic(err)
	}
	uid := storage.UID(10 * (len(b.entries) + 1))
	e.UID = uid
	e.Size = int64(len(msg))
	b.entries = append(b.entries, e)
	b.details = append(b.details, storage.Details{
		UID: uid, Base: fmt.Append(nil, uid), Thread: 1,
		Saved: e.Internal.AddDate(0, 0, 10), Summary: string(s.AppendBinary(nil)),
	})
	b.bodies = append(b.bodies, []byte(msg))
}

// find is the position of a UID; add gives every tenth.
func (b *memBox) find(uid storage.UID) int {
	if i := int(uid)/10 - 1; uid%10 == 0 && i < len(b.entries) {
		return i
	}
	return -1
}

func (b *memBox) Details(_ context.Context, uids []storage.UID) iter.Seq2[*storage.Details, error] {
	return func(yield func(*storage.Details, error) bool) {
		for _, uid := range uids {
			if i := b.find(uid); i >= 0 && !yield(&b.details[i], nil) {
				return
			}
		}
	}
}

type memContent struct{ *bytes.Reader }

func (memContent) Close() error  { return nil }
func (c memContent) Size() int64 { return c.Reader.Size() }

func (b *memBox) Open(uid storage.UID) (storage.Content, error) {
	i := b.find(uid)
	if i < 0 {
		return nil, storage.ErrGone
	}
	b.opened++
	return memContent{bytes.NewReader(b.bodies[i])}, nil
}

func (b *memBox) FullText(context.Context, storage.TextField, string) (candidates, unindexed []storage.UID, ok bool, err error) {
	return nil, b.unindexed, b.narrow, nil
}

func (b *memBox) search() *search {
	s := &search{
		box:     b,
		entry:   func(i int) (storage.Entry, bool) { return b.entries[i], true },
		entries: slices.All(b.entries),
		recent:  func(uid storage.UID) bool { return uid >= 40 },
		saved:   wire.Ranges{{First: 20, Last: 30}},
		now:     day("2026-03-01"),
	}
	for _, e := range b.entries {
		s.uids = append(s.uids, e.UID)
	}
	return s
}

func day(s string) time.Time {
	t, err := time.Parse("2006-01-02", s)
	if err != nil {
		panic(err)
	}
	return t
}

func decoder(s string) *wire.Decoder {
	d := wire.NewDecoder(bufio.NewReader(strings.NewReader(s+"\r\n")), func() error { return nil })
	d.Start(wire.Limits{Line: 64 << 10, Literal: 64 << 10, Depth: 50})
	return d
}

// searchMessages are messages 1 to 5, with UIDs 10 to 50.
func searchMessages() *memBox {
	b := &memBox{}
	b.add(`From: Alice Example <alice@example.org>
To: bob@example.net, "Doe, John" <jd@example.com>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus?= =?utf-8?q?_K=C3=B6ln?=
Date: Tue, 3 Feb 2026 23:30:00 -0500
Message-ID: <1@example.org>
X-Mark: quarterly

Plain words here.
`, storage.Entry{ModSeq: 100, Internal: day("2026-02-04"), Flags: storage.Flags{System: storage.Seen}})
	b.add(`From: bob@example.net
Cc: friends: alice@example.org;
Subject: Re: lunch
References: <1@example.org>
Date: 4 Feb 26 10:00 GMT
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Caf=E9 at noon, long li=
ne.
`, storage.Entry{ModSeq: 200, Internal: day("2026-02-10"), Flags: storage.Flags{System: storage.Flagged, Keywords: []string{"$Forwarded"}}})
	b.add(`Subject: no type
DKIM-Signature: v=1; b=needleinsignature

body without a From, a Date
`, storage.Entry{ModSeq: 300, Internal: day("2026-02-20"), Flags: storage.Flags{System: storage.Seen | storage.Deleted}})
	b.add(`From: =?iso-8859-1?q?Andr=E9?= <andre@example.fr>
To: undisclosed-recipients:;
Subject: parts
Date: Thu, 5 Feb 2026 08:00:00 +0100
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PHA+c2VjcmV0PGI+IHdvcmQ8L2I+PC9wPjxzdHlsZT5oaWRkZW48L3N0eWxlPg==
--b
Content-Type: application/pdf; name="invoice 42.pdf"
Content-Transfer-Encoding: base64

bmVlZGxlaW5wZGY=
--b--
`, storage.Entry{ModSeq: 400, Internal: day("2026-02-28")})
	b.add(`From: carol@example.org
Bcc: hidden@example.org
Subject:
Content-Type: message/rfc822

From: inner@example.org
Subject: nested subject

innermost text
`, storage.Entry{ModSeq: 500, Internal: day("2026-02-28"), Flags: storage.Flags{System: storage.Draft | storage.Answered}})
	return b
}

// searchCases are programs and the message numbers they find.
var searchCases = []struct{ program, want string }{
	{"ALL", "1 2 3 4 5"},
	{"1:3", "1 2 3"},
	{"2,4:*", "2 4 5"},
	{"6:9", ""}, // out of range: nothing
	{"9:6", ""}, // the same
	{"9:*", ""}, // and beyond the last message, unlike a UID
	{"*:9", ""},
	{"NOT 9:*", "1 2 3 4 5"},
	{"4:9", "4 5"},
	{"9:4", "4 5"},
	{"UID *:99", "5"},
	{"UID 15:40", "2 3 4"},
	{"UID 99:*", "5"},
	{"UID 99", ""},
	{"$", "2 3"},
	{"UID $", "2 3"},
	{"NOT $", "1 4 5"},
	{"SEEN", "1 3"},
	{"UNSEEN", "2 4 5"},
	{"DELETED", "3"},
	{"UNDELETED FLAGGED", "2"},
	{"ANSWERED DRAFT", "5"},
	{"UNANSWERED UNDRAFT UNFLAGGED", "1 3 4"},
	{"KEYWORD $forwarded", "2"},
	{"UNKEYWORD $Forwarded", "1 3 4 5"},
	{"KEYWORD nosuch", ""},
	{"RECENT", "4 5"},
	{"OLD", "1 2 3"},
	{"NEW", "4 5"},
	{"NOT SEEN NOT FLAGGED", "4 5"},
	{"OR SEEN FLAGGED", "1 2 3"},
	{"OR (SEEN DELETED) (FLAGGED)", "2 3"},
	{"NOT (OR SEEN FLAGGED)", "4 5"},
	{"NOT NOT SEEN", "1 3"},
	{"BEFORE 10-Feb-2026", "1"},
	{"ON 10-Feb-2026", "2"},
	{`SINCE "10-feb-2026"`, "2 3 4 5"},
	{"SENTON 3-Feb-2026", "1"}, // as written, whatever it is in UTC
	{"SENTON 4-Feb-2026", "2"},
	{"SENTSINCE 4-Feb-2026", "2 4"},
	{"SENTBEFORE 5-Feb-2026", "1 2"},
	{"SAVEDON 20-Feb-2026", "2"},
	{"SAVEDBEFORE 20-Feb-2026", "1"},
	{"SAVEDSINCE 20-Feb-2026", "2 3 4 5"},
	{"SAVEDATESUPPORTED", "1 2 3 4 5"},
	{"YOUNGER 90000", "4 5"},
	{"OLDER 900000", "1 2"},
	{"LARGER 300", "4"},
	{"SMALLER 130", "3"},
	{"MODSEQ 300", "3 4 5"},
	{`MODSEQ "/flags/\\draft" all 400`, "4 5"},
	{"EMAILID " + storage.Details{Base: []byte("20")}.EmailID(), "2"},
	{"THREADID " + storage.Details{Thread: 1}.ThreadID(), "1 2 3 4 5"},
	{`SUBJECT "KÖLN"`, "1"},
	{`SUBJECT "grüße"`, "1"},
	{`SUBJECT "aus köln"`, "1"},
	{"SUBJECT utf-8", ""},
	{`SUBJECT ""`, "1 2 3 4 5"},
	{"FROM alice", "1"},
	{`FROM "ANDRÉ"`, "4"},
	{`FROM ""`, "1 2 4 5"},
	{"TO jd@example.com", "1"},
	{`TO "doe, john"`, "1"},
	{`TO undisclosed`, "4"},
	{"CC alice", "2"},
	{"BCC hidden", "5"},
	{"HEADER Message-ID <1@example.org>", "1"},
	{"HEADER References <1@", "2"},
	{"HEADER x-mark QUARTER", "1"},
	{`HEADER X-Mark ""`, "1"},
	{`HEADER Date ""`, "1 2 4"},
	{"HEADER Dkim-Signature needle", "3"},
	{"BODY words", "1"},
	{`BODY "café"`, "2"},
	{`BODY "long line"`, "2"},
	{"BODY e", "1 2 3 4 5"},
	{`BODY "secret word"`, "4"},
	{"BODY hidden", ""},
	{"BODY needleinpdf", ""},
	{`BODY "invoice 42"`, "4"},
	{"BODY quarterly", ""},
	{`BODY "nested subject"`, "5"},
	{"BODY INNERMOST", "5"},
	{`BODY ""`, "1 2 3 4 5"},
	{"TEXT quarterly", "1"},
	{`TEXT "café"`, "2"},
	{"TEXT alice@example.org", "1 2"},
	{"TEXT needleinsignature", ""},
	{"TEXT x-mark:", "1"},
	{`TEXT "from: alice"`, "1"}, // the header as it is, and below as people read it
	{`FROM "<bob"`, "2"},
	{"TEXT application/pdf", "4"}, // RFC 9051 6.4.4: MIME header fields included
	{"BODY application/pdf", ""},
	{`TEXT "subject: nested"`, "5"},
	{"TEXT friends:", "2"},
	{"SEEN TEXT e UNDELETED", "1"},
	{`OR BODY "café" SUBJECT parts`, "2 4"},
	{"NOT BODY e", ""},
	{`NOT TEXT "café" 1:3`, "1 3"},
}

func TestSearch(t *testing.T) {
	for _, c := range searchCases {
		s := searchMessages().search()
		d := decoder(c.program)
		key := parseSearch(d, "UTF-8")
		if d.End(); d.Err() != nil {
			t.Errorf("%s: %v", c.program, d.Err())
			continue
		}
		found, err := s.run(context.Background(), key)
		if err != nil {
			t.Errorf("%s: %v", c.program, err)
		}
		if got := numbers(found); got != c.want {
			t.Errorf("%s: found %q, want %q", c.program, got, c.want)
		}
	}
}

// Fields are folded at tabs and with more blanks than one, which ENVELOPE doesn't show and nobody types; and what a
// mail server reports is text.
func TestSearchSeesWhatPeopleSee(t *testing.T) {
	b := &memBox{}
	b.add("Subject: at\n\t tabs\tand  blanks\nX-Note:no blank\n\tbehind\nContent-Type: message/delivery-status\n\nDiagnostic-Code:\t550\n", storage.Entry{})
	for program, want := range map[string]string{
		`SUBJECT "at tabs and blanks"`: "1", `TEXT "at tabs and blanks"`: "1", `TEXT "note:no"`: "1", `TEXT "note: no"`: "", `TEXT "blank behind"`: "1",
		`HEADER X-Note "blank behind"`: "1", `BODY "code: 550"`: "1", "BODY \"code:\t550\"": "1", `BODY behind`: "",
	} {
		found, err := b.search().run(context.Background(), parseSearch(decoder(program), "UTF-8"))
		if got := numbers(found); got != want || err != nil {
			t.Errorf("%s: found %q, want %q; %v", program, got, want, err)
		}
	}
}

func numbers(positions []int) string {
	var out []string
	for _, i := range positions {
		out = append(out, fmt.Sprint(i+1))
	}
	return strings.Join(out, " ")
}

func TestSearchRefuses(t *testing.T) {
	for _, program := range []string{
		"", "NOSUCH", "NOT", "OR SEEN", "()", "(SEEN", "KEYWORD", "SINCE", "SINCE 31-Foo-2026", "LARGER x", "0", "1:",
		"YOUNGER 0", "HEADER X", "UID", "MODSEQ x", strings.Repeat("(", 60) + "SEEN" + strings.Repeat(")", 60),
		strings.Repeat("SEEN ", 1001) + "SEEN",
	} {
		d := decoder(program)
		parseSearch(d, "")
		if d.End(); d.Err() == nil {
			t.Errorf("%.40s: taken", program)
		}
	}
}

func TestSearchReadsNoMoreThanNeeded(t *testing.T) {
	for _, c := range []struct {
		program string
		opened  int
	}{
		{"SEEN SUBJECT x FROM y", 0},
		{"BODY words 1", 1},
		{"BODY words SEEN SUBJECT lunch", 0},
		{"OR SUBJECT lunch BODY words 2", 0},
		{"TEXT alice@example.org 1", 0},
	} {
		b := searchMessages()
		d := decoder(c.program)
		if _, err := b.search().run(context.Background(), parseSearch(d, "")); err != nil {
			t.Error(err)
		}
		if b.opened != c.opened {
			t.Errorf("%s: opened %d messages, want %d", c.program, b.opened, c.opened)
		}
	}
}

func TestSearchTrustsFullTextIndex(t *testing.T) {
	b := searchMessages()
	b.narrow = true
	b.unindexed = []storage.UID{20}
	for program, want := range map[string]string{
		"BODY words":      "",
		`BODY "café"`:     "2",
		"NOT BODY words":  "1 2 3 4 5",
		"SUBJECT parts":   "",
		"NOT TEXT lunch":  "1 3 4 5",
		"HEADER x-mark q": "",
	} {
		found, err := b.search().run(context.Background(), parseSearch(decoder(program), ""))
		if err != nil || numbers(found) != want {
			t.Errorf("%s: found %q, %v, want %q", program, numbers(found), err, want)
		}
	}
	if b.opened > 4 { // those of UID 20
		t.Errorf("opened %d messages that the index rules out", b.opened)
	}
}

func TestSearchCharset(t *testing.T) {
	d := decoder("SUBJECT {4+}\r\nk\xf6ln")
	found, err := searchMessages().search().run(context.Background(), parseSearch(d, "ISO-8859-1"))
	if err != nil || d.Err() != nil || numbers(found) != "1" {
		t.Errorf("found %v, %v, %v", found, err, d.Err())
	}
	if knownCharset("x-nonsense") || !knownCharset("koi8-r") || !knownCharset("") {
		t.Error("knownCharset is wrong")
	}
}

func TestFinderAcrossWrites(t *testing.T) {
	text := "Straße und CAFÉ"
	for _, needle := range []string{"straße", "e und", "café", "é"} {
		f := finder{needle: message.Fold(needle)}
		for i := 0; i < len(text) && !f.found; i++ {
			f.Write([]byte{text[i]})
		}
		if !f.found {
			t.Errorf("%s not found", needle)
		}
	}
}

func FuzzSearchProgram(f *testing.F) {
	for _, c := range searchCases {
		f.Add(c.program)
	}
	b := searchMessages()
	f.Fuzz(func(t *testing.T, program string) {
		d := decoder(program)
		key := parseSearch(d, "")
		if d.End(); d.Err() != nil {
			return
		}
		if _, err := b.search().run(context.Background(), key); err != nil {
			t.Error(err)
		}
	})
}
