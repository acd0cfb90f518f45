package differential

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// raw is an IMAP connection that shows responses as they came.
type raw struct {
	t    *testing.T
	name string
	addr string
	c    net.Conn
	r    *bufio.Reader
	tag  int
}

func dial(t *testing.T, name, addr string) *raw {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
			r := &raw{t: t, name: name, addr: addr, c: c, r: bufio.NewReaderSize(c, 1<<20)}
			t.Cleanup(func() { c.Close() })
			if _, err = r.r.ReadString('\n'); err == nil {
				r.must("LOGIN bob@demo.test %s", password)
				return r
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", name, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// pair is a session with each of the two servers.
type pair struct{ ours, theirs *raw }

func startPair(t *testing.T) pair {
	t.Helper()
	theirs := dial(t, "dovecot", startDovecot(t))
	return pair{dial(t, "facteur", startFacteur(t)), theirs}
}

// must gives both servers a command that has to work.
func (p pair) must(format string, args ...any) (ours, theirs []string) {
	p.ours.t.Helper()
	return p.ours.must(format, args...), p.theirs.must(format, args...)
}

func (p pair) fill(t *testing.T, mailbox string, list []testMessage) {
	t.Helper()
	for i, m := range list {
		at := time.Date(2026, 1, 1, 0, i*37%600, 0, 0, time.UTC)
		for _, r := range []*raw{p.ours, p.theirs} {
			if err := r.appendMessage(mailbox, at, m.text); err != nil {
				t.Fatalf("%s: APPEND %s: %v", r.name, m.name, err)
			}
		}
	}
}

// do sends a command and returns its untagged responses, with literals in place, and the tagged line.
func (r *raw) do(format string, args ...any) (untagged []string, tagged string, err error) {
	r.tag++
	tag := fmt.Sprintf("d%d", r.tag)
	if _, err := fmt.Fprintf(r.c, tag+" "+format+"\r\n", args...); err != nil {
		return nil, "", err
	}
	for {
		line, err := r.response()
		if err != nil {
			return untagged, "", err
		}
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return untagged, rest, nil
		}
		untagged = append(untagged, line)
	}
}

func (r *raw) must(format string, args ...any) []string {
	r.t.Helper()
	untagged, tagged, err := r.do(format, args...)
	if err != nil || !strings.HasPrefix(tagged, "OK") {
		r.t.Fatalf("%s: %s: %v %s", r.name, fmt.Sprintf(format, args...), err, tagged)
	}
	return untagged
}

// response reads one response with its literals, without the final CRLF.
func (r *raw) response() (string, error) {
	var b bytes.Buffer
	for {
		line, err := r.r.ReadBytes('\n')
		if err != nil {
			return "", err
		}
		b.Write(line)
		text := bytes.TrimSuffix(line, []byte("\r\n"))
		open := bytes.LastIndexByte(text, '{')
		if open < 0 || text[len(text)-1] != '}' {
			return strings.TrimSuffix(b.String(), "\r\n"), nil
		}
		n, err := strconv.Atoi(strings.TrimSuffix(string(text[open+1:]), "}"))
		if err != nil {
			return strings.TrimSuffix(b.String(), "\r\n"), nil
		}
		if _, err := io.CopyN(&b, r.r, int64(n)); err != nil {
			return "", err
		}
	}
}

// appendMessage adds a message octet for octet.
func (r *raw) appendMessage(mailbox string, at time.Time, msg []byte) error {
	_, tagged, err := r.do("APPEND %s %q {%d+}\r\n%s", mailbox, at.Format("_2-Jan-2006 15:04:05 -0700"), len(msg), msg)
	if err == nil && !strings.HasPrefix(tagged, "OK") {
		err = errors.New(tagged)
	}
	return err
}

// normalize rewrites a response so that what means the same looks the same: strings become quoted
// whether they came as literal, quoted or atom with upper-case NIL kept apart.
func normalize(resp string) string {
	var out strings.Builder
	for i := 0; i < len(resp); {
		switch c := resp[i]; c {
		case '"':
			var s strings.Builder
			for i++; i < len(resp) && resp[i] != '"'; i++ {
				if resp[i] == '\\' && i+1 < len(resp) {
					i++
				}
				s.WriteByte(resp[i])
			}
			i++
			fmt.Fprintf(&out, "%q", s.String())
		case '{', '~':
			end := strings.Index(resp[i:], "}\r\n")
			open := strings.IndexByte(resp[i:], '{')
			n, err := 0, errors.New("no literal")
			if end > 0 && open >= 0 && open < 2 {
				n, err = strconv.Atoi(resp[i+open+1 : i+end])
			}
			if err != nil || i+end+3+n > len(resp) {
				out.WriteByte(c)
				i++
				continue
			}
			fmt.Fprintf(&out, "%q", resp[i+end+3:i+end+3+n])
			i += end + 3 + n
		default:
			out.WriteByte(c)
			i++
		}
	}
	return out.String()
}
