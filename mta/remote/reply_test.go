package remote

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadReply(t *testing.T) {
	for _, tt := range []struct {
		in, want string // want: as Error writes it; empty: an error
	}{
		{"250 ok\r\n", "250 ok"},
		{"250\r\n", "250 "},
		{"550 5.1.1 no\n", "550 5.1.1 no"},
		{"550-5.1.1 no\r\n550 5.1.1 such user\r\n", "550 5.1.1 no\nsuch user"},
		{"550 4.1.1 wrong class\r\n", "550 4.1.1 wrong class"},
		{"550 5.1.1.1 no code\r\n", "550 5.1.1.1 no code"},
		{"250 a\tb\x07c\xffd\r\n", "250 a b c\uFFFDd"},
		{"250-a\r\n251 b\r\n", ""},
		{"199 a\r\n", ""},
		{"600 a\r\n", ""},
		{"HTTP/1.1 400 Bad Request\r\n", ""},
		{"25", ""},
		{"250_x\r\n", ""},
		{strings.Repeat("250-x\r\n", 300), ""},
		{"250 " + strings.Repeat("x", 5000) + "\r\n", ""},
	} {
		r, err := readReply(bufio.NewReader(strings.NewReader(tt.in)))
		got := ""
		if err == nil {
			got = r.Error()
		}
		if err == nil && !r.Quoted {
			t.Errorf("%.40q: not the peer's words", tt.in)
		}
		if got != tt.want {
			t.Errorf("%.40q: got %q (%v), want %q", tt.in, got, err, tt.want)
		}
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add("250-mx\r\n250-PIPELINING\r\n250 AUTH=PLAIN\r\n")
	f.Add("550 5.7.1 \x1b[31mred\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := readReply(bufio.NewReader(strings.NewReader(in)))
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 {
			t.Errorf("code %d", r.Code)
		}
		for _, c := range r.Text {
			if c < ' ' && c != '\n' || c == 0x7f {
				t.Errorf("control character in %q", r.Text)
			}
		}
		parseExtensions(r.Text)
	})
}

func TestAddressForms(t *testing.T) {
	for _, tt := range []struct {
		orcpt string
		utf8  bool
		want  string
	}{
		{"rfc822;a+b=c@x.test", false, "rfc822;a+2Bb+3Dc@x.test"},
		{"utf-8;δ@π.test", true, "utf-8;δ@π.test"},
		{"utf-8;δ@x.test", false, `utf-8;\x{3B4}@x.test`},
		{"no type", false, "no+20type"},
	} {
		if got := encodeORCPT(tt.orcpt, tt.utf8); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.orcpt, got, tt.want)
		}
	}
}
