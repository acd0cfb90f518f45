package smtpd

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"facteur/mta"
)

// read runs what follows DATA through unstuffer and collector, cut into portions of the given
// sizes in turn.
func read(dir string, limits *Limits, lines lineRule, text []byte, cuts ...int) (body string, refusal *mta.Reply, used int, end, doubtful bool) {
	c := newCollector(limits, dir, lines)
	defer c.discard()
	var u unstuffer
	for i := 0; used < len(text) && !end; i++ {
		n := max(1, min(cuts[i%len(cuts)], len(text)-used))
		for p := text[used : used+n]; len(p) > 0 && !end; {
			var k int
			k, end = u.feed(p, c.write)
			used += k
			p = p[k:]
		}
	}
	b, refusal := c.finish()
	if b == nil {
		return "", refusal, used, end, u.doubtful
	}
	all, err := io.ReadAll(b.Reader())
	if err = errors.Join(err, b.Close()); err != nil {
		panic(err)
	}
	return string(all), nil, used, end, u.doubtful
}

var bodySeeds = []string{
	"", ".\r\n", "..\r\n.\r\n", "a: b\r\n\r\ntext\r\n.\r\nNOOP\r\n", "a\r\n..b\r\n.c\r\n.\r\n",
	"a\n.\nb\r\n.\r\n", "a\r.\rb\r\n.\r\n", "a\r\r\n.\r\nx", "a\r\n.\r\r\n.\r\n", "a\r\n.\rb\r\n.\r\n",
	"\r\n.\n.\r\n.\r\n", "\r", "\r\n", "a\r\n.\r", "Received: x\r\n y\r\n\r\n.\r\n", "a\r\n\r\r\r\n.\r\n",
}

// naive says by definition what follows DATA: the message up to the first CRLF.CRLF, dots after
// CRLF taken out.
func naive(text string) (body string, used int, end bool) {
	s := "\r\n" + text
	if i := strings.Index(s, "\r\n.\r\n"); i >= 0 {
		s, used, end = s[:i+2], i+3, true
	} else {
		return "", len(text), false
	}
	return strings.ReplaceAll(s, "\r\n.", "\r\n")[2:], used, true
}

var lineEnd = regexp.MustCompile("\r\n|\r|\n")

func bare(s string) bool {
	s = strings.ReplaceAll(s, "\r\n", "")
	return strings.ContainsAny(s, "\r\n")
}

// FuzzBody: wherever the network cuts the stream, the same message comes out, it is the one that the
// definition gives, and none with a bare CR or LF is taken.
func FuzzBody(f *testing.F) {
	for _, s := range bodySeeds {
		f.Add([]byte(s), 1, 3)
	}
	dir := f.TempDir()
	limits := Limits{Message: 300, Memory: 64, Header: 200, Fields: 10, Field: 100, FieldLines: 4, Hops: 2}
	f.Fuzz(func(t *testing.T, text []byte, cut1, cut2 int) {
		body, refusal, used, end, doubtful := read(dir, &limits, refuseBare, text, len(text))
		body2, refusal2, used2, end2, doubtful2 := read(dir, &limits, refuseBare, text, cut1, cut2)
		if body != body2 || refusal != refusal2 || used != used2 || end != end2 || doubtful != doubtful2 {
			t.Fatalf("cut into %d and %d: %q %v %d %v %v, in one piece: %q %v %d %v %v", cut1, cut2,
				body2, refusal2, used2, end2, doubtful2, body, refusal, used, end, doubtful)
		}
		want, wantUsed, wantEnd := naive(string(text))
		if used != wantUsed || end != wantEnd {
			t.Fatalf("used %d, end %v; by definition %d, %v", used, end, wantUsed, wantEnd)
		}
		if end && refusal == nil && body != want {
			t.Fatalf("%q, by definition %q", body, want)
		}
		if end && refusal == nil && bare(want) {
			t.Fatalf("took %q", want)
		}
		if refusal == replyBareLine && end && !bare(want) {
			t.Fatalf("refused %q", want)
		}
		mended, refusal, used, end, _ := read(dir, &limits, mendBare, text, cut1, cut2)
		if used != wantUsed || end != wantEnd || refusal == replyBareLine {
			t.Fatalf("mended: used %d, end %v, %v; by definition %d, %v", used, end, refusal, wantUsed, wantEnd)
		}
		if end && refusal == nil && mended != lineEnd.ReplaceAllString(want, "\r\n") {
			t.Fatalf("%q mended: %q", want, mended)
		}
	})
}

