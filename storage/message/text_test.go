package message

import (
	"strings"
	"testing"
)

// The full-text index rules messages out, so all that TEXT looks at has to be in it: names of
// fields, comments, the headers of parts.
func TestExtractTextHoldsAllHeaders(t *testing.T) {
	msg := crlf("From: Alice (the boss) <alice@example.org>\nTo: bob@example.org\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n" +
		"--b\nContent-Type: image/png\nContent-Description: a map\n\n--b\nContent-Type: message/rfc822\n\nX-Inner: fish\n\n--b--\n")
	text, err := ExtractText(strings.NewReader(msg), int64(len(msg)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"From: Alice (the boss)", "<bob@example.org>", "Subject: x", "image/png", "a map", "X-Inner: fish"} {
		if !strings.Contains(text.Addresses, want) {
			t.Errorf("%q is not in %q", want, text.Addresses)
		}
	}
}

func TestLastDispositionCounts(t *testing.T) {
	s := summarize(t, crlf("Content-Type: text/html\nContent-Type: image/png\nContent-Disposition: inline\nContent-Disposition: attachment; filename=x\n\ny\n"))
	if p := s.Structure; p.Subtype != "html" || p.Disposition != "attachment" || p.Filename() != "x" {
		t.Errorf("type %s, disposition %s of %s", p.Subtype, p.Disposition, p.Filename())
	}
}

// What ends with the limit without being that long has to say so, or the full-text index rules out messages that match.
func TestExtractTextTellsWhatItLeftOut(t *testing.T) {
	html := "Content-Type: text/html\n\n<p>before</p>" + strings.Repeat(`<img src="data:aaaaaaaaaaaaaaaa">`, 1000) + "<p>after</p>\n"
	for msg, want := range map[string]bool{html: true, "Content-Type: text/html\n\n<p>before</p><p>after</p>\n": false, "\nafter\n": false} {
		text, err := ExtractText(strings.NewReader(crlf(msg)), int64(len(crlf(msg))), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(text.Body, "after"); text.Cut != want || has == want {
			t.Errorf("%.60q: has all: %v, cut: %v", msg, has, text.Cut)
		}
	}
}

// A line end that the reader's buffer cut in two left its CR in the part before a boundary.
func TestLongLineBeforeABoundary(t *testing.T) {
	for n := pieceSize - 3; n < pieceSize+3; n++ {
		s := summarize(t, crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n"+strings.Repeat("x", n)+"\n--b--\n"))
		if len(s.Structure.Parts) != 1 || s.Structure.Parts[0].Size() != int64(n) {
			t.Errorf("a part of %d octets is %+v", n, s.Structure.Parts)
		}
	}
}

// Of a boundary line that is longer than the reader's buffer the rest was taken for the part's header.
func TestLongBoundaryLine(t *testing.T) {
	msg := crlf("Content-Type: multipart/mixed; boundary=b\n\n--b" + strings.Repeat(" ", 2*pieceSize) + "\nContent-Type: text/html\n\nx\n--b--\n")
	s := summarize(t, msg)
	if len(s.Structure.Parts) != 1 || !strings.HasPrefix(msg[s.Structure.Parts[0].Start:], "Content-Type") {
		t.Errorf("the part is %+v", s.Structure.Parts)
	}
}
