package sender

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"facteur/storage/message"
)

// TestEspoofer runs the folder of forgeries, most of them of the espoofer research (Chen, Paxson, Jiang: "Composition
// Kills", 2020). A case is a folder with
//
//	in.eml    the message, octet for octet
//	zone      what DNS says, beside the zone file one folder up
//	envelope  ip, helo and from of the SMTP session
//	want      what the Verdict has to say, and what the MX makes of it
//	why.txt   what the forger is after
//
// so that adding one needs no Go. The private keys behind the signatures are gone: a new case that needs a
// signature brings the record of its own key in its zone.
func TestEspoofer(t *testing.T) {
	cases, err := filepath.Glob("testdata/espoofer/[0-9]*")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	common := readCase(t, "testdata/espoofer/zone")
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			if why := readCase(t, filepath.Join(dir, "why.txt")); len(why) < 20 {
				t.Error("why.txt says nothing")
			}
			v := testVerifier(t, common+readCase(t, filepath.Join(dir, "zone")))
			got, err := v.Verify(t.Context(), caseParams(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			checkWant(t, readCase(t, filepath.Join(dir, "want")), got)
		})
	}
}

func readCase(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func caseParams(t testing.TB, dir string) Params {
	t.Helper()
	mail := []byte(readCase(t, filepath.Join(dir, "in.eml")))
	header, body := mail, []byte(nil)
	if i := bytes.Index(mail, []byte("\r\n\r\n")); i >= 0 {
		header, body = mail[:i+4], mail[i+4:]
	}
	p := Params{Header: header, Body: bytes.NewReader(body)}
	for line := range strings.Lines(readCase(t, filepath.Join(dir, "envelope"))) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch key {
		case "ip":
			p.IP, err = netip.ParseAddr(value)
		case "helo":
			p.Helo = value
		case "from":
			if value != "" {
				p.MailFrom, err = message.ParseAddrSpec(value)
			}
		default:
			t.Fatalf("envelope: %q", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// checkWant compares the lines of a want file: each a word and the beginning of what it has to be.
func checkWant(t *testing.T, want string, v *Verdict) {
	t.Helper()
	var dkim []string
	for _, d := range v.DKIM {
		dkim = append(dkim, strings.TrimSpace(d.Result+" "+d.Domain))
	}
	got := map[string]string{
		"spf": v.SPF.Result, "helo": v.Helo.Result, "dkim": strings.Join(dkim, ", "), "dmarc": v.DMARC.Result, "arc": v.ARC.Result,
		"from": v.From, "fault": v.Fault, "policy": v.DMARC.Policy,
	}
	for line := range strings.Lines(want) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == "disposition" || key == "reply" {
			continue // are the MX's: cmd/facteur plays every case against it
		}
		text, known := got[key]
		if !known {
			t.Fatalf("want: %q", line)
		}
		if !strings.HasPrefix(text, value) || value == "" && text != "" {
			t.Errorf("want %s %q, got %q", key, value, text)
		}
	}
	if t.Failed() {
		t.Logf("%s", v.Field)
	}
}
