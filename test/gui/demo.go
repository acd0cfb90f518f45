package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	alice    = "alice@demo.test"
	bob      = "bob@demo.test"
	password = "facteur"
)

// demo is a running "facteur demo".
type demo struct {
	bin   string
	ca    string // its CA certificate's file
	shift int
	cmd   *exec.Cmd
}

func startDemo(ctx context.Context, dir string) (*demo, error) {
	d := &demo{bin: filepath.Join(dir, "facteur"), ca: filepath.Join(dir, "data", "ca.pem")}
	build := exec.CommandContext(ctx, "go", "build", "-tags", "sqlite_fts5", "-o", d.bin, "facteur/cmd/facteur")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	imaps, err := freePort()
	if err != nil {
		return nil, err
	}
	d.shift = imaps - 2993
	log, err := os.Create(filepath.Join(dir, "facteur.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd = exec.CommandContext(ctx, d.bin, "demo", "--dir", filepath.Join(dir, "data"), "--shift", fmt.Sprint(d.shift))
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	if err := wait(ctx, "the demo", d.fill); err != nil {
		d.stop()
		return nil, fmt.Errorf("%w; see %s", err, log.Name())
	}
	return d, nil
}

func (d *demo) stop() {
	end(d.cmd)
	_ = os.Remove(d.bin)
}

func (d *demo) port(port int) int { return port + d.shift }

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// fill gives bob a mailbox with a name beyond ASCII and an INBOX with a conversation, a letter in
// HTML with a picture, and some others.
func (d *demo) fill() (bool, error) {
	c, err := d.imap(bob)
	if err != nil {
		return false, err
	}
	defer c.Close()
	for _, name := range []string{"Projets", "Projets/Été"} { // both programs list what is subscribed
		if err := c.Create(name, nil).Wait(); err != nil {
			return false, err
		}
		if err := c.Subscribe(name).Wait(); err != nil {
			return false, err
		}
	}
	for i, msg := range letters() {
		at := time.Date(2026, 11, 20, 9, i, 0, 0, time.UTC)
		cmd := c.Append("INBOX", int64(len(msg)), &imap.AppendOptions{Time: at})
		if _, err := cmd.Write([]byte(msg)); err != nil {
			return false, err
		}
		if err := cmd.Close(); err != nil {
			return false, err
		}
		if _, err := cmd.Wait(); err != nil {
			return false, err
		}
	}
	return true, nil
}

func letters() []string {
	list := []string{
		letter(1, "Plans for the garden", "", "text/plain; charset=utf-8", "Shall we plant the apple trees this week?"),
		letter(2, "Re: Plans for the garden", "<gui1@elsewhere.test>", "text/plain; charset=utf-8", "Yes, and the quince too."),
		letter(3, "Re: Plans for the garden", "<gui1@elsewhere.test> <gui2@elsewhere.test>", "text/plain; charset=utf-8", "The soil is frozen until Thursday."),
		letter(4, "=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_Z=C3=BCrich?=", "", "multipart/mixed; boundary=b", strings.Join([]string{
			"--b", "Content-Type: text/html; charset=utf-8", "", "<p>Hello <b>Bob</b>, a picture of the Jura for you: ☃</p>",
			"--b", "Content-Type: image/png; name=dot.png", "Content-Disposition: attachment; filename=dot.png", "Content-Transfer-Encoding: base64", "",
			"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "--b--"}, "\r\n")),
	}
	for i := 5; i <= 40; i++ {
		list = append(list, letter(i, fmt.Sprintf("Letter %d", i), "", "text/plain; charset=utf-8", fmt.Sprintf("This is letter number %d.", i)))
	}
	return list
}

func letter(n int, subject, references, contentType, body string) string {
	if references != "" {
		references = "References: " + references + "\r\n"
	}
	date := time.Date(2026, 11, 20, 9, n, 0, 0, time.UTC).Format(time.RFC1123Z)
	return fmt.Sprintf("From: Carol <carol@elsewhere.test>\r\nTo: Bob <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <gui%d@elsewhere.test>\r\n%s"+
		"MIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n%s\r\n", bob, subject, date, n, references, contentType, body)
}

// imap logs in with the go-imap client, which knows nothing of our engine.
func (d *demo) imap(user string) (*imapclient.Client, error) {
	pem, err := os.ReadFile(d.ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := imapclient.DialTLS(fmt.Sprintf("127.0.0.1:%d", d.port(2993)), &imapclient.Options{TLSConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}})
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, password).Wait(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// message is what the server says of one.
type message struct {
	flags []imap.Flag
	text  string
}

// find returns the messages of a mailbox with this subject.
func (d *demo) find(user, mailbox, subject string) ([]message, error) {
	c, err := d.imap(user)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return nil, err
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}}}, nil).Wait()
	if err != nil || len(found.AllUIDs()) == 0 {
		return nil, err
	}
	all := &imap.FetchItemBodySection{Peek: true}
	list, err := c.Fetch(imap.UIDSetNum(found.AllUIDs()...), &imap.FetchOptions{Flags: true, BodySection: []*imap.FetchItemBodySection{all}}).Collect()
	var messages []message
	for _, m := range list {
		messages = append(messages, message{m.Flags, string(m.FindBodySection(all))})
	}
	return messages, err
}

// waitFor waits until a mailbox holds exactly one message with the subject, which pleases.
func (d *demo) waitFor(ctx context.Context, user, mailbox, subject string, pleases func(message) bool) error {
	return wait(ctx, fmt.Sprintf("%q in %s of %s", subject, mailbox, user), func() (bool, error) {
		list, err := d.find(user, mailbox, subject)
		return err == nil && len(list) == 1 && pleases(list[0]), err
	})
}

// waitGone waits until a mailbox has no message with the subject.
func (d *demo) waitGone(ctx context.Context, user, mailbox, subject string) error {
	return wait(ctx, fmt.Sprintf("%q to leave %s of %s", subject, mailbox, user), func() (bool, error) {
		list, err := d.find(user, mailbox, subject)
		return err == nil && len(list) == 0, err
	})
}

func anything(message) bool { return true }
func seen(m message) bool   { return slices.Contains(m.flags, imap.FlagSeen) }
func saying(text string) func(message) bool {
	return func(m message) bool { return strings.Contains(m.text, text) }
}

// send brings a message from elsewhere to the demo's MX.
func (d *demo) send(ctx context.Context, subject string) error {
	cmd := exec.CommandContext(ctx, d.bin, "send", "--server", fmt.Sprintf("127.0.0.1:%d", d.port(2525)),
		"--from", "carol@elsewhere.test", "--to", bob, "--subject", subject)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("facteur send: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
