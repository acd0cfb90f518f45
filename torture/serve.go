package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

// serve is start with "facteur serve" instead of the demo: all limits are the defaults, and DNS knows nobody.
func (t *trial) serve(ctx context.Context) error {
	resolver, err := emptyDNS()
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = resolver.Shutdown() })
	p := demoPorts
	config := fmt.Sprintf(`hostname = "mail.demo.test"
data = %q
user = "nobody"
[listen]
mx = [%q]
submission = [%q]
submissions = []
imap = [%q]
imaps = [%q]
[submission]
plain_auth = true
[dns]
servers = [%q]
[web]
enabled = false
`, t.dir, t.addr(p.mx), t.addr(p.submission), t.addr(p.imap), t.addr(p.imaps), resolver.PacketConn.LocalAddr())
	t.config = filepath.Join(filepath.Dir(t.dir), "facteur.toml")
	if err := os.WriteFile(t.config, []byte(config), 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(t.dir, 0o700); err != nil {
		return err
	}
	for dir := filepath.Dir(t.dir); dir != filepath.Dir(t.opt.dir); dir = filepath.Dir(dir) { // for nobody to pass
		if err := os.Chmod(dir, 0o711); err != nil {
			return err
		}
	}
	if out, err := t.facteur(ctx, "domain", "add", "demo.test"); err != nil {
		return fmt.Errorf("domain add: %w: %s", err, out)
	}
	for _, user := range []string{alice, bob} {
		cmd := exec.CommandContext(ctx, t.opt.facteur, "account", "add", user, "--password-stdin", "--data", t.dir)
		cmd.Stdin = strings.NewReader(password + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("account add: %w: %s", err, out)
		}
	}
	return t.start(ctx)
}

// emptyDNS answers every question with "there is no such name".
func emptyDNS() (*dns.Server, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError)) // who hears nothing asks again
	})}
	started := make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	go func() { _ = s.ActivateAndServe() }()
	<-started
	return s, nil
}
