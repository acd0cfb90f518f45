package cert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/certmagic"
)

// acmeProto is the ALPN name of a TLS-ALPN-01 challenge (RFC 8737 6.2).
const acmeProto = "acme-tls/1"

// acmeSource gets certificates from an ACME server, one for each host.
type acmeSource struct {
	log    *slog.Logger
	hosts  []string // names only: no ACME server that we know of is asked for addresses
	cache  *certmagic.Cache
	magic  *certmagic.Config
	issuer *certmagic.ACMEIssuer

	mu       sync.Mutex
	problems map[string]string // by host
}

// newACME loads the certificates that we have already. It does not touch the network.
func newACME(cfg Config) (*acmeSource, error) {
	if !cfg.ACME.Agreed {
		return nil, errors.New("certificates: the ACME server's terms have to be agreed to")
	}
	s := &acmeSource{log: cfg.Log, problems: make(map[string]string)}
	for _, h := range cfg.Hosts {
		if net.ParseIP(h) == nil {
			s.hosts = append(s.hosts, strings.ToLower(h))
		}
	}
	if len(s.hosts) == 0 {
		return nil, errors.New("certificates: ACME needs a host name")
	}
	dir := filepath.Join(cfg.Dir, "acme")
	if err := privateDir(dir); err != nil {
		return nil, err
	}
	quiet := zapToSlog(cfg.Log)
	s.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return s.magic, nil },
		RenewCheckInterval: cfg.ACME.Every,
		Logger:             quiet,
	})
	s.magic = certmagic.New(s.cache, certmagic.Config{
		RenewalWindowRatio: cfg.ACME.Window,
		OnEvent:            s.event,
		DefaultServerName:  s.hosts[0],
		FallbackServerName: s.hosts[0],
		ReusePrivateKeys:   cfg.ACME.ReuseKeys,
		OCSP:               certmagic.OCSPConfig{DisableStapling: true},
		Storage:            &certmagic.FileStorage{Path: dir},
		Logger:             quiet,
	})
	s.issuer = certmagic.NewACMEIssuer(s.magic, certmagic.ACMEIssuer{
		CA:             cfg.ACME.Directory,
		Email:          cfg.ACME.Email,
		Agreed:         true,
		AltHTTPPort:    cfg.ACME.HTTPPort,
		AltTLSALPNPort: cfg.ACME.TLSPort,
		TrustedRoots:   cfg.ACME.Roots,
		Logger:         quiet,
	})
	s.magic.Issuers = []certmagic.Issuer{s.issuer}
	for _, h := range s.hosts {
		_, err := s.magic.CacheManagedCertificate(context.Background(), h)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			cfg.Log.Warn("a certificate on disk can't be used: another will be obtained", "host", h, "error", err)
		}
	}
	return s, nil
}

// run obtains what is missing and renews what is due. certmagic tries again by itself, at longer and
// longer intervals.
func (s *acmeSource) run(ctx context.Context) error {
	defer s.cache.Stop()
	if err := s.magic.ManageAsync(ctx, s.hosts); err != nil && ctx.Err() == nil {
		return fmt.Errorf("manage certificates: %w", err)
	}
	<-ctx.Done()
	return nil
}

// event hears what certmagic did.
func (s *acmeSource) event(_ context.Context, event string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch event {
	case "cert_obtained":
		delete(s.problems, host)
		s.log.Info("certificate obtained", "host", host, "renewal", data["renewal"], "issuer", data["issuer"])
	case "cert_failed":
		s.problems[host] = fmt.Sprint(data["error"])
		s.log.Warn("certificate not obtained: the old or a self-signed one is shown", "host", host, "renewal", data["renewal"], "error", data["error"])
	}
	return nil
}

// get returns the certificate for a handshake, nil when we have none yet.
func (s *acmeSource) get(hello *tls.ClientHelloInfo) *tls.Certificate {
	if slices.Contains(hello.SupportedProtos, acmeProto) || s.has(hello.ServerName) || s.has(s.hosts[0]) {
		if c, err := s.magic.GetCertificate(hello); err == nil {
			return c
		}
	}
	return nil
}

// has keeps certmagic from searching its folder in each handshake.
func (s *acmeSource) has(host string) bool {
	return host != "" && len(s.cache.AllMatchingCertificates(host)) > 0
}

func (s *acmeSource) challenge(next http.Handler) http.Handler {
	return s.issuer.HTTPChallengeHandler(next)
}

// status lists the certificates that we have.
func (s *acmeSource) status() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Info
	for _, h := range s.hosts {
		certs := s.cache.AllMatchingCertificates(h)
		if len(certs) == 0 {
			continue
		}
		info := infoOf(certs[0].Leaf, "acme")
		info.Problem = s.problems[h]
		list = append(list, info)
	}
	return list
}

// missing says why hosts have no certificate yet.
func (s *acmeSource) missing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, h := range s.hosts {
		if s.has(h) {
			continue
		}
		why := s.problems[h]
		if why == "" {
			why = "not obtained yet"
		}
		list = append(list, h+": "+why)
	}
	return strings.Join(list, "; ")
}
