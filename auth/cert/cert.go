package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Config says where certificates come from; the first of Files, ACME, CA and self-signed that fits.
type Config struct {
	Log   *slog.Logger
	Now   func() time.Time // time.Now
	Dir   string           // data folder for ACME state and self-signed keys
	Hosts []string         // names and addresses the certificate covers; the first is the default
	Files []Pair           // certificate files; served by the server name asked for
	ACME  *ACME            // nil: no ACME
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
	Agreed    bool           // to the server's terms; without it there are no certificates
	HTTPPort  int            // where HTTP-01 and TLS-ALPN-01 challenges reach us; 0: 80 and 443
	TLSPort   int
	ReuseKeys bool          // keep the key at renewal, for a TLSA record that names it
	Window    float64       // renew when this part of the lifetime is left; 0: a third
	Every     time.Duration // between looks at what is due; 0: 10 min
}

// Manager holds the certificates. It is safe for concurrent use.
type Manager struct {
	cfg   Config
	local atomic.Pointer[[]entry] // files, the CA's leaf or self-signed; the first is the default
	acme  *acmeSource             // nil: none
}

// entry is one certificate that we hold ourselves.
type entry struct {
	cert   *tls.Certificate
	source string
	path   string
	err    error // the last one in reading the files anew
}

// New reads or makes what can be had at once: it never waits for a network. A
// self-signed certificate stands in for one that is still to come.
func New(cfg Config) (*Manager, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(cfg.Files) == 0 && len(cfg.Hosts) == 0 {
		return nil, errors.New("certificates: neither hosts nor files")
	}
	m := &Manager{cfg: cfg}
	entries, err := m.firstEntries()
	if err != nil {
		return nil, err
	}
	m.local.Store(&entries)
	if cfg.ACME == nil && entries[0].source == "self-signed" {
		cfg.Log.Warn("the certificate is self-signed: mail programs will warn of it", "hosts", cfg.Hosts)
	}
	if cfg.ACME != nil && len(cfg.Files) == 0 {
		if m.acme, err = newACME(cfg); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// firstEntries reads the files, or makes what we can make ourselves.
func (m *Manager) firstEntries() ([]entry, error) {
	switch {
	case len(m.cfg.Files) > 0:
		return m.readFiles()
	case m.cfg.CA != nil && m.cfg.ACME == nil:
		leaf, err := m.cfg.CA.leaf(m.cfg.Hosts, m.cfg.Now())
		return []entry{{cert: leaf, source: "authority"}}, err
	}
	own, err := selfSigned(m.cfg.Dir, m.cfg.Hosts, m.cfg.Now())
	return []entry{{cert: own, source: "self-signed"}}, err
}

// Run obtains and renews certificates and watches files until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	switch {
	case m.acme != nil:
		return m.acme.run(ctx)
	case len(m.cfg.Files) > 0:
		return m.watchFiles(ctx)
	}
	return m.renewOwn(ctx)
}

// renewOwn makes our own certificate anew before it ends.
func (m *Manager) renewOwn(ctx context.Context) error {
	tick := time.NewTicker(12 * time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if end := (*m.local.Load())[0].cert.Leaf.NotAfter; m.cfg.Now().Before(end.Add(-renewOwnBefore)) {
				continue
			}
			entries, err := m.firstEntries()
			if err != nil {
				m.cfg.Log.Error("our own certificate was not renewed", "error", err)
				continue
			}
			m.local.Store(&entries)
		case <-ctx.Done():
			return nil
		}
	}
}

// get is tls.Config.GetCertificate.
func (m *Manager) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if m.acme != nil {
		if c := m.acme.get(hello); c != nil {
			return c, nil
		}
	}
	return m.pick(hello.ServerName, hello.SupportsCertificate), nil
}

// pick finds the certificate for a server name; the default when there is none, since a program
// that asks by another name can show its user what it got.
func (m *Manager) pick(name string, fits func(*tls.Certificate) error) *tls.Certificate {
	entries := *m.local.Load()
	for _, e := range entries {
		if name != "" && e.cert.Leaf.VerifyHostname(name) == nil && (fits == nil || fits(e.cert) == nil) {
			return e.cert
		}
	}
	return entries[0].cert
}

// Leaf is the certificate that clients are shown who ask for a name (auth.Config.Leaf).
func (m *Manager) Leaf(serverName string) *x509.Certificate {
	if m.acme != nil {
		if c := m.acme.get(&tls.ClientHelloInfo{ServerName: serverName}); c != nil {
			return c.Leaf
		}
	}
	return m.pick(serverName, nil).Leaf
}

// MX is for port 25: TLS 1.2 and up, no session tickets, no client certificates.
func (m *Manager) MX() *tls.Config {
	return &tls.Config{
		GetCertificate: m.get,
		MinVersion:     tls.VersionTLS12,
		// Microsoft's senders give up when they are handed one (golang/go#70232).
		SessionTicketsDisabled: true,
		KeyLogWriter:           m.keyLog(),
	}
}

// Client is for ports that users' programs talk to: TLS 1.2 and up with ECDHE and AEAD only.
// proto is the ALPN name, "imap", "pop3", "smtp", or "h2" and "http/1.1".
func (m *Manager) Client(proto ...string) *tls.Config {
	if m.acme != nil && slices.ContainsFunc(proto, isHTTP) {
		proto = append(slices.Clip(proto), acmeProto)
	}
	return &tls.Config{
		GetCertificate: m.get,
		MinVersion:     tls.VersionTLS12,
		// RFC 9325 4.2. They bind TLS 1.2 only; all of TLS 1.3's are such.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:   proto,
		KeyLogWriter: m.keyLog(),
	}
}

func isHTTP(proto string) bool { return proto == "h2" || strings.HasPrefix(proto, "http/") }

// keyLog keeps a nil Writer nil.
func (m *Manager) keyLog() interface{ Write([]byte) (int, error) } {
	if m.cfg.KeyLog == nil {
		return nil
	}
	return m.cfg.KeyLog
}

// Challenge answers HTTP-01 challenges and passes everything else on.
func (m *Manager) Challenge(next http.Handler) http.Handler {
	if m.acme == nil {
		return next
	}
	return m.acme.challenge(next)
}

// Info describes one certificate for "tls status".
type Info struct {
	Hosts     []string
	Issuer    string
	NotBefore string
	NotAfter  string
	Source    string // "acme", "file", "authority", "self-signed"
	Problem   string // the last error in getting or renewing it
}

// Status lists the certificates. One that ACME is still to get is listed as the self-signed one that
// stands in, with the problem.
func (m *Manager) Status() []Info {
	var list []Info
	if m.acme != nil {
		list = m.acme.status()
		if len(list) == len(m.acme.hosts) {
			return list
		}
	}
	for _, e := range *m.local.Load() {
		info := infoOf(e.cert.Leaf, e.source)
		if e.err != nil {
			info.Problem = e.err.Error()
		}
		if m.acme != nil {
			info.Problem = m.acme.missing()
		}
		list = append(list, info)
	}
	return list
}

func infoOf(leaf *x509.Certificate, source string) Info {
	hosts := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return Info{
		Hosts:     hosts,
		Issuer:    leaf.Issuer.String(),
		NotBefore: leaf.NotBefore.UTC().Format(time.RFC3339),
		NotAfter:  leaf.NotAfter.UTC().Format(time.RFC3339),
		Source:    source,
	}
}

// privateDir makes a folder that only we can read.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	return nil
}
