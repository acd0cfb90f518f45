// Package peers exchanges mail with the servers that rule the world, in both directions over loopback: Debian's
// Postfix, Exim and OpenSMTPD, each in a private root, and compares DKIM with opendkim and python3-dkim.
package peers

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"facteur/test/loopback"
)

func TestMain(m *testing.M) { loopback.Main(m) }

// peer is one of the servers, as the tests need it.
type peer struct {
	name     string
	domain   string
	packages []string
	files    func(p *peer) map[string]string // configuration: path and text
	start    string                          // shell: starts it and waits
	utf8     bool                            // speaks SMTPUTF8
	dsn      bool

	port int    // where it listens
	ours int    // where our MX listens
	data string // its folder; mail arrives in data/box as a Maildir
}

var all = []*peer{
	{name: "postfix", domain: "postfix.test", packages: []string{"postfix", "openssl"}, files: postfixFiles, start: postfixStart, utf8: true, dsn: true},
	{name: "exim", domain: "exim.test", packages: []string{"exim4-daemon-light", "openssl"}, files: eximFiles, start: eximStart, utf8: true, dsn: true},
	{name: "opensmtpd", domain: "opensmtpd.test", packages: []string{"opensmtpd", "openssl"}, files: opensmtpdFiles, start: opensmtpdStart},
}

func TestPeers(t *testing.T) {
	bin := loopback.Build(t)
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			d := newPair(t, bin, p)
			t.Run("to us", d.toUs)
			t.Run("from us", d.fromUs)
			if p.utf8 {
				t.Run("utf8", d.utf8)
			}
			if p.dsn {
				t.Run("success report", d.report)
			}
			t.Run("bounce", d.bounce)
			t.Run("large", d.large) // last, since the others look at all of the mailbox
		})
	}
}

// pair is a demo and a peer that know the way to each other.
type pair struct {
	p    *peer
	mx   string
	sub  string
	imap string
}

func newPair(t *testing.T, bin string, p *peer) *pair {
	t.Helper()
	root, dir := loopback.Debian(t, p.packages...), loopback.OpenDir(t)
	p.data = filepath.Join(dir, "data")
	if err := os.MkdirAll(p.data, 0o755); err != nil {
		t.Fatal(err)
	}
	shift := loopback.Shift(t)
	p.port, p.ours = loopback.Port(t), 2525+shift
	s, err := root.NewSession(dir, p.data)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range p.files(p) {
		if err := s.Write(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log := create(t, filepath.Join(p.data, "stdout"))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("sh", "-c", "tail -n 40 -v "+p.data+"/stdout "+p.data+"/*log* "+dir+"/demo.log 2>/dev/null").CombinedOutput()
			t.Logf("%s said:\n%s", p.name, out)
		}
	})
	cert := "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 -subj /CN=localhost -keyout /etc/peer.key -out /etc/peer.pem 2>/dev/null; chmod 644 /etc/peer.pem; mkdir -p $data/box; chown mail:mail $data/box\n"
	cmd := s.Command(t.Context(), "sh", "-c", "data="+p.data+"\n"+cert+p.start)
	cmd.Stdout, cmd.Stderr = log, log
	loopback.Run(t, cmd)
	d := startDemo(t, bin, dir, shift, "--route", fmt.Sprintf("%s=127.0.0.1:%d", p.domain, p.port))
	d.p = p
	waitForAnswer(t, fmt.Sprintf("127.0.0.1:%d", p.port))
	return d
}

// newDemo is a demo without a peer, and its data folder.
func newDemo(t *testing.T, bin, dir string) (*pair, string) {
	t.Helper()
	return startDemo(t, bin, dir, loopback.Shift(t)), filepath.Join(dir, "facteur")
}

func startDemo(t *testing.T, bin, dir string, shift int, args ...string) *pair {
	t.Helper()
	demo := exec.Command(bin, append([]string{"demo", "--dir", filepath.Join(dir, "facteur"), "--shift", fmt.Sprint(shift), "--plain-auth"}, args...)...)
	demo.Stderr = create(t, filepath.Join(dir, "demo.log"))
	loopback.Run(t, demo)
	d := &pair{mx: fmt.Sprintf("127.0.0.1:%d", 2525+shift), sub: fmt.Sprintf("127.0.0.1:%d", 2587+shift), imap: fmt.Sprintf("127.0.0.1:%d", 2143+shift)}
	waitForAnswer(t, d.mx)
	waitForAnswer(t, d.imap)
	return d
}

