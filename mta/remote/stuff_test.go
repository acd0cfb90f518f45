package remote

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func stuff(chunks ...string) string {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	s := &stuffer{w: w}
	for _, c := range chunks {
		s.Write([]byte(c))
	}
	s.end()
	w.Flush()
	return b.String()
}

func TestStuffer(t *testing.T) {
	for _, tt := range []struct {
		in   []string
		want string
	}{
		{[]string{""}, ".\r\n"},
		{[]string{"a\r\n"}, "a\r\n.\r\n"},
		{[]string{"a"}, "a\r\n.\r\n"},
		{[]string{".\r\n"}, "..\r\n.\r\n"},
		{[]string{"a\n.\nb\r\n"}, "a\r\n..\r\nb\r\n.\r\n"},
		{[]string{"a\r.\rb"}, "a\r\n..\r\nb\r\n.\r\n"},
		{[]string{"a\r", "\nb\r", ".c"}, "a\r\nb\r\n..c\r\n.\r\n"},
		{[]string{"a\r\r\n.\r\n"}, "a\r\n\r\n..\r\n.\r\n"},
		{[]string{"a.", ".b", "\n", "."}, "a..b\r\n..\r\n.\r\n"},
		{[]string{"\r"}, "\r\n.\r\n"},
		{[]string{"\n\r\n"}, "\r\n\r\n.\r\n"},
	} {
		if got := stuff(tt.in...); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzStuffer: whatever goes in, the peer sees CRLF as the only line end and its
// final dot at the end only; cutting the input in two changes nothing.
func FuzzStuffer(f *testing.F) {
	f.Add([]byte("a\r\n.\r\nb"), 3)
	f.Add([]byte("\r\n.\n\r.\r\r\n."), 5)
	f.Add([]byte("a\r\nb\r\n"), 2)
	f.Add([]byte("\na\r\n"), 1)
	f.Add([]byte("a\r\r\n"), 1)
	f.Add([]byte("a\r\nb\xe9\r\n"), 5)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		out := stuff(string(in))
		body, ok := strings.CutSuffix("\r\n"+out, "\r\n.\r\n")
		if !ok || strings.Contains(body+"\r\n", "\r\n.\r\n") {
			t.Fatalf("%q became %q", in, out)
		}
		if strings.ContainsAny(strings.ReplaceAll(out, "\r\n", ""), "\r\n") {
			t.Fatalf("bare CR or LF: %q became %q", in, out)
		}
		// What is said to need no mending gets none, and all else may.
		var whole, parts octets
		whole.add(in)
		lined := bytes.HasSuffix(in, []byte("\r\n")) && !bytes.ContainsAny(bytes.ReplaceAll(in, []byte("\r\n"), nil), "\r\n")
		if whole.lined() != lined {
			t.Fatalf("%q: lined is %t", in, whole.lined())
		}
		if cut >= 0 && cut < len(in) {
			parts.add(in[:cut])
			parts.add(in[cut:])
			if parts.lined() != lined || parts.eightBit != whole.eightBit {
				t.Fatalf("%q cut at %d: %+v, in one %+v", in, cut, parts, whole)
			}
			if halves := stuff(string(in[:cut]), string(in[cut:])); halves != out {
				t.Fatalf("in two writes %q, in one %q", halves, out)
			}
		}
	})
}

func BenchmarkStuffer(b *testing.B) {
	text := bytes.Repeat([]byte(strings.Repeat("x", 76)+"\r\n"), 1000)
	w := bufio.NewWriter(bytes.NewBuffer(nil))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		w.Reset(discard{})
		s := &stuffer{w: w}
		s.Write(text)
		s.end()
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
