package pebble

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Server is an authority that serves until the test ends, or it is closed.
type Server struct {
	*httptest.Server
	ca *ca.CAImpl
}

// Start starts one that validates all names at the given ports of 127.0.0.1.
func Start(t *testing.T, httpPort, tlsPort int) *Server {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "30") // percent: clients have to cope
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 3600}})
	validator := va.New(quiet, httpPort, tlsPort, false, startDNS(t), store)
	front := wfe.New(quiet, store, validator, authority, []string{"pebble.test"}, false, false, 1, 1)
	s := &Server{Server: httptest.NewTLSServer(front.Handler()), ca: authority}
	t.Cleanup(s.Close)
	return s
}

// Directory is the URL of its directory (RFC 8555 7.1.1).
func (s *Server) Directory() string { return s.URL + wfe.DirectoryPath }

// Front is what the certificate of its own address leads to.
func (s *Server) Front() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

// FrontPEM is Front as a file holds it.
func (s *Server) FrontPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// Trust is what the certificates that it issues lead to.
func (s *Server) Trust() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.ca.GetRootCert(0).PEM())
	return pool
}

// startDNS answers 127.0.0.1 for every name, over TCP, which is what Pebble asks by.
func startDNS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			r.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)}}
		}
		w.WriteMsg(r)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return l.Addr().String()
}
