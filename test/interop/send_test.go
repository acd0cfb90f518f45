package interop

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestSwaks(t *testing.T) {
	need(t, "swaks")
	d := startDemo(t)
	d.program("", "swaks", "--server", d.addr(2525), "--from", "friend@elsewhere.test", "--to", "bob@demo.test", "--header", "Subject: swaks to the MX")
	got := d.waitMessage("bob@demo.test", "INBOX", "swaks to the MX")
	contains(t, "the stored message", got, "Return-Path: <friend@elsewhere.test>", "Received: from ", "Delivered-To: bob@demo.test")

	for _, auth := range []string{"PLAIN", "LOGIN"} {
		subject := "swaks with " + auth
		d.program("", "swaks", "--server", d.addr(2587), "--tls", "--auth", auth, "--auth-user", "bob@demo.test", "--auth-password", password,
			"--from", "bob@demo.test", "--to", "someone@elsewhere.test", "--header", "Subject: "+subject)
		got := d.waitMessage("alice@demo.test", "Sink", subject)
		if n := strings.Count(got, "DKIM-Signature:"); n != 2 {
			t.Errorf("the sent message has %d DKIM signatures, not 2:\n%s", n, got)
		}
		if strings.Contains(got, "127.0.0.1") {
			t.Errorf("the sent message shows the client's address:\n%s", got)
		}
	}
}

func TestCurl(t *testing.T) {
	need(t, "curl")
	d := startDemo(t)
	// As an editor leaves it: curl sends the LFs as they are.
	text := mail("bob@demo.test", "someone@elsewhere.test", "by curl", "Hello from curl.\r\n.\r\nMore.")
	file := write(t, filepath.Join(t.TempDir(), "mail"), strings.ReplaceAll(text, "\r\n", "\n"))
	d.program("", "curl", "-sS", "--ssl-reqd", "--cacert", d.ca, "smtp://localhost:"+d.port(2587)+"/client.demo.test", "--user", "bob@demo.test:"+password,
		"--mail-from", "bob@demo.test", "--mail-rcpt", "someone@elsewhere.test", "--upload-file", file)
	contains(t, "the sent message", d.waitMessage("alice@demo.test", "Sink", "by curl"), "Subject: by curl\r\n", "Hello from curl.\r\n.\r\nMore.\r\n")

	d.append("bob@demo.test", "INBOX", mail("friend@elsewhere.test", "bob@demo.test", "for curl", "Read me with curl."))
	out := d.program("", "curl", "-sS", "--cacert", d.ca, "imaps://localhost:"+d.port(2993)+"/INBOX;MAILINDEX=1", "--user", "bob@demo.test:"+password)
	contains(t, "what curl fetched", out, "Subject: for curl", "Read me with curl.")
	out = d.program("", "curl", "-sS", "--cacert", d.ca, "imaps://localhost:"+d.port(2993)+"/", "--user", "bob@demo.test:"+password)
	contains(t, "curl's list", out, "INBOX", `\Sent`, "Drafts", "Archive")
	out = d.program("", "curl", "-sS", "--ssl-reqd", "--cacert", d.ca, "pop3://localhost:"+d.port(2110)+"/1", "--user", "bob@demo.test:"+password)
	contains(t, "what curl fetched by POP3", out, "Subject: for curl")
}

func TestMsmtp(t *testing.T) {
	need(t, "msmtp")
	d := startDemo(t)
	for _, c := range []struct{ name, port, starttls string }{{"STARTTLS", d.port(2587), "on"}, {"implicit TLS", d.port(2465), "off"}} {
		conf := write(t, filepath.Join(t.TempDir(), "msmtprc"), "account default\nhost localhost\nport "+c.port+"\nfrom bob@demo.test\nauth on\nuser bob@demo.test\npassword "+password+
			"\ntls on\ntls_starttls "+c.starttls+"\ntls_trust_file "+d.ca+"\n")
		subject := "msmtp over " + c.name
		d.program(mail("bob@demo.test", "someone@elsewhere.test", subject, "Hello."), "msmtp", "-C", conf, "someone@elsewhere.test")
		d.waitMessage("alice@demo.test", "Sink", subject)
	}
}

func TestPython(t *testing.T) {
	need(t, "python3")
	d := startDemo(t)
	out := d.program("", "python3", "testdata/client.py", d.ca, d.port(2587), d.port(2993))
	contains(t, "the script's last words", out, "all good")
}

func TestNode(t *testing.T) {
	need(t, "node")
	if !exists("node/node_modules/imapflow") {
		t.Skip("npm's imapflow is not installed; make test installs it with npm ci in test/interop/node")
	}
	d := startDemo(t)
	out := d.program("", "node", "node/client.js", d.ca, d.port(2587), d.port(2993))
	contains(t, "the script's last words", out, "all good")
}
