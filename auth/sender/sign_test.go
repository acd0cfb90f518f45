package sender

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"facteur/mta/dns"
)

func testKeyring(t testing.TB) *Keyring {
	t.Helper()
	kr, err := OpenKeyring(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []Algorithm{RSA, Ed25519} {
		if _, err := kr.Add("example.org", "", alg); err != nil {
			t.Fatal(err)
		}
	}
	return kr
}

// records answers the library's own verifier from a keyring.
func records(kr *Keyring) *dkim.VerifyOptions {
	return &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		for _, k := range kr.List("") {
			if k.Name() == name {
				return []string{k.Record}, nil
			}
		}
		return nil, errors.New("no such name: " + name)
	}}
}

// zoneLine is a key's record as a zone has it.
func zoneLine(k Key) string { return k.Name() + ". IN TXT " + dns.QuoteText(k.Record) }

func TestSignVerifiesWithTheLibraryAndWithUs(t *testing.T) {
	kr := testKeyring(t)
	zone := ""
	for _, k := range kr.List("") {
		zone += zoneLine(k) + "\n"
	}
	header := "From : Alice\t<alice@example.org>\r\nSubject:  folded\r\n\t \r\n  text \r\nTo: bob@example.net\r\nX-Other: not signed\r\n\r\n"
	for name, body := range map[string]string{
		"text":           "Hello,\r\n\r\n  blanks \t  at the end \t\r\n\r\n\r\n",
		"empty":          "",
		"no last CRLF":   "Hello",
		"one empty line": "\r\n",
		"large":          strings.Repeat("0123456789 abcdef\r\n", 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := kr.Sign("example.org", []byte(header), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			verified, err := dkim.VerifyWithOptions(strings.NewReader(string(lines)+header+body), records(kr))
			if err != nil || len(verified) != 2 {
				t.Fatalf("%v, %v", verified, err)
			}
			for _, v := range verified {
				if v.Err != nil {
					t.Errorf("%+v: %v\n%s", v, v.Err, lines)
				}
			}
			for _, d := range verifyMail(t, zone, string(lines)+strings.TrimSuffix(header, "\r\n"), body).DKIM {
				if d.Result != ResultPass {
					t.Errorf("%+v", d)
				}
			}
			for line := range strings.SplitSeq(string(lines), "\r\n") {
				if len(line) > 78 { // RFC 5322 2.1.1
					t.Errorf("a line of %d octets", len(line))
				}
			}
		})
	}
}

