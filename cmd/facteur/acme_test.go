package main

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"facteur/test/pebble"
)

// TestServeObtainsCertificates: a server that only has its configuration gets certificates for all its
// names from an authority, and shows them wherever it speaks TLS.
func TestServeObtainsCertificates(t *testing.T) {
	var authority *pebble.Server
	d := startDaemon(t, elsewhere, func(cfg *Config, deps *Deps) {
		cfg.Listen.HTTP, cfg.Listen.HTTPS = cfg.Listen.MX, cfg.Listen.MX // port 0 of loopback
		cfg.TLS.Hosts = []string{"mta-sts.example.org"}
		cfg.TLS.ACME.Agree, cfg.TLS.ACME.Email = true, "postmaster@example.org"
		var err error
		if deps.Listeners, err = listen(cfg); err != nil {
			t.Fatal(err)
		}
		authority = pebble.Start(t, deps.Listeners.port(serviceHTTP), deps.Listeners.port(serviceHTTPS))
		cfg.TLS.ACME.Directory, cfg.TLS.ACME.Roots = authority.Directory(), filepath.Join(cfg.Data, "authority.pem")
		if err := os.WriteFile(cfg.TLS.ACME.Roots, authority.FrontPEM(), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	direct := func(s service) func(*tls.Config) error {
		return func(cfg *tls.Config) error {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", d.Addr(s).String(), cfg)
			if err == nil {
				conn.Close()
			}
			return err
		}
	}
	starttls := func(s service) func(*tls.Config) error {
		return func(cfg *tls.Config) error {
			c, err := smtp.DialStartTLS(d.Addr(s).String(), cfg)
			if err == nil {
				c.Close()
			}
			return err
		}
	}
	for _, tt := range []struct {
		what, host string
		dial       func(*tls.Config) error
	}{
		{"STARTTLS on the MX", "mail.example.org", starttls(serviceMX)},
		{"STARTTLS on submission", "mail.example.org", starttls(serviceSubmission)},
		{"submissions", "mail.example.org", direct(serviceSubmissions)},
		{"imaps", "mail.example.org", direct(serviceIMAPS)},
		{"pop3s", "mail.example.org", direct(servicePOP3S)},
		{"https", "mail.example.org", direct(serviceHTTPS)},
		{"https for MTA-STS", "mta-sts.example.org", direct(serviceHTTPS)},
	} {
		var err error
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if err = tt.dial(&tls.Config{ServerName: tt.host, RootCAs: authority.Trust()}); err == nil {
				break // the first has to wait for the certificates, a minute longer when the authority was busy
			}
		}
		if err != nil {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
}
