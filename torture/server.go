package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	alice    = "alice@demo.test"
	bob      = "bob@demo.test"
	password = "facteur"
)

// demoPorts are those of "facteur demo", to which its shift is added.
var demoPorts = struct{ mx, submission, submissions, imap, imaps, pop3, pop3s, http, metrics int }{
	2525, 2587, 2465, 2143, 2993, 2110, 2995, 2080, 2090,
}

// site is where a server listens.
type site struct{ shift int }

func (s site) addr(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port+s.shift)) }

// freeSite finds ports that nobody listens on.
func freeSite() (site, error) {
	p := demoPorts
	for range 50 {
		s, free := site{18000 + 10*rand.IntN(1400)}, true // below the ports that the system gives to clients
		for _, port := range []int{p.mx, p.submission, p.submissions, p.imap, p.imaps, p.pop3, p.pop3s, p.http, p.metrics} {
			l, err := net.Listen("tcp", s.addr(port))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return s, nil
		}
	}
	return site{}, errors.New("no free ports for a server")
}

// trial is one scenario under way: a server and its data.
type trial struct {
	site
	opt options
	dir string
	log string
	rnd *rand.Rand
	cmd *exec.Cmd
	// config is the file for "facteur serve"; empty: the server is the demo.
	config string
}

// start starts the server and waits until it serves.
func (t *trial) start(ctx context.Context) error {
	log, err := os.OpenFile(t.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := t.serverCommand(ctx, t.site)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the server, which \"make build\" makes: %w", err)
	}
	t.cmd = cmd
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := t.greeted()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			t.kill()
			return fmt.Errorf("the server did not start: %w; see %s", err, t.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// greeted waits for IMAP's greeting: before it the ports are open, and the demo may have no accounts yet.
func (t *trial) greeted() error {
	c, err := net.Dial("tcp", t.addr(demoPorts.imap))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	_, err = c.Read(make([]byte, 1))
	return err
}

func (t *trial) serverCommand(ctx context.Context, at site) *exec.Cmd {
	args := []string{"demo", "--dir", t.dir, "--shift", fmt.Sprint(at.shift), "--plain-auth", "--check-senders=false"}
	if t.config != "" {
		args = []string{"serve", "--config", t.config}
	}
	cmd := exec.CommandContext(ctx, t.opt.facteur, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// kill ends the server as a power cut would, as far as a process can feel one.
func (t *trial) kill() {
	if t.cmd != nil {
		_ = t.cmd.Process.Kill()
		_ = t.cmd.Wait()
		t.cmd = nil
	}
}

// stop ends the server in order; an exit code other than 0 is an error.
func (t *trial) stop() error {
	if t.cmd == nil {
		return nil
	}
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	err := t.cmd.Wait()
	t.cmd = nil
	return err
}

// verify runs "facteur verify" on the stopped data folder.
func (t *trial) verify(ctx context.Context) error {
	out, err := t.facteur(ctx, "verify")
	if err != nil {
		return fmt.Errorf("verify: %w\n%s", err, out)
	}
	return nil
}

// facteur runs a verb of the command line on the data folder.
func (t *trial) facteur(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, t.opt.facteur, append(args, "--data", t.dir)...).CombinedOutput()
	return string(out), err
}

// login opens an IMAP session with a client that is not ours.
func (s site) login(user string) (*imapclient.Client, error) {
	conn, err := net.DialTimeout("tcp", s.addr(demoPorts.imap), 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := imapclient.New(conn, nil)
	if err := c.Login(user, password).Wait(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

var errDoubled = errors.New("doubled")