func TestSignatureBreaksWhenAFieldIsAdded(t *testing.T) {
	kr := testKeyring(t)
	const header = "From: alice@example.org\r\nTo: bob@example.net\r\nX-Other: x\r\n"
	lines, err := kr.Sign("example.org", []byte(header), strings.NewReader("Hello\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range signedFields {
		for _, more := range []string{name + ": x\r\n" + header, header + name + ": x\r\n"} {
			verified, err := dkim.VerifyWithOptions(strings.NewReader(string(lines)+more+"\r\nHello\r\n"), records(kr))
			if err != nil || len(verified) != 2 {
				t.Fatalf("%v, %v", verified, err)
			}
			for _, v := range verified {
				if v.Err == nil {
					t.Errorf("verifies with one more %s", name)
				}
			}
		}
	}
}

func TestSignWithoutKeys(t *testing.T) {
	kr := testKeyring(t)
	lines, err := kr.Sign("example.net", []byte("From: a@example.net\r\n"), strings.NewReader(""))
	if err != nil || lines != nil {
		t.Errorf("%q, %v", lines, err)
	}
	_, err = kr.Sign("example.org", []byte(strings.Repeat("To: a@example.net\r\n", 1000)), strings.NewReader(""))
	if !errors.Is(err, ErrTooManyFields) {
		t.Errorf("a thousand To: %v", err)
	}
}

func TestFoldedHeaderIsSignedInLinearTime(t *testing.T) {
	kr := testKeyring(t)
	// 256 KiB of folds took the library alone 14 s; what stands here would take minutes.
	header := "From: a@example.org\r\nSubject: x" + strings.Repeat("\r\n y", 500_000) + "\r\n"
	if _, err := kr.Sign("example.org", []byte(header), strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
}

func TestKeyringOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dkim")
	kr, err := OpenKeyring(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := kr.Add("example.org", "one", RSA)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kr.Add("example.org", "one", Ed25519); !errors.Is(err, ErrKeyTaken) {
		t.Errorf("the same selector twice: %v", err)
	}
	for _, bad := range [][2]string{{"../x", "s"}, {"example.org", "a/b"}, {"example.org", ".."}, {"", "s"}, {"a b.org", "s"}} {
		if _, err := kr.Add(bad[0], bad[1], Ed25519); !errors.Is(err, ErrKeyName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	edKey, err := kr.Add("example.org", "two", Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "example.org", "one.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	again, err := OpenKeyring(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := again.List("example.org")
	if len(list) != 2 || list[0].Record != rsaKey.Record || list[1].Record != edKey.Record || list[0].Bits != 2048 ||
		!list[0].Since.Equal(rsaKey.Since) {
		t.Errorf("%+v", list)
	}
	zone, err := dns.NewZone(zoneLine(list[0]) + "\n" + zoneLine(list[1]))
	if err != nil {
		t.Fatal(err)
	}
	resolver, _ := dns.New(dns.Config{Zone: zone})
	if a, err := resolver.TXT(t.Context(), "one._domainkey.example.org"); err != nil || a.Records[0] != rsaKey.Record {
		t.Errorf("the record in the zone: %v, %v", a, err)
	}
	if err := again.Remove("example.org", "one"); err != nil {
		t.Fatal(err)
	}
	if err := again.Remove("example.org", "one"); !errors.Is(err, ErrNoKey) {
		t.Errorf("removed twice: %v", err)
	}
	if kr, err := OpenKeyring(dir, nil); err != nil || len(kr.List("")) != 1 {
		t.Errorf("%v", err)
	}
}

func TestRotation(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	kr, err := OpenKeyring(dir, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []Algorithm{RSA, Ed25519} {
		if _, err := kr.Add("example.org", "", alg); err != nil {
			t.Fatal(err)
		}
	}
	zone, _ := dns.NewZone("")
	resolver, _ := dns.New(dns.Config{Zone: zone})
	want := func(step string, states ...string) {
		t.Helper()
		if reopened, err := OpenKeyring(dir, nil); err != nil || !slices.Equal(states, statesOf(reopened)) {
			t.Errorf("%s, on disk: %v, %v", step, statesOf(reopened), err)
		}
		if got := statesOf(kr); !slices.Equal(got, states) {
			t.Errorf("%s: got %v, want %v", step, got, states)
		}
	}
	advance := func() {
		t.Helper()
		if _, err := kr.Advance(t.Context(), resolver); err != nil {
			t.Error(err)
		}
	}
	added, err := kr.Rotate("example.org")
	if err != nil || len(added) != 2 {
		t.Fatalf("%v, %v", added, err)
	}
	if twice, err := kr.Rotate("example.org"); err != nil || len(twice) != 0 {
		t.Errorf("rotated again while keys wait: %v, %v", twice, err)
	}
	want("rotated", "ed20261122 active", "ed20261122b waiting", "rsa20261122 active", "rsa20261122b waiting")
	advance()
	want("not in DNS yet", "ed20261122 active", "ed20261122b waiting", "rsa20261122 active", "rsa20261122b waiting")
	zone.Load(zoneLine(added[slices.IndexFunc(added, func(k Key) bool { return k.Algorithm == RSA })]))
	advance()
	want("one in DNS", "ed20261122 active", "ed20261122b waiting", "rsa20261122 retired", "rsa20261122b active")
	lines, err := kr.Sign("example.org", []byte("From: a@example.org\r\n"), bytes.NewReader(nil))
	if err != nil || !strings.Contains(string(lines), "s=rsa20261122b;") || strings.Contains(string(lines), "s=rsa20261122;") {
		t.Errorf("%s, %v", lines, err)
	}
	now = now.Add(7*24*time.Hour - time.Minute)
	advance()
	want("almost a week later", "ed20261122 active", "ed20261122b waiting", "rsa20261122 retired", "rsa20261122b active")
	now = now.Add(time.Minute)
	advance()
	want("a week later", "ed20261122 active", "ed20261122b waiting", "rsa20261122b active")
	if _, err := kr.Rotate("example.net"); !errors.Is(err, ErrNoKey) {
		t.Errorf("nothing to rotate: %v", err)
	}
	zone.Load(";! servfail ed20261122b._domainkey.example.org")
	if _, err := kr.Advance(t.Context(), resolver); !dns.IsTemporary(err) {
		t.Errorf("DNS fails: %v", err)
	}
}

func statesOf(kr *Keyring) []string {
	var states []string
	for _, k := range kr.List("") {
		states = append(states, k.Selector+" "+string(k.State))
	}
	return states
}

func BenchmarkSign(b *testing.B) {
	kr := testKeyring(b)
	body := strings.Repeat("0123456789 abcdef\r\n", 500)
	for b.Loop() {
		if _, err := kr.Sign("example.org", []byte("From: a@example.org\r\nTo: b@example.net\r\n\r\n"), strings.NewReader(body)); err != nil {
			b.Fatal(err)
		}
	}
}
