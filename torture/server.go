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
	shift    = 30000
	mxAddr   = "127.0.0.1:32525"
	subAddr  = "127.0.0.1:32587"
	imapAddr = "127.0.0.1:32143"
	alice    = "alice@demo.test"
	bob      = "bob@demo.test"
	password = "facteur"
)

// trial is one scenario under way: a server and its data.
type trial struct {
	opt options
	dir string
	log string
	rnd *rand.Rand
	cmd *exec.Cmd
}

// start starts the server and waits until it serves.
func (t *trial) start(ctx context.Context) error {
	log, err := os.OpenFile(t.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	t.cmd = t.serverCommand(ctx)
	t.cmd.Stdout, t.cmd.Stderr = log, log
	if err := t.cmd.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		c, err := net.Dial("tcp", imapAddr)
		if err == nil {
			c.Close()
			return nil
		}
		if time.Now().After(deadline) {
			t.kill()
			return fmt.Errorf("the server did not start: %w; see %s", err, t.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (t *trial) serverCommand(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.opt.facteur, "demo", "--dir", t.dir, "--shift", fmt.Sprint(shift), "--plain-auth", "--check-senders=false")
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
func login(user string) (*imapclient.Client, error) {
	conn, err := net.DialTimeout("tcp", imapAddr, 5*time.Second)
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
