package peers

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"facteur/mta/dns"
	"facteur/test/debian"
	"facteur/test/loopback"
)

// dkimSession is a private root with the two programs; it shares a folder with the test, which holds the scripts.
func dkimSession(t *testing.T) (s *debian.Session, dir string) {
	t.Helper()
	root := loopback.Debian(t, "opendkim", "python3-dkim", "python3-nacl")
	dir = t.TempDir()
	var err error
	if s, err = root.NewSession(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sign.py", "verify.py"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(text))
	}
	return s, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shell runs a script in the shared folder.
func shell(t *testing.T, s *debian.Session, dir, script string) string {
	t.Helper()
	out, err := s.Command(t.Context(), "sh", "-ec", "cd "+dir+"\n"+script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestTheyVerifyOurSignatures: both signatures of a message that bob sent, as it arrived.
func TestTheyVerifyOurSignatures(t *testing.T) {
	s, dir := dkimSession(t)
	bin := loopback.Build(t)
	d, data := newDemo(t, bin, t.TempDir())
	d.submit(t, "someone@elsewhere.test", "From: Bob <bob@demo.test>\r\nTo: someone@elsewhere.test\r\nSubject: a  long\r\n\tfolded subject \r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\ntwo  blanks \r\n.dot\r\n\r\n\r\n", nil)
	msg := d.wait(t, "alice@demo.test", "Sink", "a  long\r\n\tfolded subject ")
	write(t, filepath.Join(dir, "message"), msg)

	out, err := exec.Command(bin, "dkim", "list", "demo.test", "--json", "--data", data).Output()
	if err != nil {
		t.Fatalf("dkim list: %v", err)
	}
	var keys []struct{ Selector, Record string }
	if err := json.Unmarshal(out, &keys); err != nil {
		t.Fatal(err)
	}
	var records strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&records, "%s._domainkey.demo.test %s\n", k.Selector, k.Record)
	}
	write(t, filepath.Join(dir, "records"), records.String())
	write(t, filepath.Join(dir, "conf"), "Mode v\nTestDNSData file:"+dir+"/records\n")
	said := shell(t, s, dir, "/usr/bin/python3 verify.py message records; opendkim -x conf -v -t message")
	for _, want := range []string{"python3-dkim rsa-sha256 pass", "python3-dkim ed25519-sha256 pass", "d=demo.test, 2048-bit key) succeeded"} {
		if !strings.Contains(said, want) {
			t.Errorf("they did not say %q:\n%s", want, said)
		}
	}
}

// TestWeVerifyTheirSignatures: python3-dkim in every way it knows, and opendkim.
func TestWeVerifyTheirSignatures(t *testing.T) {
	s, dir := dkimSession(t)
	bin := loopback.Build(t)
	zone := writeKeys(t, dir)
	// The folds and blanks are what the two canonicalizations differ in. (Not two blanks after a colon: opendkim never
	// sees them.)
	write(t, filepath.Join(dir, "message"), "From: Ann <ann@signed.test>\r\nTo: bob@demo.test\r\nSubject: two  blanks \r\n and a\r\n\tfold\r\n"+
		"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@signed.test>\r\n\r\ntwo  blanks \r\n\r\n.dot\r\n\r\n\r\n")
	shell(t, s, dir, `for how in simple relaxed; do
	/usr/bin/python3 sign.py message rsa.pem rsa rsa-sha256 $how >python-rsa-$how
	/usr/bin/python3 sign.py message ed25519.key ed ed25519-sha256 $how >python-ed25519-$how
done
for how in simple relaxed; do
	printf '%s\n' 'Mode s' 'RequireSafeKeys no' 'Domain signed.test' 'Selector rsa' "KeyFile $PWD/rsa.pem" 'SignatureAlgorithm rsa-sha256' "Canonicalization $how/$how" >conf
	opendkim -x conf -vv -t message >said-$how 2>/dev/null
done`)
	for _, how := range []string{"simple", "relaxed"} {
		addField(t, dir, "said-"+how, "opendkim-rsa-"+how)
	}
	server := dns.TestServer(t, zone)
	for _, name := range []string{"python-rsa-simple", "python-rsa-relaxed", "python-ed25519-simple", "python-ed25519-relaxed", "opendkim-rsa-simple", "opendkim-rsa-relaxed"} {
		out, err := exec.Command(bin, "check", filepath.Join(dir, name), "--ip", "192.0.2.1", "--from", "ann@signed.test", "--helo", "mail.signed.test",
			"--dns", server.String(), "--json").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
			continue
		}
		var verdict struct {
			DKIM []struct{ Result, Domain, Algorithm, Reason string }
		}
		if err := json.Unmarshal(out, &verdict); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if len(verdict.DKIM) != 1 || verdict.DKIM[0].Result != "pass" || verdict.DKIM[0].Domain != "signed.test" {
			t.Errorf("%s: %+v", name, verdict.DKIM)
			continue
		}
		if algorithm := verdict.DKIM[0].Algorithm; strings.Contains(name, "ed25519") != strings.HasPrefix(algorithm, "ed25519") {
			t.Errorf("%s is signed with %s", name, algorithm)
		}
	}
}

// addField puts the field that opendkim said its MTA should add on top of the message.
func addField(t *testing.T, dir, said, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, said))
	if err != nil {
		t.Fatal(err)
	}
	_, value, ok := strings.Cut(string(text), "hname='DKIM-Signature' hvalue='")
	value, _, end := strings.Cut(value, "'\n")
	if !ok || !end {
		t.Fatalf("opendkim made no signature:\n%s", text)
	}
	message, err := os.ReadFile(filepath.Join(dir, "message"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, to), "DKIM-Signature: "+strings.ReplaceAll(value, "\n", "\r\n")+"\r\n"+string(message))
}

// writeKeys makes rsa.pem and ed25519.key, and returns the zone with their records.
func writeKeys(t *testing.T, dir string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rsa.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ed25519.key"), base64.StdEncoding.EncodeToString(edKey.Seed()))
	p := base64.StdEncoding.EncodeToString(public)
	return fmt.Sprintf("rsa._domainkey.signed.test. 300 IN TXT \"v=DKIM1; k=rsa; p=%s\" \"%s\"\ned._domainkey.signed.test. 300 IN TXT \"v=DKIM1; k=ed25519; p=%s\"\n",
		p[:200], p[200:], base64.StdEncoding.EncodeToString(edPublic))
}
