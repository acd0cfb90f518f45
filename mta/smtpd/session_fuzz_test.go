package smtpd

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// script is a connection on which the peer says what it has to say without listening.
type script struct {
	in  io.Reader
	out bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

var replyLine = regexp.MustCompile(`^(220|221|250|252|214|235|334|354|421|45[0-9]|50[0-5]|5[2-5][0-9])[ -][ -~]*$`)

// FuzzSession: whatever a peer sends, in whatever portions, the engine neither fails nor says anything
// but replies, and takes no message that it must not take. Seeds are the clients' lines of the
// dialogues.
func FuzzSession(f *testing.F) {
	files, err := filepath.Glob("testdata/*.smtp")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			switch word, arg, _ := strings.Cut(line, " "); word {
			case "C:":
				said.WriteString(arg + "\r\n")
			case `C"`:
				raw, err := strconv.Unquote(`"` + strings.ReplaceAll(arg, `"`, `\"`) + `"`)
				if err != nil {
					f.Fatal(err)
				}
				said.WriteString(raw)
			}
		}
		f.Add([]byte(said.String()), 1000, strings.Contains(file, "submission"))
		f.Add([]byte(said.String()), 1, strings.Contains(file, "submission"))
	}
	dir := f.TempDir()
	mx, sub := testConfig(f, MX, nil), testConfig(f, Submission, nil)
	f.Fuzz(func(t *testing.T, said []byte, cut int, submission bool) {
		b := &backend{}
		cfg := mx
		if submission {
			cfg = sub
			cfg.PlainAuth = true
		}
		cfg.TLS, cfg.SpoolDir, cfg.Limits.Memory = nil, dir, 100
		cfg.Recipients, cfg.Verifier, cfg.Deliverer, cfg.Queue, cfg.Auth, cfg.Senders, cfg.Signer = b, b, b, b, b, b, b
		cfg.Observe = func(e Event) {
			if e.What == Panicked {
				t.Error("the session failed")
			}
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		peer := &script{in: &portions{said, max(cut, 1)}}
		s.handle(t.Context(), peer)
		for line := range strings.Lines(peer.out.String()) {
			if !strings.HasSuffix(line, "\r\n") || !replyLine.MatchString(strings.TrimSuffix(line, "\r\n")) {
				t.Errorf("said %q", line)
			}
		}
		for _, m := range b.messages() {
			if m.Env.Encoding == 0 && bare(m.Text) {
				t.Errorf("took %q", m.Text)
			}
			if submission && m.Peer.Login == "" {
				t.Error("took a message from nobody")
			}
			if bare(m.Prefix) || strings.ContainsAny(m.Prefix, "\x00\x7f") {
				t.Errorf("prefix %q", m.Prefix)
			}
		}
		leftovers(t, dir)
	})
}

// portions hands out so many octets at a time.
type portions struct {
	rest []byte
	size int
}

func (p *portions) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}
