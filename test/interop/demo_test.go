// Package interop runs real mail programs against "facteur demo", as their users would: Debian's
// swaks, curl, msmtp, mbsync and neomutt, Python's smtplib and imaplib, npm's imapflow and nodemailer.
// A program that is not installed skips its test and says so; "make test" as root installs them all.
package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"facteur/test/loopback"
)

func TestMain(m *testing.M) { loopback.Main(m) }

const password = "facteur"

// demo is a running "facteur demo".
type demo struct {
	t      *testing.T
	bin    string
	dir    string // its data folder
	ca     string // its CA certificate, PEM
	cmd    *exec.Cmd
	args   []string
	output bytes.Buffer
	shift  int
}

func startDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	d := &demo{t: t, bin: loopback.Build(t), dir: filepath.Join(t.TempDir(), "data")}
	d.shift = loopback.Shift(t)
	d.ca = filepath.Join(d.dir, "ca.pem")
	d.args = append([]string{"demo", "--dir", d.dir, "--shift", fmt.Sprint(d.shift)}, args...)
	d.start()
	t.Cleanup(d.stop)
	return d
}

func (d *demo) start() {
	d.t.Helper()
	d.cmd = exec.Command(d.bin, d.args...)
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := d.greeted()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			d.stop()
			d.t.Fatalf("the demo did not start: %v\n%s", err, d.output.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// greeted reports whether the demo serves: its sockets accept before it has made its certificates.
func (d *demo) greeted() error {
	c, err := net.DialTimeout("tcp", d.addr(2143), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = c.Read(make([]byte, 1))
	return err
}

func (d *demo) stop() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("the demo ended with %v\n%s", err, d.output.String())
	} else if d.t.Failed() {
		d.t.Logf("the demo said:\n%s", d.output.String())
	}
	d.cmd = nil
}

func (d *demo) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port+d.shift) }
func (d *demo) port(port int) string { return fmt.Sprint(port + d.shift) }

func (d *demo) roots() *x509.CertPool {
	d.t.Helper()
	pem, err := os.ReadFile(d.ca)
	if err != nil {
		d.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		d.t.Fatal("ca.pem holds no certificate")
	}
	return pool
}

// imap logs in with the go-imap client, which is independent of our engine.
func (d *demo) imap(user string) *imapclient.Client {
	d.t.Helper()
	c, err := imapclient.DialTLS(d.addr(2993), &imapclient.Options{TLSConfig: &tls.Config{RootCAs: d.roots(), ServerName: "localhost"}})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	if err := c.Login(user, password).Wait(); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// waitMessage waits for a message with the subject and returns its octets.
func (d *demo) waitMessage(user, mailbox, subject string) string {
	d.t.Helper()
	c := d.imap(user)
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err == nil {
			found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}}}, nil).Wait()
			if err != nil {
				d.t.Fatal(err)
			}
			if uids := found.AllUIDs(); len(uids) > 0 {
				all := &imap.FetchItemBodySection{Peek: true}
				msgs, err := c.Fetch(imap.UIDSetNum(uids[0]), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{all}}).Collect()
				if err != nil || len(msgs) != 1 {
					d.t.Fatalf("FETCH: %v, %d messages", err, len(msgs))
				}
				return string(msgs[0].FindBodySection(all))
			}
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("no message %q in %s of %s", subject, mailbox, user)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// append puts a message into a mailbox by IMAP.
func (d *demo) append(user, mailbox, msg string) {
	d.t.Helper()
	cmd := d.imap(user).Append(mailbox, int64(len(msg)), nil)
	if _, err := io.WriteString(cmd, msg); err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		d.t.Fatal(err)
	}
	if _, err := cmd.Wait(); err != nil {
		d.t.Fatal(err)
	}
}

// mail makes a small message.
func mail(from, to, subject, body string) string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n%s\r\n", from, to, subject, body)
}

// need skips the test when a program is not installed.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed; make test as root installs it", program)
	}
}

// program runs a command with the text on its standard input; a failure ends the test with all it said.
func (d *demo) program(input string, name string, args ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "HOME="+d.t.TempDir(), "NODE_EXTRA_CA_CERTS="+d.ca)
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
