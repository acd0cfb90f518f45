package remote

import (
	"errors"
	"strings"
	"testing"
)

func TestTo7Bit(t *testing.T) {
	const (
		mime = "MIME-Version: 1.0\n"
		text = "Content-Type: text/plain; charset=utf-8\n"
		qp   = "Content-Transfer-Encoding: quoted-printable\n"
	)
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	for _, tt := range []struct{ name, in, want string }{
		{"ascii stays", "A: b\n\nc=\n", "A: b\n\nc=\n"},
		{"text", mime + text + "\nä=b\nend \n", mime + text + qp + "\n=C3=A4=3Db\nend=20\n"},
		{"no MIME", "Subject: x\n\nä\n", "Subject: x\n" + mime + text + qp + "\n=C3=A4\n"},
		{"no MIME, and no UTF-8", "Subject: x\n\n\xe4\n", "Subject: x\n" + mime + "Content-Type: text/plain; charset=unknown-8bit\n" + qp + "\n=E4\n"},
		{"a type without MIME", text + "\nä\n", text + mime + qp + "\n=C3=A4\n"},
		{"long lines are broken", mime + text + "\n" + strings.Repeat("x", 80) + "ä\n",
			mime + text + qp + "\n" + strings.Repeat("x", 75) + "=\nxxxxx=C3=A4\n"},
		{"binary part", mime + "Content-Type: image/png\nContent-Transfer-Encoding: 8bit\n\n\xff\xfe",
			mime + "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n//4=\n"},
		{"only the part that needs it",
			mime + "Content-Type: multipart/mixed; boundary=\"b\"\nContent-Transfer-Encoding: 8bit\n\npré\n--b\n\nplain\n--b\nContent-Type: text/html\n\nü\n--b--\n",
			mime + "Content-Type: multipart/mixed; boundary=\"b\"\nContent-Transfer-Encoding: 7bit\n\npr??\n--b\n\nplain\n--b\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n--b--\n"},
		{"attached message", mime + "Content-Type: message/rfc822\n\nSubject: y\n" + text + "\nö\n",
			mime + "Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nSubject: y\n" + text + mime + qp + "\n=C3=B6\n"},
		{"attached international message", mime + "Content-Type: message/global\n\nSubject: ö\n",
			mime + "Content-Type: message/global\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogw7YNCg==\n"},
		{"8-bit header", "Subject: ä\n\nx\n", ""},
		{"signed", "Content-Type: multipart/signed; boundary=b\n\n--b\n\nä\n--b--\n", ""},
		{"says base64, is not", "Content-Transfer-Encoding: base64\n\nä\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := to7Bit([]byte(crlf(tt.in)))
			if tt.want == "" {
				if !errors.Is(err, errNotEncodable) {
					t.Errorf("got %q, %v; want a refusal", got, err)
				}
				return
			}
			if err != nil || string(got) != crlf(tt.want) {
				t.Errorf("got %q, %v\nwant %q", got, err, crlf(tt.want))
			}
		})
	}
}

// FuzzTo7Bit: what comes out can always be sent as it is, and re-encoding it again
// changes nothing.
func FuzzTo7Bit(f *testing.F) {
	f.Add("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xe4\r\n--b--\r\n")
	f.Add("\r\n\r\n\x00\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		out, err := to7Bit([]byte(in))
		if err != nil {
			return
		}
		if !ascii(out) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
