package cert

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facteur/test/pebble"
)

// freePort is one that nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestCertificateIsObtainedServedAndRenewed(t *testing.T) {
	for _, way := range []string{"HTTP-01", "TLS-ALPN-01"} {
		t.Run(way, func(t *testing.T) {
			const host = "mail.example.org"
			httpListener, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			tlsListener, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			httpPort, tlsPort := httpListener.Addr().(*net.TCPAddr).Port, tlsListener.Addr().(*net.TCPAddr).Port
			if way == "TLS-ALPN-01" { // the server looks for challenges where nobody answers
				httpListener.Close()
			}
			server := pebble.Start(t, httpPort, tlsPort)
			dir, logged := t.TempDir(), &lockedLog{}
			m, err := New(Config{Log: logged.logger(), Dir: dir, Hosts: []string{host, "127.0.0.1"}, ACME: &ACME{
				Directory: server.Directory(), Email: "postmaster@example.org", Roots: server.Front(), Agreed: true,
				HTTPPort: httpPort, TLSPort: tlsPort, ReuseKeys: way == "HTTP-01",
				Window: 0.9999, Every: time.Second, // due at once
			}})
			must(t, err)
			notFound := http.NotFoundHandler()
			if way == "HTTP-01" {
				web := &http.Server{Handler: m.Challenge(notFound)}
				go web.Serve(httpListener)
				t.Cleanup(func() { web.Close() })
				tlsListener.Close()
				m.acme.issuer.DisableTLSALPNChallenge = true
			} else {
				m.acme.issuer.DisableHTTPChallenge = true
				web := &http.Server{Handler: notFound, TLSConfig: m.Client("h2", "http/1.1"), ErrorLog: log.New(io.Discard, "", 0)}
				go web.ServeTLS(tlsListener, "", "")
				t.Cleanup(func() { web.Close() })
			}
			if st := m.Status(); len(st) != 1 || st[0].Source != "self-signed" || !strings.Contains(st[0].Problem, "not obtained yet") {
				t.Errorf("before: %+v", st)
			}
			must(t, shown(t, m, host).VerifyHostname(host)) // self-signed for now
			run(t, m)

			verified := &tls.Config{ServerName: host, RootCAs: server.Trust()}
			var open *tls.Conn
			var first *x509.Certificate
			eventually(t, "the certificate is served", func() bool {
				open, first, err = handshake(t, m.Client("imap"), verified)
				return err == nil
			})
			if _, _, err := handshake(t, m.MX(), verified); err != nil {
				t.Errorf("port 25: %v", err)
			}
			if st := m.Status(); len(st) != 1 || st[0].Source != "acme" || st[0].Hosts[0] != host || st[0].Problem != "" {
				t.Errorf("after: %+v", st)
			}
			if !m.Leaf(host).Equal(first) {
				t.Error("Leaf is another")
			}

			eventually(t, "the renewed certificate is served", func() bool {
				_, now, err := handshake(t, m.Client("imap"), verified)
				if err != nil || now.Equal(first) {
					return false
				}
				if same := first.PublicKey.(*ecdsa.PublicKey).Equal(now.PublicKey); same != (way == "HTTP-01") {
					t.Errorf("the same key again: %t", same)
				}
				return true
			})
			if _, err := open.Write([]byte("hello")); err != nil {
				t.Error(err)
			}
			if n, err := open.Read(make([]byte, 100)); n != 5 || err != nil {
				t.Errorf("the connection from before the renewal: %d, %v", n, err)
			}
			checkPrivate(t, filepath.Join(dir, "acme"))
			if s := logged.String(); strings.Contains(s, "level=ERROR") || !strings.Contains(s, "certificate obtained") {
				t.Errorf("log: %s", s)
			}
		})
	}
}

// checkPrivate looks at all modes below the folder.
func checkPrivate(t *testing.T, dir string) {
	t.Helper()
	keys := 0
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = fmt.Errorf("%s has mode %v", path, info.Mode())
		}
		if strings.HasSuffix(path, ".key") {
			keys++
		}
		return err
	}))
	if keys == 0 {
		t.Error("there is no key in the folder")
	}
}

func TestServerStartsWhileACMEIsDown(t *testing.T) {
	log := &lockedLog{}
	cfg := Config{Log: log.logger(), Dir: t.TempDir(), Hosts: []string{"mail.example.org"}, ACME: &ACME{
		Directory: fmt.Sprintf("https://127.0.0.1:%d/dir", freePort(t)), Agreed: true, HTTPPort: freePort(t), TLSPort: freePort(t),
	}}
	m, err := New(cfg)
	must(t, err)
	run(t, m)
	must(t, shown(t, m, "mail.example.org").VerifyHostname("mail.example.org"))
	eventually(t, "the failure is told", func() bool {
		st := m.Status()
		return strings.Contains(log.String(), "not obtained") && len(st) == 1 && st[0].Source == "self-signed" && strings.Contains(st[0].Problem, "refused")
	})
}

func TestCertificateIsThereAfterARestartWithoutACME(t *testing.T) {
	const host = "mail.example.org"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	server := pebble.Start(t, port, freePort(t))
	cfg := Config{Dir: t.TempDir(), Hosts: []string{host}, ACME: &ACME{
		Directory: server.Directory(), Roots: server.Front(), Agreed: true, HTTPPort: port,
	}}
	verified := &tls.Config{ServerName: host, RootCAs: server.Trust()}
	t.Run("first", func(t *testing.T) {
		m, err := New(cfg)
		must(t, err)
		m.acme.issuer.DisableTLSALPNChallenge = true
		web := &http.Server{Handler: m.Challenge(http.NotFoundHandler())}
		go web.Serve(l)
		defer web.Close()
		run(t, m)
		eventually(t, "the certificate is served", func() bool {
			_, _, err := handshake(t, m.Client(), verified)
			return err == nil
		})
	})
	server.Close()
	m, err := New(cfg)
	must(t, err)
	if _, _, err := handshake(t, m.Client(), verified); err != nil {
		t.Error(err)
	}
	run(t, m)
}