func TestBodySpool(t *testing.T) {
	dir := t.TempDir()
	limits := Limits{Message: 1 << 20, Memory: 1000}
	for _, n := range []int{0, 900, 1000, 1001, 50000} {
		c := newCollector(&limits, dir, refuseBare)
		text := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdefghijklmnopqrst\r\n", (n+31)/32)
		for i := 0; i < len(text); i += 100 {
			c.write([]byte(text[i:min(len(text), i+100)]))
		}
		b, r := c.finish()
		if r != nil {
			t.Fatal(r)
		}
		got, err := io.ReadAll(b.Reader())
		if err != nil || string(got) != text || b.HeaderSize() != 14 {
			t.Errorf("%d octets: read %d with a header of %d, %v", len(text), len(got), b.HeaderSize(), err)
		}
		if onDisk := b.Path() != ""; onDisk != (len(text) > 1000) {
			t.Errorf("%d octets: on disk %v", len(text), onDisk)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	leftovers(t, dir)
}

func leftovers(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left on disk: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// What a crash has left in the spool goes when the next server begins.
func TestSpoolIsSwept(t *testing.T) {
	cfg := testConfig(t, MX, &backend{})
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.SpoolDir, "mx", "in-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	leftovers(t, cfg.SpoolDir)
}

// A body is a copy of its own: the buffer it grew in is another message's by then.
func TestBodyIsNotShared(t *testing.T) {
	limits := DefaultLimits(MX)
	var bodies []*mta.Body
	for i := range byte(20) {
		c := newCollector(&limits, "", refuseBare)
		c.write(bytes.Repeat([]byte{'a' + i}, 100))
		b, r := c.finish()
		if r != nil {
			t.Fatal(r)
		}
		bodies = append(bodies, b)
	}
	for i, b := range bodies {
		mem, _ := b.Bytes()
		if !bytes.Equal(mem, bytes.Repeat([]byte{'a' + byte(i)}, 100)) {
			t.Errorf("body %d is now %q", i, mem)
		}
	}
}

func TestBodyWithoutRoom(t *testing.T) {
	limits := Limits{Message: 1000, Memory: 10}
	c := newCollector(&limits, t.TempDir()+"/gone", refuseBare)
	c.write([]byte("Subject: longer than memory\r\n"))
	if _, r := c.finish(); r == nil || r.Code != 452 || r.Err == nil {
		t.Errorf("got %v", r)
	}
}

func TestHeaderCaps(t *testing.T) {
	limits := Limits{Message: 1 << 20, Memory: 1 << 20, Header: 1000, Fields: 5, Field: 100, FieldLines: 3, Hops: 2}
	for _, c := range []struct {
		name, header string
		want         *mta.Reply
	}{
		{"within", "A: 1\r\nB: 2\r\n 3\r\n 4\r\n", nil},
		{"fields", strings.Repeat("A: 1\r\n", 6), replyHeader},
		{"lines of a field", "A: 1\r\n" + strings.Repeat(" 2\r\n", 3), replyHeader},
		{"one line", "A: " + strings.Repeat("x", 100) + "\r\n", replyHeader},
		{"one field over lines", "A: " + strings.Repeat("x", 50) + "\r\n " + strings.Repeat("x", 60) + "\r\n", replyHeader},
		{"all", strings.Repeat("A: "+strings.Repeat("x", 90)+"\r\n \r\n", 4) + "B:" + strings.Repeat("y", 95) + "\r\n", nil},
		{"hops", "Received: 1\r\nreceived :2\r\nRECEIVED\t: 3\r\n", replyHops},
		{"not hops", "Received: 1\r\nReceived-SPF: 2\r\nReceive: 3\r\nX-Received: 4\r\n", nil},
		{"no end", strings.Repeat("x", 2000), replyHeader},
	} {
		for _, cut := range []int{1, 7, 10000} {
			_, r, _, _, _ := read(t.TempDir(), &limits, refuseBare, []byte(c.header+"\r\n"+strings.Repeat("body\r\n", 100)+".\r\n"), cut)
			if r != c.want {
				t.Errorf("%s, cut into %d: %v", c.name, cut, r)
			}
		}
	}
}
