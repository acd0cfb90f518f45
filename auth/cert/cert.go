package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
)

// Config says where certificates come from; the first of Files, ACME and Hosts that fits.
type Config struct {
	Log   *slog.Logger
	Dir   string   // data folder for ACME state and self-signed keys
	Hosts []string // names and addresses the certificate covers; the first is the default
	Files []Pair   // certificate files; served by the server name asked for
	ACME  *ACME    // nil: no ACME
	CA    *Authority
	// KeyLog gets TLS secrets (demo and send only); nil: none.
	KeyLog interface{ Write([]byte) (int, error) }
}

// Pair names the files of a certificate chain and its key, both PEM.
type Pair struct{ Cert, Key string }

// ACME says which server to ask.
type ACME struct {
	Directory string // URL; empty: Let's Encrypt
	Email     string
	Roots     *x509.CertPool // that the directory's own certificate must lead to; nil: the system's
	Agreed    bool
	HTTPPort  int // where HTTP-01 and TLS-ALPN-01 challenges reach us; 0: 80 and 443
	TLSPort   int
}

// Authority is a self-signed CA that signs what we show (the demo).
type Authority struct {
	Cert *x509.Certificate
	PEM  []byte
}

// Manager holds the certificates.
type Manager struct{}

// New reads or makes what can be had at once: it never waits for a network. A
// self-signed certificate stands in for one that is still to come.
func New(cfg Config) (*Manager, error) { panic("not built yet") }

// Run obtains and renews certificates and watches files until ctx ends.
func (m *Manager) Run(ctx context.Context) error { panic("not built yet") }

// Reload reads certificate files anew (SIGHUP).
func (m *Manager) Reload() error { panic("not built yet") }

// MX is for port 25: TLS 1.2 and up, no session tickets, no client certificates.
func (m *Manager) MX() *tls.Config { panic("not built yet") }

// Client is for ports that users' programs talk to: TLS 1.2 and up with ECDHE and AEAD only.
// proto is the ALPN name, "imap", "pop3", "smtp" or "h2".
func (m *Manager) Client(proto ...string) *tls.Config { panic("not built yet") }

// Challenge answers HTTP-01 challenges and passes everything else on.
func (m *Manager) Challenge(next http.Handler) http.Handler { panic("not built yet") }

// Info describes one certificate for "tls status".
type Info struct {
	Hosts     []string
	Issuer    string
	NotBefore string
	NotAfter  string
	Source    string // "acme", "file", "self-signed"
	Problem   string // the last error in getting or renewing it
}

// Status lists the certificates.
func (m *Manager) Status() []Info { panic("not built yet") }
