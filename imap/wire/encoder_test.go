package wire

import (
	"strings"
	"testing"
	"time"
)

func TestAppend(t *testing.T) {
	long := strings.Repeat("x", 5000)
	tests := []struct{ name, got, want string }{
		{"quoted", string(AppendString(nil, `a"b\`, false)), `"a\"b\\"`},
		{"8-bit", string(AppendString(nil, "\u00e9", false)), "{2}\r\n\u00e9"},
		{"8-bit, UTF-8 taken", string(AppendString(nil, "\u00e9", true)), "\"\u00e9\""},
		{"not UTF-8, UTF-8 taken", string(AppendString(nil, []byte{0xe9}, true)), "{1}\r\n\xe9"},
		{"line end", string(AppendString(nil, "a\r\nb", true)), "{4}\r\na\r\nb"},
		{"long", string(AppendString(nil, long, false)), "{5000}\r\n" + long},
		{"NIL", string(AppendNString(nil, "", false, false)), "NIL"},
		{"empty", string(AppendNString(nil, "", true, false)), `""`},
		{"atom", string(AppendAString(nil, "INBOX", false)), "INBOX"},
		{"no atom", string(AppendAString(nil, "a b", false)), `"a b"`},
		{"the word NIL", string(AppendAString(nil, "nil", false)), `"nil"`},
		{"empty astring", string(AppendAString(nil, "", false)), `""`},
		{"mailbox", string(AppendMailbox(nil, "Entw\u00fcrfe", false)), "Entw&APw-rfe"},
		{"mailbox in UTF-8", string(AppendMailbox(nil, "Entw\u00fcrfe", true)), "\"Entw\u00fcrfe\""},
		{"literal8", string(AppendLiteralHeader(nil, 3, true)), "~{3}\r\n"},
		{"ranges", string(AppendRanges(nil, RangesOf([]uint32{1, 2, 3, 7, 9, 10}))), "1:3,7,9:10"},
		{"partial", string(AppendPartial(nil, Partial{1, 100, true})), "-1:-100"},
		{"date", string(AppendDateTime(nil, time.Date(2026, 2, 1, 10, 0, 0, 0, time.FixedZone("", 3600)))), `"01-Feb-2026 10:00:00 +0100"`},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestRanges(t *testing.T) {
	s := Set{Ranges: []Range{{7, 7}, {1, 3}, {4, 4}, {20, 10}}}.Resolve(0)
	for n := uint32(0); n < 25; n++ {
		want := n >= 1 && n <= 4 || n == 7 || n >= 10 && n <= 20
		if s.Contains(n) != want {
			t.Errorf("Contains(%d) = %v", n, !want)
		}
	}
}

func TestPartialOf(t *testing.T) {
	tests := []struct {
		p        Partial
		n        int
		from, to int
	}{
		{Partial{1, 10, false}, 25, 0, 10},
		{Partial{21, 30, false}, 25, 20, 25},
		{Partial{31, 40, false}, 25, 25, 25},
		{Partial{1, 10, true}, 25, 15, 25},
		{Partial{21, 30, true}, 25, 0, 5},
		{Partial{1, 4294967295, true}, 3, 0, 3},
	}
	for _, tt := range tests {
		if from, to := tt.p.Of(tt.n); from != tt.from || to != tt.to {
			t.Errorf("%+v of %d: %d to %d, want %d to %d", tt.p, tt.n, from, to, tt.from, tt.to)
		}
	}
}

// What the encoder writes, the decoder reads.
func FuzzStrings(f *testing.F) {
	f.Add("plain", true)
	f.Add("a\r\n\"\\\u00e9", false)
	f.Fuzz(func(t *testing.T, s string, utf8OK bool) {
		if strings.IndexByte(s, 0) >= 0 || len(s) > 1000 {
			return
		}
		d := decode(string(AppendAString(nil, s, utf8OK)) + "\r\n")
		if got := d.AString(); got != s || d.Err() != nil {
			t.Fatalf("%q came back as %q: %v", s, got, d.Err())
		}
		if d.End(); d.Err() != nil {
			t.Fatal(d.Err())
		}
	})
}

func TestAppendDateTimeIsTheLayout(t *testing.T) {
	for _, zone := range []int{0, 3600, -3600, 5*3600 + 1800, -(9*3600 + 1800), 13 * 3600} {
		for _, at := range []int64{0, 951782400, 1769904000, 4102444799} {
			tm := time.Unix(at, 0).In(time.FixedZone("", zone))
			if got, want := string(AppendDateTime(nil, tm)), tm.Format(`"02-Jan-2006 15:04:05 -0700"`); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
}