// waitForAnswer waits for a server's greeting.
func waitForAnswer(t *testing.T, addr string) {
	t.Helper()
	waitFor(t, "an answer of "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	})
}

// toUs: 8-bit text through the peer's queue to bob.
func (d *pair) toUs(t *testing.T) {
	d.inject(t, "sender@"+d.p.domain, "bob@demo.test", letter("sender@"+d.p.domain, "to us", "Gr\xc3\xbc\xc3\x9fe, 8-bit."), nil)
	msg := d.wait(t, "bob@demo.test", "INBOX", "to us")
	if !strings.Contains(msg, "Gr\xc3\xbc\xc3\x9fe, 8-bit.") {
		t.Errorf("8-bit text was changed on the way:\n%s", msg)
	}
	if !strings.Contains(msg, "TLS") {
		t.Errorf("it came without TLS:\n%s", msg)
	}
	if d.p.name == "exim" { // the one that sends with BDAT where it can
		d.waitLog(t, "log-mainlog", " => bob@demo.test ", " K C=\"250 ")
	}
}

func (d *pair) fromUs(t *testing.T) {
	d.submit(t, "someone@"+d.p.domain, letter("bob@demo.test", "from us", "Gr\xc3\xbc\xc3\x9fe, 8-bit.\r\n.\r\n..two dots"), nil)
	msg := d.box(t, "from us")
	// OpenSMTPD's handshake as a server fails on Debian 12, with openssl's client too: it gets its mail in the clear.
	if d.p.name != "opensmtpd" && !strings.Contains(strings.ToUpper(msg), "WITH ESMTPS") {
		t.Errorf("it went without TLS:\n%s", msg)
	}
	for _, want := range []string{"Gr\xc3\xbc\xc3\x9fe, 8-bit.", "\n.\n", "\n..two dots", "DKIM-Signature:"} {
		if !strings.Contains(strings.ReplaceAll(msg, "\r\n", "\n"), want) {
			t.Errorf("what arrived lacks %q:\n%s", want, msg)
		}
	}
	switch d.p.name { // those that offer CHUNKING got their dots in a chunk
	case "postfix":
		d.waitLog(t, "maillog", "disconnect from", " bdat=1 ")
	case "exim":
		d.waitLog(t, "log-mainlog", " <= bob@demo.test ", " K ")
	}
}

// waitLog waits for a line of the peer's log that holds all words.
func (d *pair) waitLog(t *testing.T, file string, words ...string) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%q in the log of %s", words, d.p.name), func() bool {
		log, err := os.ReadFile(filepath.Join(d.p.data, file))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(log)) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return true
			}
		}
		return false
	})
}

// large: nearly 50 MB both ways.
func (d *pair) large(t *testing.T) {
	body := strings.Repeat(strings.Repeat("0123456789", 7)+"\r\n", 48<<20/72)
	d.inject(t, "sender@"+d.p.domain, "bob@demo.test", letter("sender@"+d.p.domain, "large to us", body), nil)
	if msg := d.wait(t, "bob@demo.test", "INBOX", "large to us"); !strings.Contains(msg, body) {
		t.Error("the large message was changed on the way to us")
	}
	d.submit(t, "someone@"+d.p.domain, letter("bob@demo.test", "large from us", body), nil)
	if msg := d.box(t, "large from us"); !strings.Contains(strings.ReplaceAll(msg, "\r\n", "\n"), strings.ReplaceAll(body, "\r\n", "\n")) {
		t.Error("the large message was changed on the way from us")
	}
}

// utf8: an internationalized sender and header, which need SMTPUTF8 on every hop.
func (d *pair) utf8(t *testing.T) {
	from := "jos\xc3\xa9@" + d.p.domain
	d.inject(t, from, "bob@demo.test", "From: "+from+"\r\nTo: bob@demo.test\r\nSubject: utf8 to us\r\nX-Name: \xc3\xbc\r\n\r\ntext\r\n", &smtp.MailOptions{UTF8: true})
	if msg := d.wait(t, "bob@demo.test", "INBOX", "utf8 to us"); !strings.Contains(msg, "Return-Path: <"+from+">") {
		t.Errorf("the reverse-path did not come through:\n%s", msg)
	}
	d.submit(t, "\xc3\xbcber@"+d.p.domain, letter("bob@demo.test", "utf8 from us", "text"), &smtp.MailOptions{UTF8: true})
	d.box(t, "utf8 from us")
}

