package smtpd

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"facteur/test/loopback"
)

// TestDialogues plays testdata/*.smtp against the real engine. A script's lines:
//
//	server mx plain-auth   what kind of listener; must come first
//	limit Errors 3         one of Limits
//	facts DMARC=fail ...   what the verifier finds out
//	C: text                sent with CRLF; lines in a row leave in one piece
//	C" text\r\n            sent as it is, with Go's escapes
//	C* 1000 text           as C:, so many times
//	S: pattern             the next line from the server; * stands for anything
//	S: ...                 any number of lines
//	TLS                    the client starts the handshake
//	CLOSED                 the server has closed the connection, and not reset it
//	MESSAGES 1             so many messages were taken until now
//	HAS text, LACKS text   the last of them does or does not hold text, with Go's escapes
//	ENVELOPE from to,to    of the last of them
//	JUNK, QUEUED, DIRECT   where it went
//	NOTIFY list            what each of its recipients wants told
//	# why
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.smtp")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".smtp"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := &dialogue{t: t, file: file, backend: &backend{}}
			d.play(strings.Split(strings.TrimRight(string(text), "\n"), "\n"))
		})
	}
}

type dialogue struct {
	t       *testing.T
	file    string
	n       int
	cfg     Config
	backend *backend
	peer    *peer
	waiting string // to be sent before anything else happens
}

func (d *dialogue) fail(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("%s:%d: %s", d.file, d.n, fmt.Sprintf(format, args...))
}

func (d *dialogue) play(lines []string) {
	for i := 0; i < len(lines); i++ {
		d.n = i + 1
		word, arg, _ := strings.Cut(lines[i], " ")
		switch word {
		case "", "#":
			continue
		case "server", "limit", "facts":
			d.set(word, strings.Fields(arg))
			continue
		}
		if d.peer == nil {
			d.peer = dial(d.t, start(d.t, d.cfg))
		}
		switch word {
		case "C:":
			d.waiting += arg + "\r\n"
			continue
		case `C"`:
			d.waiting += d.unquote(arg)
			continue
		case "C*":
			times, text, _ := strings.Cut(arg, " ")
			n, err := strconv.Atoi(times)
			if err != nil {
				d.fail("%v", err)
			}
			d.waiting += strings.Repeat(text+"\r\n", n)
			continue
		}
		if d.waiting != "" {
			d.peer.send(d.waiting)
			d.waiting = ""
		}
		next := ""
		if i+1 < len(lines) {
			next = lines[i+1]
		}
		d.expect(word, arg, next)
	}
}

func (d *dialogue) unquote(s string) string {
	u, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		d.fail("%v", err)
	}
	return u
}

func (d *dialogue) set(word string, args []string) {
	switch word {
	case "server":
		kind := map[string]Kind{"mx": MX, "submission": Submission, "submissions": Submissions}[args[0]]
		d.cfg = testConfig(d.t, kind, d.backend)
		for _, a := range args[1:] {
			switch a {
			case "plain-auth":
				d.cfg.PlainAuth = true
			case "no-tls":
				d.cfg.TLS = nil
			default:
				d.fail("no option %s", a)
			}
		}
	case "limit":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			d.fail("%v", err)
		}
		l := &d.cfg.Limits
		switch args[0] {
		case "Message":
			l.Message = int64(n)
		case "Memory":
			l.Memory = int64(n)
		case "Hops":
			l.Hops = n
		case "Fields":
			l.Fields = n
		case "Field":
			l.Field = n
		case "Header":
			l.Header = int64(n)
		default:
			p, ok := map[string]*int{"Recipients": &l.Recipients, "Messages": &l.Messages, "Errors": &l.Errors, "Unknown": &l.Unknown, "Idle": &l.Idle, "FieldLines": &l.FieldLines}[args[0]]
			if !ok {
				d.fail("no limit %s", args[0])
			}
			*p = n
		}
	case "facts":
		f := &d.backend.facts
		for _, a := range args {
			k, v, _ := strings.Cut(a, "=")
			p, ok := map[string]*string{"SPF": &f.SPF, "DMARC": &f.DMARC, "Policy": &f.DMARCPolicy, "Domain": &f.DMARCDomain, "Author": &f.Author, "Fault": &f.FromFault, "Override": &f.Override}[k]
			if !ok {
				d.fail("no fact %s", k)
			}
			*p = v
		}
		f.AuthResults = []byte("Authentication-Results: mx.example.test; dmarc=" + f.DMARC + "\r\n")
	}
}

func (d *dialogue) expect(word, arg, next string) {
	got := d.backend.messages()
	var last taken
	if len(got) > 0 {
		last = got[len(got)-1]
	}
	all := last.Prefix + last.Text
	switch word {
	case "S:":
		d.line(arg, next)
	case "TLS":
		d.peer.tls()
	case "CLOSED":
		if l, err := d.peer.read(); err != io.EOF {
			d.fail("not closed, but %q, %v", l, err)
		}
	case "MESSAGES":
		if fmt.Sprint(len(got)) != arg {
			d.fail("%d messages: %+v", len(got), got)
		}
	case "HAS":
		if !strings.Contains(all, d.unquote(arg)) {
			d.fail("not in %q", all)
		}
	case "LACKS":
		if strings.Contains(all, d.unquote(arg)) {
			d.fail("is in %q", all)
		}
	case "ENVELOPE":
		var to []string
		for _, r := range last.Env.To {
			to = append(to, r.Address.String())
		}
		if e := "<" + last.Env.MailFrom.String() + "> " + strings.Join(to, ","); e != arg {
			d.fail("envelope %s", e)
		}
	case "JUNK":
		if !last.Junk {
			d.fail("not junk")
		}
	case "NOTIFY":
		for _, r := range last.Env.To {
			if r.Notify.String() != arg {
				d.fail("<%s> has NOTIFY=%s", r.Address, r.Notify)
			}
		}
	case "DIRECT":
		if last.Queued {
			d.fail("queued")
		}
	case "QUEUED":
		if !last.Queued {
			d.fail("not queued")
		}
	default:
		d.fail("no such line in scripts: %s", word)
	}
}

// line reads what pattern wants. "..." reads up to a line that fits the next pattern.
func (d *dialogue) line(pattern, next string) {
	if pattern == "..." {
		want := strings.TrimPrefix(next, "S: ")
		for {
			l, ok := d.peer.line()
			if !ok {
				d.fail("connection closed")
			}
			if loopback.Fits(want, l) {
				d.peer.buf = append([]byte(l+"\r\n"), d.peer.buf...)
				return
			}
		}
	}
	l, ok := d.peer.line()
	if !ok {
		d.fail("connection closed, want %q", pattern)
	}
	if !loopback.Fits(pattern, l) {
		d.fail("got %q, want %q", l, pattern)
	}
}
