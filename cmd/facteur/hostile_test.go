package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile are messages that cost a careless reader much more than their sender: the reply they get, and the
// text. The limits are those of docs/security.md.
var hostile = []struct {
	name, reply string
	text        func(w io.Writer)
}{
	{"10,000 nested multiparts", "250", func(w io.Writer) {
		for i := range 10_000 {
			fmt.Fprintf(w, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
	}},
	{"10,000 nested messages", "250", func(w io.Writer) {
		io.WriteString(w, strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 10_000))
	}},
	{"100,000 parts", "250", func(w io.Writer) {
		io.WriteString(w, "Content-Type: multipart/mixed; boundary=b\r\n\r\n")
		io.WriteString(w, strings.Repeat("--b\r\n\r\nneedle\r\n", 100_000))
	}},
	{"100,000 parts that are messages", "250", func(w io.Writer) {
		io.WriteString(w, "Content-Type: multipart/digest; boundary=b\r\n\r\n")
		io.WriteString(w, strings.Repeat("--b\r\n\r\nSubject: x\r\nFrom: a@b\r\n\r\n", 100_000))
	}},
	{"a million fields", "552", func(w io.Writer) { io.WriteString(w, strings.Repeat("A:b\r\n", 1_000_000)) }},
	{"a million fields in a part", "250", func(w io.Writer) {
		io.WriteString(w, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"+strings.Repeat("A:b\r\n", 1_000_000)+"\r\nneedle\r\n")
	}},
	{"a line of 10 MB in the header", "552", func(w io.Writer) { fmt.Fprintf(w, "Subject: %s\r\n\r\n", strings.Repeat("x", 10_000_000)) }},
	{"a line of 10 MB in a part's header", "250", func(w io.Writer) {
		fmt.Fprintf(w, "Content-Type: message/rfc822\r\n\r\nSubject: %s\r\n\r\nneedle\r\n", strings.Repeat("x ", 5_000_000))
	}},
	{"a line of 10 MB in the body", "250", func(w io.Writer) { fmt.Fprintf(w, "\r\n%s\r\n", strings.Repeat("needle", 1_700_000)) }},
	{"10,000 signatures", "552", func(w io.Writer) { io.WriteString(w, strings.Repeat(signature, 10_000)+"\r\n") }},
	{"900 signatures", "250", func(w io.Writer) { io.WriteString(w, strings.Repeat(signature, 900)+"\r\n") }},
	{"900 results and seals", "250", func(w io.Writer) {
		for i := range 300 {
			fmt.Fprintf(w, "ARC-Seal: i=%d; a=rsa-sha256; cv=none; d=x.test; s=s; b=AAAA\r\nARC-Message-Signature: i=%d; a=rsa-sha256; d=x.test; s=s; h=from; bh=AAAA; b=AAAA\r\nARC-Authentication-Results: i=%d; x.test; none\r\n", i, i, i)
		}
	}},
	{"a field of 1,000,000 folds", "552", func(w io.Writer) { io.WriteString(w, "Subject: x\r\n"+strings.Repeat(" \r\n", 1_000_000)) }},
	{"fields of 499 folds", "250", func(w io.Writer) {
		for range 3 {
			io.WriteString(w, "Subject: x\r\n"+strings.Repeat(" "+strings.Repeat("y", 120)+"\r\n", 499))
		}
	}},
	{"nested comments", "550", func(w io.Writer) { fmt.Fprintf(w, "From: %s\r\n\r\n", strings.Repeat("(", 60_000)) }},
	{"nested comments in other fields", "250", func(w io.Writer) {
		fmt.Fprintf(w, "To: %s\r\nAuthentication-Results: %s\r\nDate: %s\r\n\r\n", strings.Repeat("(", 60_000), strings.Repeat("(", 60_000), strings.Repeat("(", 60_000))
	}},
	{"60,000 addresses", "250", func(w io.Writer) {
		fmt.Fprintf(w, "To: %s\r\nCc: %s\r\n\r\n", strings.Repeat("a,", 30_000), strings.Repeat("a:;", 20_000))
	}},
	{"encoded words", "250", func(w io.Writer) {
		fmt.Fprintf(w, "Subject: %s\r\nTo: %s\r\n\r\n", strings.Repeat("=?utf-8?q?a?= ", 4_500), strings.Repeat("=?utf-8?b?YQ==?= ", 3_800))
	}},
	{"parameters", "250", func(w io.Writer) {
		fmt.Fprintf(w, "Content-Type: text/plain")
		for i := range 4000 {
			fmt.Fprintf(w, "; n*%d=x", i)
		}
		io.WriteString(w, "\r\n\r\nneedle\r\n")
	}},
	{"unbalanced quotes in base64", "250", func(w io.Writer) {
		io.WriteString(w, "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"+strings.Repeat("PGEgPGEgPGEgPGEgPGEg\r\n", 400_000))
	}},
	{"50 MB of HTML", "250", func(w io.Writer) {
		io.WriteString(w, "Content-Type: text/html\r\n\r\n"+strings.Repeat("<p><!-- <b>needle &amp;&#x6e;<script>\r\n", 1_270_000))
	}},
	{"50 MB", "250", func(w io.Writer) {
		io.WriteString(w, "\r\n"+strings.Repeat("0123456789 needle 0123456789 0123456789 0123456789\r\n", 990_000))
	}},
	{"over 50 MB", "552", func(w io.Writer) {
		io.WriteString(w, "\r\n"+strings.Repeat("0123456789 0123456789 0123456789 0123456789 0123\r\n", 1_100_000))
	}},
}

const signature = "DKIM-Signature: v=1; a=rsa-sha256; d=x.test; s=s; h=from:to:from:to; bh=AAAA; b=AAAA; t=1\r\n"

// Every message of the catalogue is answered, and what was taken can be read and searched, by a process that
// stays small.
func TestHostileMailNeedsLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("sends 250 MB")
	}
	dir := shortDir(t)
	// The program as it is shipped: a test binary may have the race detector's memory too.
	program := filepath.Join(t.TempDir(), "facteur")
	if out, err := exec.Command("go", "build", "-tags", "sqlite_fts5", "-o", program, "facteur/cmd/facteur").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	c := startProgram(t, program, dir, freeShift(t))
	t.Cleanup(func() {
		c.cmd.Process.Signal(syscall.SIGTERM)
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, c.out)
		}
		if errs := c.out.String(); strings.Contains(errs, "panic") {
			t.Error(errs)
		}
	})
	taken := 0
	for _, h := range hostile {
		conn, err := net.Dial("tcp", c.ports.MX)
		if err != nil {
			t.Fatal(err)
		}
		client := newLineClient(t, conn)
		client.Want("220")
		client.Send("EHLO hostile.test")
		client.Want("250 ")
		client.Send("MAIL FROM:<a@hostile.test>")
		client.Want("250")
		client.Send("RCPT TO:<bob@demo.test>")
		client.Want("250")
		client.Send("DATA")
		client.Want("354")
		w := bufio.NewWriter(conn)
		if h.name != "nested comments" {
			io.WriteString(w, "From: a@hostile.test\r\n")
		}
		h.text(w)
		io.WriteString(w, "\r\n.\r\n")
		if err := w.Flush(); err != nil {
			t.Fatalf("%s: %v", h.name, err)
		}
		began := time.Now()
		reply := client.Want("")
		took := time.Since(began)
		if !strings.HasPrefix(reply, h.reply) {
			t.Errorf("%s: %s, want %s", h.name, reply, h.reply)
		}
		if strings.HasPrefix(reply, "250") {
			taken++
		}
		conn.Close()
		t.Logf("%-40s %s after %v, peak %d MB", h.name, reply[:3], took.Round(time.Millisecond), c.peak(t)>>20)
	}

	r := c.imap(t, dir)
	for _, command := range []string{"NOOP", "FETCH 1:* (ENVELOPE BODYSTRUCTURE)", "FETCH 1:* (BODY.PEEK[HEADER] BODY.PEEK[1])", "SEARCH TEXT needle", "SEARCH SUBJECT x", "SORT (SUBJECT) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL"} {
		began := time.Now()
		last, size := r.run(t, command)
		if !strings.HasPrefix(last, "a OK") {
			t.Errorf("%s: %s", command, last)
		}
		t.Logf("%-40s %d octets after %v, peak %d MB", command, size, time.Since(began).Round(time.Millisecond), c.peak(t)>>20)
	}
	if peak := c.peak(t); peak > 200<<20 {
		t.Errorf("the process has had %d MB", peak>>20)
	}
	if taken == 0 {
		t.Error("nothing was taken")
	}
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory the child has had, in octets.
func (c *child) peak(t *testing.T) int {
	t.Helper()
	status := readFile(t, fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	m := highWater.FindStringSubmatch(status)
	if m == nil {
		t.Skip("this system doesn't tell the memory of a process")
	}
	kb, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// imapReader runs commands and throws away what they return.
type imapReader struct {
	conn net.Conn
	r    *bufio.Reader
}

func (c *child) imap(t *testing.T, dir string) *imapReader {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(readFile(t, filepath.Join(dir, "ca.pem"))))
	conn, err := tls.Dial("tcp", c.ports.IMAPS, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r := &imapReader{conn, bufio.NewReaderSize(conn, 1<<16)}
	for _, command := range []string{"LOGIN bob@demo.test facteur", "EXAMINE INBOX"} {
		if last, _ := r.run(t, command); !strings.HasPrefix(last, "a OK") {
			t.Fatalf("%s: %s", command, last)
		}
	}
	return r
}

// run returns the tagged answer, and how much came before it.
func (r *imapReader) run(t *testing.T, command string) (last string, size int) {
	t.Helper()
	r.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(r.conn, "a %s\r\n", command); err != nil {
		t.Fatal(err)
	}
	start := true
	for {
		line, err := r.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			t.Fatalf("%s: %v after %d octets", command, err, size)
		}
		if start && bytes.HasPrefix(line, []byte("a ")) {
			return string(line), size
		}
		size += len(line)
		start = err == nil
	}
}
