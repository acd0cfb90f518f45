package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

var testLimits = Limits{Line: 4096, Literal: 1024, Depth: 4}

func decode(input string) *Decoder {
	d := NewDecoder(bufio.NewReader(strings.NewReader(input)), func() error { return nil })
	d.Start(testLimits)
	return d
}

func TestTokens(t *testing.T) {
	tests := []struct {
		in   string
		read func(d *Decoder) any
		want string // "!" and part of an error's text when it fails
	}{
		{"a1.x]", func(d *Decoder) any { return d.Tag() }, "a1.x]"},
		{"+", func(d *Decoder) any { return d.Tag() }, "!expected a tag"},
		{"fetch", func(d *Decoder) any { return d.Keyword() }, "FETCH"},
		{"body.peek[", func(d *Decoder) any { return d.Word() + string(d.Peek()) }, "BODY.PEEK["},
		{"INBOX]x", func(d *Decoder) any { return d.AString() }, "INBOX]x"},
		{`"a\"b\\c"`, func(d *Decoder) any { return d.AString() }, `a"b\c`},
		{`"a\b"`, func(d *Decoder) any { return d.AString() }, "!escape"},
		{"\"a\r\nb\"", func(d *Decoder) any { return d.AString() }, "!unfinished"},
		{"\"gr\u00fcn\"", func(d *Decoder) any { return d.AString() }, "gr\u00fcn"},
		{"\"gr\xfcn\"", func(d *Decoder) any { return d.AString() }, "!UTF-8"},
		{"{3}\r\na\"b", func(d *Decoder) any { return d.AString() }, `a"b`},
		{"{3+}\r\nabc", func(d *Decoder) any { return d.AString() }, "abc"},
		{"{3}\nabc", func(d *Decoder) any { return d.AString() }, "abc"},
		{"~{3}\r\na\x00c", func(d *Decoder) any { return d.AString() }, "a\x00c"},
		{"{3}\r\na\x00c", func(d *Decoder) any { return d.AString() }, "!NUL"},
		{"~tilde", func(d *Decoder) any { return d.AString() }, "~tilde"},
		{"{2000}\r\n", func(d *Decoder) any { return d.AString() }, "!too big"},
		{"{99999999999999999999}\r\n", func(d *Decoder) any { return d.AString() }, "!too large"},
		{"4294967295", func(d *Decoder) any { return d.Number() }, "4294967295"},
		{"4294967296", func(d *Decoder) any { return d.Number() }, "!too large"},
		{"9223372036854775807", func(d *Decoder) any { return d.Number64() }, "9223372036854775807"},
		{"9223372036854775808", func(d *Decoder) any { return d.Number64() }, "!too large"},
		{"nil", func(d *Decoder) any { s, ok := d.NString(); return fmt.Sprintf("%s %v", s, ok) }, " false"},
		{`"NIL"`, func(d *Decoder) any { s, ok := d.NString(); return fmt.Sprintf("%s %v", s, ok) }, "NIL true"},
		{"inBox", func(d *Decoder) any { return d.Mailbox() }, "INBOX"},
		{"&AOk-t&AOk-", func(d *Decoder) any { return d.Mailbox() }, "\u00e9t\u00e9"},
		{"%.*", func(d *Decoder) any { return d.ListPattern() }, "%.*"},
		{`(\Seen $Forwarded x])`, func(d *Decoder) any { return d.Flags() }, `[\Seen $Forwarded x]]`},
		{`()`, func(d *Decoder) any { return d.Flags() }, `[]`},
		{`(a  b)`, func(d *Decoder) any { return d.Flags() }, `!a flag`},
		{"1-feb-2026", func(d *Decoder) any { return d.Date().Format(time.DateOnly) }, "2026-02-01"},
		{`"01-Feb-2026"`, func(d *Decoder) any { return d.Date().Format(time.DateOnly) }, "2026-02-01"},
		{"31-Feb-2026", func(d *Decoder) any { return d.Date() }, "!date"},
		{`" 1-Feb-2026 10:11:12 +0130"`, func(d *Decoder) any { return d.DateTime().UTC().Format(time.DateTime) }, "2026-02-01 08:41:12"},
		{`"x"`, func(d *Decoder) any { return d.DateTime() }, "!date"},
		{"3,1:2,*", func(d *Decoder) any { return d.Set().Resolve(9) }, "[{1 3} {9 9}]"},
		{"5:*", func(d *Decoder) any { return d.Set().Resolve(3) }, "[{3 5}]"},
		{"*", func(d *Decoder) any { return d.Set().Resolve(0) }, "[]"},
		{"4294967295:1", func(d *Decoder) any { return d.Set().Resolve(0) }, "[{1 4294967295}]"},
		{"$", func(d *Decoder) any { return d.Set().Saved }, "true"},
		{"1,,2", func(d *Decoder) any { return d.Set() }, "!number"},
		{"0", func(d *Decoder) any { return d.Set() }, "!not a message number"},
		{"1:*", func(d *Decoder) any { return d.KnownSet() }, "!not allowed"},
		{"-100:-1", func(d *Decoder) any { return d.Partial() }, "{1 100 true}"},
		{"1:-5", func(d *Decoder) any { return d.Partial() }, "!same side"},
		{"(((((", func(d *Decoder) any {
			for d.Open() {
			}
			return nil
		}, "!too many nested"},
	}
	for _, tt := range tests {
		d := decode(tt.in + "\r\n")
		got := fmt.Sprint(tt.read(d))
		switch failed, isError := strings.CutPrefix(tt.want, "!"); {
		case isError && (d.Err() == nil || !strings.Contains(d.Err().Error(), failed)):
			t.Errorf("%q: %q, error %v, want one about %q", tt.in, got, d.Err(), failed)
		case !isError && d.Err() != nil:
			t.Errorf("%q: %v", tt.in, d.Err())
		case !isError && got != tt.want:
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// After any command, read to its end or not, Skip leads to the start of the next.
func TestSkip(t *testing.T) {
	tests := []struct{ name, in string }{
		{"unread line", "foo bar baz\r\n"},
		{"non-sync literal unread", "foo {5+}\r\nx\r\nyz bar {2+}\r\n\r\n\r\n"},
		{"sync literal unread", "foo {5}\r\n"},
		{"read and refused, sync", "x {5000}\r\n"},
		{"read and refused, non-sync", "x {2000+}\r\n" + strings.Repeat("z", 2000) + " y\r\n"},
		{"stream left alone", "s {5+}\r\nx\r\nyz y\r\n"},
		{"header left alone, non-sync", "h {5+}\r\nx\r\nyz y\r\n"},
		{"header left alone, sync", "h {5}\r\n"},
		{"bare LF", "foo\n"},
		{"syntax error in a string", "x \"ab\\c\" {3+}\r\nabc\r\n"},
	}
	for _, tt := range tests {
		d := decode(tt.in + "NEXT")
		switch d.Peek() {
		case 'x':
			d.Atom()
			d.SP()
			d.AString()
			d.AString()
		case 's':
			d.Atom()
			d.SP()
			d.Literal(d.Header()).Read(make([]byte, 1))
		case 'h':
			d.Atom()
			d.SP()
			d.Header()
			d.Fail("no such mailbox")
		}
		if err := d.Skip(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		d.Start(testLimits)
		if got := d.Atom(); got != "NEXT" && got != "" {
			t.Errorf("%s: next command starts with %q", tt.name, got)
		}
		if rest, _ := io.ReadAll(d.br); len(rest) > 0 {
			t.Errorf("%s: %q left over", tt.name, rest)
		}
	}
}

func TestStreamedLiteral(t *testing.T) {
	asked := 0
	input := "APPEND {5000}\r\n" + strings.Repeat("m", 5000) + " (x)\r\n"
	d := NewDecoder(bufio.NewReaderSize(strings.NewReader(input), 16), func() error { asked++; return nil })
	d.Start(Limits{Line: 100, Literal: 10, Depth: 4})
	d.Keyword()
	d.SP()
	h := d.Header()
	if asked != 0 {
		t.Fatal("the literal was asked for before it was accepted")
	}
	body, err := io.ReadAll(d.Literal(h))
	if err != nil || len(body) != 5000 || asked != 1 {
		t.Fatalf("read %d octets, asked %d times: %v", len(body), asked, err)
	}
	d.SP()
	if flags := d.Flags(); len(flags) != 1 {
		t.Errorf("flags after the literal: %v", flags)
	}
	if d.End(); d.Err() != nil {
		t.Error(d.Err())
	}
}

func TestLineTooLong(t *testing.T) {
	d := decode(strings.Repeat("a", 5000) + "\r\n")
	d.Atom()
	if !errors.Is(d.Err(), ErrTooLong) || !errors.Is(d.Skip(), ErrTooLong) {
		t.Errorf("error %v, Skip %v", d.Err(), d.Skip())
	}
	// What is kept of literals counts as part of the line.
	d = decode(strings.Repeat("{1000+}\r\n"+strings.Repeat("x", 1000)+" ", 5))
	for d.Err() == nil {
		d.AString()
		d.SP()
	}
	var tooBig *TooBigError
	if !errors.As(d.Err(), &tooBig) {
		t.Errorf("five literals of 1000 octets in a line of 4096: %v", d.Err())
	}
}

func TestEndInTheMiddle(t *testing.T) {
	for _, in := range []string{"", "abc", "{5}\r\nab", "\"abc"} {
		d := decode(in)
		d.AString()
		if d.End(); !errors.Is(d.Err(), io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", in, d.Err())
		}
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("a1 FETCH 1:*,4 (BODY.PEEK[1]<0.5> FLAGS)\r\n"), []byte{1, 9, 2, 9, 8, 9, 11})
	f.Add([]byte("a APPEND x {5+}\r\nhello ~{2}\r\n\x00\x01\r\nb NOOP\r\n"), []byte{1, 9, 2, 9, 3, 9, 10})
	f.Add([]byte("\"\\\"\" NIL {1}\r\n\x00 -1:-2 1-Jan-2020\r\n"), []byte{3, 9, 4, 9, 3, 9, 12, 9, 6})
	f.Fuzz(func(t *testing.T, in, ops []byte) {
		asked := int64(0)
		d := NewDecoder(bufio.NewReaderSize(strings.NewReader(string(in)), 32), func() error { asked++; return nil })
		methods := []func(){
			func() { d.Tag() }, func() { d.Keyword() }, func() { d.Word() }, func() { d.AString() }, func() { d.NString() },
			func() { d.Number64() }, func() { d.Date() }, func() { d.DateTime() }, func() { d.Set() }, d.SP,
			func() { d.Literal(d.Header()).Read(make([]byte, 3)) }, func() { d.Flags() }, func() { d.Partial() },
			func() { d.Mailbox() }, func() { d.ListPattern() }, d.End, func() { d.Header() },
		}
		for len(in) > 0 {
			d.Start(Limits{Line: 200, Literal: 50, Depth: 3})
			for i := 0; i < len(ops) && d.Err() == nil; i++ {
				methods[int(ops[i])%len(methods)]()
			}
			before := d.Err()
			if err := d.Skip(); err != nil {
				return
			}
			if d.Err() != before && before != nil {
				t.Fatalf("the first error %v became %v", before, d.Err())
			}
			if !d.ended {
				t.Fatal("Skip succeeded in the middle of a command")
			}
		}
	})
}
