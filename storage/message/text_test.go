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