// report: NOTIFY=SUCCESS comes back as a report, from whoever delivers last.
func (d *pair) report(t *testing.T) {
	c := d.login(t)
	if err := c.Mail("bob@demo.test", &smtp.MailOptions{EnvelopeID: "e1"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("someone@"+d.p.domain, &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifySuccess}}); err != nil {
		t.Fatal(err)
	}
	data(t, c, letter("bob@demo.test", "with receipt", "text"))
	d.box(t, "with receipt")
	waitFor(t, "a report of success", func() bool {
		return strings.Contains(d.everything(t, "bob@demo.test"), "Action: delivered")
	})
}

// bounce: an address that the peer refuses comes back to bob as a report.
func (d *pair) bounce(t *testing.T) {
	d.submit(t, "nobody-refused@"+d.p.domain, letter("bob@demo.test", "will bounce", "text"), nil)
	waitFor(t, "a report of failure", func() bool {
		all := d.everything(t, "bob@demo.test")
		return strings.Contains(all, "Action: failed") && strings.Contains(all, "nobody-refused@"+d.p.domain)
	})
}

// inject hands a message to the peer, which relays it to us.
func (d *pair) inject(t *testing.T, from, to, msg string, opts *smtp.MailOptions) {
	t.Helper()
	c, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", d.p.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	transact(t, c, from, to, msg, opts)
}

func (d *pair) login(t *testing.T) *smtp.Client {
	t.Helper()
	c, err := smtp.DialStartTLS(d.sub, &tls.Config{InsecureSkipVerify: true}) // the demo's throw-away certificate
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Auth(sasl.NewPlainClient("", "bob@demo.test", "facteur")); err != nil {
		t.Fatal(err)
	}
	return c
}

func (d *pair) submit(t *testing.T, to, msg string, opts *smtp.MailOptions) {
	t.Helper()
	transact(t, d.login(t), "bob@demo.test", to, msg, opts)
}

func transact(t *testing.T, c *smtp.Client, from, to, msg string, opts *smtp.MailOptions) {
	t.Helper()
	if err := c.Mail(from, opts); err != nil {
		t.Fatalf("MAIL: %v", err)
	}
	if err := c.Rcpt(to, nil); err != nil {
		t.Fatalf("RCPT: %v", err)
	}
	data(t, c, msg)
}

func data(t *testing.T, c *smtp.Client, msg string) {
	t.Helper()
	w, err := c.Data()
	if err != nil {
		t.Fatalf("DATA: %v", err)
	}
	if _, err := w.Write([]byte(msg)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("end of DATA: %v", err)
	}
}

func letter(from, subject, body string) string {
	return "From: " + from + "\r\nTo: someone@example.org\r\nSubject: " + subject + "\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body + "\r\n"
}

// wait waits for a message in an account's mailbox.
func (d *pair) wait(t *testing.T, user, mailbox, subject string) string {
	t.Helper()
	var msg string
	waitFor(t, "the message "+subject, func() bool {
		for _, m := range d.messages(t, user, mailbox) {
			if strings.Contains(m, "Subject: "+subject+"\r\n") {
				msg = m
				return true
			}
		}
		return false
	})
	return msg
}

func (d *pair) everything(t *testing.T, user string) string {
	return strings.Join(d.messages(t, user, "INBOX"), "\n")
}

func (d *pair) messages(t *testing.T, user, mailbox string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", d.imap)
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	if err := c.Login(user, "facteur").Wait(); err != nil {
		t.Fatal(err)
	}
	box, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	var said *imap.Error
	if errors.As(err, &said) && said.Code == imap.ResponseCodeNonExistent {
		return nil // its first message makes it
	}
	if err != nil {
		t.Fatal(err)
	}
	if box.NumMessages == 0 {
		return nil
	}
	var set imap.SeqSet
	set.AddRange(1, 0)
	all := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(set, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{all}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range msgs {
		list = append(list, string(m.FindBodySection(all)))
	}
	return list
}

// box waits for a message in the peer's Maildir.
func (d *pair) box(t *testing.T, subject string) string {
	t.Helper()
	var msg string
	waitFor(t, "the message "+subject+" at "+d.p.name, func() bool {
		files, _ := filepath.Glob(filepath.Join(d.p.data, "box", "new", "*"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err == nil && strings.Contains(strings.ReplaceAll(string(b), "\r\n", "\n"), "Subject: "+subject+"\n") {
				msg = string(b)
				return true
			}
		}
		return false
	})
	return msg
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
