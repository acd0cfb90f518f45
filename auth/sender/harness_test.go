package sender

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/mta/dns"
	"facteur/storage/message"
)

// testNow is when the tests take place.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// testKeys are made once for all tests.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := make(map[string]crypto.Signer)
	for name, bits := range map[string]int{"rsa": 2048, "rsa1024": 1024} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		keys[name] = key
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys["ed"] = ed
	return keys
})

// keyData is the p= of a test key.
func keyData(t testing.TB, name string) string {
	t.Helper()
	key, err := newSigningKey("d", "s", testKeys()[name])
	if err != nil {
		t.Fatal(err)
	}
	_, data, _ := strings.Cut(key.Record, "p=")
	return data
}

// keyRecord is a TXT record for a zone; text may be longer than a string of it.
func keyRecord(name, text string) string {
	line := name + ". IN TXT"
	for len(text) > 200 {
		line += ` "` + text[:200] + `"`
		text = text[200:]
	}
	return line + ` "` + strings.ReplaceAll(text, "\t", `\009`) + `"` + "\n"
}

// signWith makes a signature field of any shape: "bh=?" and "b=?" in tags are filled in. It is a part of the
// verifier turned round; that both are right is shown against the library.
func signWith(t testing.TB, key, name, tags, header, body string) string {
	t.Helper()
	probe := parseSignature(newField([]byte(name+": "+strings.Replace(strings.Replace(tags, "bh=?", "bh=AA==", 1), "b=?", "b=AA==", 1)+"\r\n")), 0)
	sums, err := hashBodies(strings.NewReader(body), []bodySpec{probe.body})
	if err != nil {
		t.Fatal(err)
	}
	sum := sums[probe.body].sum
	tags = strings.Replace(tags, "bh=?", "bh="+base64.StdEncoding.EncodeToString(sum[:]), 1)
	unsigned := name + ": " + strings.Replace(tags, "b=?", "b=", 1) + "\r\n"
	m := newMail([]byte(unsigned + header))
	list, _ := parseTags(string(m.fields[0].value())) // a case may be about that
	b := base64.StdEncoding.EncodeToString(signDigest(t, key, m.digest(&signature{field: 0, tags: list, relaxed: probe.relaxed, names: probe.names})))
	return name + ": " + strings.Replace(tags, "b=?", "b="+b, 1) + "\r\n"
}

func signDigest(t testing.TB, key string, digest []byte) []byte {
	t.Helper()
	signer := testKeys()[key]
	opts := crypto.SignerOpts(crypto.SHA256)
	if _, ok := signer.(ed25519.PrivateKey); ok {
		opts = crypto.Hash(0)
	}
	sig, err := signer.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// verifyMail runs the whole Verifier over a message with a zone.
func verifyMail(t testing.TB, zone, header, body string) *Verdict {
	t.Helper()
	v := testVerifier(t, zone)
	verdict, err := v.Verify(t.Context(), testParams(header, body))
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func testVerifier(t testing.TB, zone string) *Verifier {
	t.Helper()
	z, err := dns.NewZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := dns.New(dns.Config{Zone: z, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return &Verifier{Resolver: resolver, Hostname: "mx.example.net", Now: func() time.Time { return testNow }}
}

func testParams(header, body string) Params {
	return Params{
		IP:       netip.MustParseAddr("192.0.2.1"),
		Helo:     "mail.example.org",
		MailFrom: message.AddrSpec{Local: "alice", Domain: "example.org"},
		Header:   []byte(header + "\r\n"),
		Body:     strings.NewReader(body),
	}
}

// sealed puts one more ARC set on top of a header.
func sealed(t testing.TB, instance, domain, cv, results, header, body string) string {
	t.Helper()
	aar := "ARC-Authentication-Results: i=" + instance + "; " + results + "\r\n"
	ams := signARC(t, "i="+instance+"; a=rsa-sha256; c=relaxed/relaxed; d="+domain+"; s=arc; h=from:to:subject; bh=?; b=?", header, body)
	return addSeal(t, "i="+instance+"; a=rsa-sha256; cv="+cv+"; d="+domain+"; s=arc; b=?", ams+aar+header)
}

func signARC(t testing.TB, tags, header, body string) string {
	t.Helper()
	return signWith(t, "rsa", "ARC-Message-Signature", tags, header, body)
}

// addSeal seals the sets in header, the newest of which has no seal yet.
func addSeal(t testing.TB, tags, header string) string {
	t.Helper()
	unsigned := "ARC-Seal: " + strings.Replace(tags, "b=?", "b=", 1) + "\r\n"
	m := newMail([]byte(unsigned + header))
	h := sha256.New()
	var canon [][]byte
	for _, f := range m.fields {
		if strings.HasPrefix(f.name, "arc-") {
			canon = append(canon, appendRelaxed(nil, f))
		}
	}
	// From the bottom: sets are seal, signature, results from the top down.
	for i := len(canon) - 1; i >= 0; i-- {
		if i == 0 {
			canon[i] = bytes.TrimSuffix(canon[i], crlf)
		}
		h.Write(canon[i])
	}
	b := base64.StdEncoding.EncodeToString(signDigest(t, "rsa", h.Sum(nil)))
	return "ARC-Seal: " + strings.Replace(tags, "b=?", "b="+b, 1) + "\r\n" + header
}
