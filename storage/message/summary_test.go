package message

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func summarize(t testing.TB, msg string) *Summary {
	t.Helper()
	s, err := Summarize(strings.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatalf("Summarize: %v", err)
	}
	return s
}

// checkSummary tests what must hold for any message.
func checkSummary(t testing.TB, msg []byte) {
	t.Helper()
	s, err := Summarize(bytes.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatalf("Summarize: %v", err)
	}
	if s.Structure.End != int64(len(msg)) || s.Structure.Start != 0 {
		t.Errorf("root is [%d, %d) of %d octets", s.Structure.Start, s.Structure.End, len(msg))
	}
	checkPart(t, msg, s.Structure, 0)
	back, err := ParseSummary(string(s.AppendBinary(nil)))
	if err != nil {
		t.Fatalf("ParseSummary: %v", err)
	}
	if !reflect.DeepEqual(s, back) {
		t.Errorf("binary form changed the summary:\n%+v\n%+v", s, back)
	}
}

func checkPart(t testing.TB, msg []byte, p *Part, depth int) {
	t.Helper()
	if p.Start > p.BodyStart || p.BodyStart > p.End || depth > maxDepth+1 {
		t.Fatalf("part has offsets %d %d %d at depth %d", p.Start, p.BodyStart, p.End, depth)
	}
	if n := bytes.Count(msg[p.BodyStart:p.End], []byte("\n")); int64(n) != p.Lines {
		t.Errorf("part [%d, %d) has %d lines, not %d", p.BodyStart, p.End, n, p.Lines)
	}
	at := p.BodyStart
	for i := range p.Parts {
		c := &p.Parts[i]
		if c.Start < at || c.End > p.End {
			t.Fatalf("child [%d, %d) outside [%d, %d)", c.Start, c.End, at, p.End)
		}
		checkPart(t, msg, c, depth+1)
		at = c.End
	}
}

func FuzzSummarize(f *testing.F) {
	for _, s := range []string{
		"", "\r\n", "Subject: x", "Subject: x\r\n\r\nbody",
		crlf("Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\nContent-Type: message/rfc822\n\nFrom: b@c\n\n--a--\n"),
		crlf("Content-Type: multipart/digest; boundary=\"a b\"\n\n--a b\n--a b\n\nSubject: y\n--a b--\nepilogue"),
		crlf("Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: z\n\n"),
		"Content-Type: multipart/x; boundary=q\n\n--q\nContent-Type: text/html; charset=iso-2022-jp\n\n<p>\x1b$B\n--q--",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		checkSummary(t, msg)
		if _, err := ExtractText(bytes.NewReader(msg), int64(len(msg)), 1000); err != nil {
			t.Errorf("ExtractText: %v", err)
		}
		Author(msg)
	})
}

func FuzzParseSummary(f *testing.F) {
	f.Add(summarize(f, crlf("From: a@b\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n")).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSummary(string(b))
		if err != nil {
			return
		}
		if again, err := ParseSummary(string(s.AppendBinary(nil))); err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("not stable: %v", err)
		}
	})
}
