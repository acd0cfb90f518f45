package message

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/corpus/*.want anew")

// TestCorpus reads every message of the corpus and compares what is understood of it
// with the file beside it. The files were checked against what Dovecot says of the
// same messages.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.eml")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d messages, %v", len(files), err)
	}
	for _, file := range files {
		msg, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		msg = []byte(crlf(string(msg)))
		checkSummary(t, msg)
		got := describe(t, msg)
		wantFile := strings.TrimSuffix(file, ".eml") + ".want"
		if *update {
			if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(wantFile)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: understood as\n%swant\n%s", file, got, want)
		}
	}
}

// describe writes a summary for people.
func describe(t testing.TB, msg []byte) string {
	s, err := Summarize(bytes.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	author, fault := Author(msg[:s.Structure.BodyStart])
	fmt.Fprintf(&out, "author: %s%s\n", author, fault)
	describePart(&out, "", s.Structure, &s.Envelope)
	fmt.Fprintf(&out, "preview: %s\n", s.Preview)
	return out.String()
}

func describePart(out *strings.Builder, indent string, p *Part, e *Envelope) {
	if e != nil {
		describeEnvelope(out, indent, e)
	}
	fmt.Fprintf(out, "%s%s/%s%s %s [%d %d %d) %d lines", indent, p.Type, p.Subtype, describeParams(p.Params), p.Encoding, p.Start, p.BodyStart, p.End, p.Lines)
	for _, f := range []struct{ name, value string }{
		{"id", p.ID}, {"description", p.Description}, {"md5", p.MD5}, {"disposition", p.Disposition + describeParams(p.DispParams)},
		{"language", strings.Join(p.Language, " ")}, {"location", p.Location}, {"file", p.Filename()},
	} {
		if f.value != "" {
			fmt.Fprintf(out, " %s=%q", f.name, f.value)
		}
	}
	out.WriteByte('\n')
	if len(p.Parts) > 20 {
		fmt.Fprintf(out, "%s  %d parts\n", indent, len(p.Parts))
		return
	}
	for i := range p.Parts {
		describePart(out, indent+"  ", &p.Parts[i], p.Envelope)
	}
}

func describeEnvelope(out *strings.Builder, indent string, e *Envelope) {
	for _, f := range []struct {
		name string
		text Text
	}{{"date", e.Date}, {"subject", e.Subject}, {"in-reply-to", e.InReplyTo}, {"message-id", e.MessageID}, {"references", e.References}} {
		if f.text.Present {
			fmt.Fprintf(out, "%s%s: %s\n", indent, f.name, DecodeText(f.text.Value))
		}
	}
	if t, ok := ParseDate(e.Date.Value); ok {
		fmt.Fprintf(out, "%ssent: %s\n", indent, t.Format("2006-01-02 15:04:05 -0700"))
	}
	for _, f := range []struct {
		name string
		list []Address
	}{{"from", e.From}, {"sender", e.Sender}, {"reply-to", e.ReplyTo}, {"to", e.To}, {"cc", e.Cc}, {"bcc", e.Bcc}} {
		if len(f.list) > 20 {
			fmt.Fprintf(out, "%s%s: %d addresses\n", indent, f.name, len(f.list))
			continue
		}
		for _, a := range f.list {
			kind := [...]string{"", "group ", "group end"}[a.Kind]
			fmt.Fprintf(out, "%s%s: %s%s%s\n", indent, f.name, kind, a.Text(), a.Route)
		}
	}
}

func describeParams(params []Param) string {
	var out strings.Builder
	for _, p := range params {
		fmt.Fprintf(&out, " %s=%q", p.Name, p.Value)
	}
	return out.String()
}
