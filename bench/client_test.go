package main

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// script serves one connection: it waits for each line that starts with "C: " and says the rest.
func script(t *testing.T, dialogue string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	go func() {
		r := bufio.NewReader(server)
		for _, line := range strings.Split(dialogue, "\n") {
			if want, ok := strings.CutPrefix(line, "C: "); ok {
				if got, err := r.ReadString('\n'); err != nil || got != want+"\r\n" {
					t.Errorf("the client said %q, %v; not %q", got, err, want)
					server.Close()
					return
				}
				continue
			}
			if _, err := server.Write([]byte(line + "\r\n")); err != nil {
				return
			}
		}
	}()
	return client
}

func TestSendReadsEachReply(t *testing.T) {
	s := &smtpConn{c: script(t, strings.Join([]string{
		"C: MAIL FROM:<a@sender.test>", "C: RCPT TO:<b@demo.test>", "C: DATA",
		"250-2.1.0 two lines", "250 2.1.0 of one reply", "250 2.1.5 ok", "354 go",
		"C: Subject: x", "C: ", "C: text", "C: .", "451 4.3.0 not now",
	}, "\n"))}
	err := s.send(envelope("a@sender.test", "b@demo.test"), []byte("Subject: x\r\n\r\ntext\r\n"+endOfData))
	if err == nil || !strings.Contains(err.Error(), "451 4.3.0") {
		t.Fatalf("a refused message gave %v", err)
	}
}

func TestFinishCountsLiterals(t *testing.T) {
	c := script(t, "* 1 FETCH (BODY[] {7}\nt1 NO\n FLAGS ())\n* 2 FETCH (FLAGS (\\Seen))\nt1 OK done")
	ic := &imapConn{c: c, r: bufio.NewReader(c), tag: 1}
	a, err := ic.finish(func(l string) bool { return strings.Contains(l, "2 FETCH") })
	if err != nil {
		t.Fatal(err)
	}
	if a.lines != 2 || a.bytes != 7 || len(a.kept) != 1 || a.ok != "OK done" {
		t.Fatalf("%+v", a)
	}
}
