package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"facteur/admin"
)

// child is this test binary, or the program, running as "facteur demo".
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	ports struct{ MX, IMAPS string }
	out   *lockedBuffer
}

// startChild returns when the demo has said where it listens and takes connections there.
func startChild(t *testing.T, dir string, shift int, more ...string) *child {
	t.Helper()
	return startProgram(t, os.Args[0], dir, shift, more...)
}

// startProgram is startChild with a program that was built for it.
func startProgram(t *testing.T, program, dir string, shift int, more ...string) *child {
	t.Helper()
	c := &child{t: t, out: &lockedBuffer{}}
	c.cmd = exec.Command(program, append([]string{"demo", "--json", "--quiet", "--dir", dir, "--shift", fmt.Sprint(shift)}, more...)...)
	c.cmd.Env = append(os.Environ(), "FACTEUR_TEST_MAIN=1")
	c.cmd.Stderr = c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(stdout).Decode(&c.ports); err != nil {
		c.kill()
		t.Fatalf("the demo did not say where it listens: %v\n%s", err, c.out)
	}
	return c
}

// kill ends it as a power cut does, but for what the kernel still holds.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait() // "signal: killed" is what was asked for
}

// deliver sends numbered messages on one connection until it breaks, and returns those that
// were acknowledged and those that were begun.
func (c *child) deliver(prefix string) (acknowledged, begun []string) {
	conn, err := net.Dial("tcp", c.ports.MX)
	if err != nil {
		return nil, nil
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	reply := func(code string) bool {
		for {
			line, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, code) {
				return false
			}
			if line[3] == ' ' {
				return true
			}
		}
	}
	say := func(code, format string, args ...any) bool {
		_, err := fmt.Fprintf(conn, format+"\r\n", args...)
		return err == nil && reply(code)
	}
	if !reply("220") || !say("250", "EHLO kill.test") {
		return nil, nil
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s-%d", prefix, i)
		if !say("250", "MAIL FROM:<a@kill.test>") || !say("250", "RCPT TO:<bob@demo.test>") || !say("354", "DATA") {
			return acknowledged, begun
		}
		begun = append(begun, name)
		if !say("250", "From: a@kill.test\r\nSubject: x\r\nX-Name: %s.\r\n\r\n%s\r\n.", name, strings.Repeat("body\r\n", 200)) {
			return acknowledged, begun
		}
		acknowledged = append(acknowledged, name)
	}
}

// Twenty times a server is killed while messages pour in. What was acknowledged is there
// afterwards, once; what was not may be there, once.
func TestKillUnderLoadLosesAndDoublesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	dir := shortDir(t)
	shift := freeShift(t)
	var mu sync.Mutex
	acknowledged, begun := map[string]bool{}, map[string]bool{}
	for round := range 20 {
		c := startChild(t, dir, shift, "--check-senders=false")
		var senders sync.WaitGroup
		for i := range 8 {
			senders.Go(func() {
				done, tried := c.deliver(fmt.Sprintf("%d-%d", round, i))
				mu.Lock()
				defer mu.Unlock()
				for _, name := range done {
					acknowledged[name] = true
				}
				for _, name := range tried {
					begun[name] = true
				}
			})
		}
		time.Sleep(50*time.Millisecond + rand.N(300*time.Millisecond)) // the moment of death is what is tried
		c.kill()
		senders.Wait()
		if errs := c.out.String(); strings.Contains(errs, "panic") {
			t.Fatalf("round %d:\n%s", round, errs)
		}
	}
	if len(acknowledged) < 100 {
		t.Fatalf("only %d messages were acknowledged: that is no load", len(acknowledged))
	}

	c := startChild(t, dir, shift, "--check-senders=false") // sweeps what the dead have left
	client, err := admin.Dial(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := client.Verify(context.Background(), admin.Name{})
	if err != nil || len(problems) > 0 {
		t.Errorf("verify: %v, %v", problems, err)
	}
	c.cmd.Process.Signal(syscall.SIGTERM)
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the last server ended with %v\n%s", err, c.out)
	}
	found := maildirNames(t, filepath.Join(dir, "mail/demo.test/bob"))
	for name := range acknowledged {
		if found[name] != 1 {
			t.Errorf("message %s was acknowledged and is there %d times", name, found[name])
		}
	}
	for name, n := range found {
		if n > 1 || !begun[name] {
			t.Errorf("message %s is there %d times", name, n)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "mail/demo.test/bob/tmp")); err != nil || len(left) > 0 {
		t.Errorf("tmp holds %d files, %v", len(left), err)
	}
	t.Logf("%d acknowledged, %d begun, %d found", len(acknowledged), len(begun), len(found))
}

// maildirNames counts the X-Name fields of the messages in a Maildir.
func maildirNames(t *testing.T, dir string) map[string]int {
	t.Helper()
	names := make(map[string]int)
	files, err := filepath.Glob(filepath.Join(dir, "[nc][eu][wr]", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := bytes.Cut(text, []byte("X-Name: "))
		name, _, whole := bytes.Cut(rest, []byte(".\r\n"))
		if !ok || !whole || bytes.Count(text, []byte("body\r\n")) != 200 {
			t.Errorf("%s is not a whole message", file)
		}
		names[string(name)]++
	}
	return names
}

// freeShift finds a shift at which the demo's ports are free.
func freeShift(t *testing.T) int {
	t.Helper()
	for range 50 {
		shift := 20000 + rand.N(30000)
		free := true
		for _, port := range []int{2525, 2587, 2465, 2143, 2993, 2110, 2995, 2080, 2090} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+shift))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return shift
		}
	}
	t.Fatal("no free ports for a demo")
	return 0
}
