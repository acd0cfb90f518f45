package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Authority is a self-signed CA that signs what we show (the demo).
type Authority struct {
	Cert *x509.Certificate
	PEM  []byte // the certificate, as it is in ca.pem
	key  *ecdsa.PrivateKey
}

// OpenAuthority reads the CA in dir, or makes one the first time: ca.pem for everybody to trust,
// ca-key.pem for us.
func OpenAuthority(dir string, now time.Time) (*Authority, error) {
	keyPath := filepath.Join(dir, "ca-key.pem")
	c, err := readPEM(keyPath)
	if err != nil || now.After(c.Leaf.NotAfter.Add(-ownLife)) {
		if err := makeAuthority(keyPath, now); err != nil {
			return nil, fmt.Errorf("make a CA: %w", err)
		}
		if c, err = readPEM(keyPath); err != nil {
			return nil, fmt.Errorf("read the CA: %w", err)
		}
	}
	key, ok := c.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read the CA: %s holds no ECDSA key", keyPath)
	}
	a := &Authority{Cert: c.Leaf, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw}), key: key}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), a.PEM, 0o644); err != nil {
		return nil, fmt.Errorf("write the CA: %w", err)
	}
	return a, nil
}

func makeAuthority(path string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Facteur demo CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return err
	}
	return writePEM(path, key, der)
}

// leaf signs a certificate for hosts. Its key lives in memory only.
func (a *Authority) leaf(hosts []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leafTemplate(hosts, now), a.Cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
