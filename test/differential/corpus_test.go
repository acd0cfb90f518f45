package differential

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type testMessage struct {
	name string
	text []byte
}

// corpus reads the messages that the parsers are tested with, and adds the shapes that generate makes.
// Without MIME-Version Dovecot doesn't look at some Content fields, so messages that lack it are there
// with it too.
func corpus(t *testing.T) []testMessage {
	t.Helper()
	files, err := filepath.Glob("../../storage/message/testdata/corpus/*.eml")
	if err != nil {
		t.Fatal(err)
	}
	var list []testMessage
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 || bytes.IndexByte(b, 0) >= 0 {
			continue // neither server takes an empty message, nor NUL but in a literal8
		}
		m := testMessage{strings.TrimSuffix(filepath.Base(f), ".eml"), crlf(b)}
		list = append(list, m)
		if head := bytes.ToLower(m.text); bytes.Contains(head, []byte("\ncontent-")) && !bytes.Contains(head, []byte("mime-version:")) {
			list = append(list, testMessage{"mime+" + m.name, append([]byte("MIME-Version: 1.0\r\n"), m.text...)})
		}
	}
	list = append(list, generate()...)
	if len(list) < 300 {
		t.Fatalf("the corpus has %d messages, fewer than 300", len(list))
	}
	return list
}

// crlf ends all lines with CRLF: Dovecot keeps no bare LF in a Maildir, so nothing else can be compared.
func crlf(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
