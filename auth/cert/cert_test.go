package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// lockedLog keeps what was logged.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// run runs the Manager until the test ends.
func run(t *testing.T, m *Manager) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// handshake connects to a server with the server's config and returns the client's end, which
// still works, and what it was shown.
func handshake(t *testing.T, server, client *tls.Config) (*tls.Conn, *x509.Certificate, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		s := tls.Server(conn, server)
		io.Copy(s, s) // an echo, until the client goes away
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := tls.Client(conn, client)
	if err := c.HandshakeContext(t.Context()); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return c, c.ConnectionState().PeerCertificates[0], nil
}

func shown(t *testing.T, m *Manager, name string) *x509.Certificate {
	t.Helper()
	_, leaf, err := handshake(t, m.Client("imap"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	must(t, err)
	return leaf
}

func TestSelfSignedIsKeptAndWarnedOf(t *testing.T) {
	dir, log := t.TempDir(), &lockedLog{}
	cfg := Config{Log: log.logger(), Dir: dir, Hosts: []string{"mail.example.org", "192.0.2.1"}}
	m, err := New(cfg)
	must(t, err)
	leaf := shown(t, m, "mail.example.org")
	must(t, leaf.VerifyHostname("mail.example.org"))
	must(t, leaf.VerifyHostname("192.0.2.1"))
	if !strings.Contains(log.String(), "self-signed") {
		t.Errorf("no warning in %q", log.String())
	}
	st, err := os.Stat(filepath.Join(dir, "self-signed.pem"))
	must(t, err)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}

	m, err = New(cfg)
	must(t, err)
	if !shown(t, m, "other.example.org").Equal(leaf) {
		t.Error("another certificate after a restart")
	}
	cfg.Now = func() time.Time { return leaf.NotAfter.Add(-time.Hour) }
	m, err = New(cfg)
	must(t, err)
	if shown(t, m, "").Equal(leaf) {
		t.Error("the same certificate an hour before its end")
	}
	cfg.Now, cfg.Hosts = nil, []string{"mail.example.net"}
	m, err = New(cfg)
	must(t, err)
	must(t, shown(t, m, "").VerifyHostname("mail.example.net"))
	if st := m.Status(); len(st) != 1 || st[0].Source != "self-signed" || st[0].Hosts[0] != "mail.example.net" || st[0].Problem != "" {
		t.Errorf("%+v", st)
	}
}

func TestAuthoritySignsWhatWeShow(t *testing.T) {
	dir := t.TempDir()
	ca, err := OpenAuthority(dir, time.Now())
	must(t, err)
	again, err := OpenAuthority(dir, time.Now())
	must(t, err)
	if !ca.Cert.Equal(again.Cert) {
		t.Fatal("another CA after a restart")
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	must(t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("ca.pem holds no certificate")
	}
	m, err := New(Config{Dir: dir, Hosts: []string{"localhost", "127.0.0.1", "::1", "demo.test"}, CA: again})
	must(t, err)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "demo.test"} {
		if _, _, err := handshake(t, m.MX(), &tls.Config{ServerName: name, RootCAs: pool}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := handshake(t, m.MX(), &tls.Config{ServerName: "else.test", RootCAs: pool}); err == nil {
		t.Error("else.test was verified")
	}
}

func TestClientPortsTakeModernTLSOnly(t *testing.T) {
	m, err := New(Config{Dir: t.TempDir(), Hosts: []string{"mail.example.org"}})
	must(t, err)
	for what, c := range map[string]struct {
		client *tls.Config
		ok     bool
	}{
		"TLS 1.3":         {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"TLS 1.2":         {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"TLS 1.1":         {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"CBC":             {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		"ALPN imap":       {&tls.Config{NextProtos: []string{"imap"}}, true},
		"ALPN of another": {&tls.Config{NextProtos: []string{"http/1.1"}}, false},
	} {
		c.client.InsecureSkipVerify = true
		conn, _, err := handshake(t, m.Client("imap"), c.client)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil && len(c.client.NextProtos) > 0 && conn.ConnectionState().NegotiatedProtocol != "imap" {
			t.Errorf("%s: no ALPN", what)
		}
	}
	if mx := m.MX(); !mx.SessionTicketsDisabled || mx.ClientAuth != tls.NoClientCert || mx.NextProtos != nil {
		t.Error("port 25 has tickets, client certificates or ALPN")
	}
	if m.Leaf("mail.example.org") == nil {
		t.Error("no leaf")
	}
}

// writePair writes a new certificate for host the way certbot does, through a symbolic link.
func writePair(t *testing.T, dir, version, host string) Pair {
	t.Helper()
	own, err := selfSigned(filepath.Join(dir, "archive"+version), []string{host}, time.Now())
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(dir, "live"), 0o700))
	both := filepath.Join(dir, "live", host+".pem")
	must(t, os.Symlink(filepath.Join(dir, "archive"+version, "self-signed.pem"), both+".tmp"))
	must(t, os.Rename(both+".tmp", both))
	if err := own.Leaf.VerifyHostname(host); err != nil {
		t.Fatal(err)
	}
	return Pair{both, both}
}

func TestFilesAreSwappedLive(t *testing.T) {
	dir, log := t.TempDir(), &lockedLog{}
	one, two := writePair(t, dir, "1a", "one.example.org"), writePair(t, dir, "1b", "two.example.org")
	m, err := New(Config{Log: log.logger(), Dir: dir, Files: []Pair{one, two}})
	must(t, err)
	run(t, m)
	must(t, shown(t, m, "").VerifyHostname("one.example.org"))
	must(t, shown(t, m, "two.example.org").VerifyHostname("two.example.org"))
	must(t, shown(t, m, "three.example.org").VerifyHostname("one.example.org"))

	open, old, err := handshake(t, m.Client("imap"), &tls.Config{ServerName: "one.example.org", InsecureSkipVerify: true})
	must(t, err)
	writePair(t, dir, "2a", "one.example.org")
	eventually(t, "the new file is served", func() bool { return !shown(t, m, "one.example.org").Equal(old) })
	if _, err := open.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	if n, err := open.Read(make([]byte, 100)); n != len("still here") || err != nil {
		t.Errorf("the open connection: %d, %v", n, err)
	}

	good := shown(t, m, "one.example.org")
	must(t, os.Remove(one.Cert))
	must(t, os.WriteFile(one.Cert, []byte("no certificate"), 0o600))
	eventually(t, "the bad file is reported", func() bool { return strings.Contains(log.String(), "not reloaded") })
	if !shown(t, m, "one.example.org").Equal(good) {
		t.Error("a bad file replaced a good certificate")
	}
	if st := m.Status(); len(st) != 2 || st[0].Problem == "" || st[0].Source != "file" {
		t.Errorf("%+v", st)
	}
	if err := m.Reload(); err == nil {
		t.Error("Reload took a bad file")
	}
	must(t, os.Remove(one.Cert))
	writePair(t, dir, "3a", "one.example.org")
	must(t, m.Reload())
	if st := m.Status(); len(st) != 2 || st[0].Problem != "" {
		t.Errorf("%+v", st)
	}
}

func TestWhatNewRefuses(t *testing.T) {
	for what, cfg := range map[string]Config{
		"nothing":          {},
		"missing files":    {Files: []Pair{{"/nowhere/cert.pem", "/nowhere/key.pem"}}},
		"terms not agreed": {Hosts: []string{"mail.example.org"}, ACME: &ACME{}},
		"ACME for address": {Hosts: []string{"192.0.2.1"}, ACME: &ACME{Agreed: true}},
	} {
		cfg.Dir = t.TempDir()
		if _, err := New(cfg); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
