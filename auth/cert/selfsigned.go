package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// Apple's programs refuse certificates that live longer than this, also trusted ones.
	ownLife = 820 * 24 * time.Hour
	// renewOwnBefore is how long before its end our own certificate is made anew.
	renewOwnBefore = 30 * 24 * time.Hour

	authorityLife = 10 * 365 * 24 * time.Hour
)

// selfSigned returns the certificate for hosts that signs itself, which is kept in dir so that it is the
// same after a restart.
func selfSigned(dir string, hosts []string, now time.Time) (*tls.Certificate, error) {
	path := filepath.Join(dir, "self-signed.pem")
	c, err := readPEM(path)
	if err == nil && now.Before(c.Leaf.NotAfter.Add(-renewOwnBefore)) && covers(c.Leaf, hosts) {
		return c, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	tmpl := leafTemplate(hosts, now)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	if err := writePEM(path, key, der); err != nil {
		return nil, fmt.Errorf("keep the certificate: %w", err)
	}
	return readPEM(path)
}

// covers reports whether a certificate is for exactly these hosts.
func covers(leaf *x509.Certificate, hosts []string) bool {
	want := leafTemplate(hosts, time.Time{})
	return slices.Equal(leaf.DNSNames, want.DNSNames) && slices.EqualFunc(leaf.IPAddresses, want.IPAddresses, net.IP.Equal)
}

func leafTemplate(hosts []string, now time.Time) *x509.Certificate {
	tmpl := &x509.Certificate{
		SerialNumber: serial(),
		NotBefore:    now.Add(-time.Hour), // for peers whose clocks are behind
		NotAfter:     now.Add(ownLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// Without it a self-signed certificate is taken for a CA's by some programs.
		BasicConstraintsValid: true,
	}
	if len(hosts) > 0 {
		tmpl.Subject = pkix.Name{CommonName: hosts[0]}
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	return tmpl
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f // positive, at most 20 octets (RFC 5280 4.1.2.2)
	return new(big.Int).SetBytes(b[:])
}

// readPEM reads a file with a key and a certificate.
func readPEM(path string) (*tls.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

// writePEM writes what readPEM reads, whole or not at all.
func writePEM(path string, key crypto.PrivateKey, der []byte) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := privateDir(filepath.Dir(path)); err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(tmp, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
