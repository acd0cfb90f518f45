package remote

import (
	"crypto/tls"
	"net"
	"testing"

	"facteur/test/loopback"
)

func selfSigned(t testing.TB) *tls.Config {
	cfg, _ := loopback.Certificate(t, "wrong.test")
	return cfg
}

func serverTLS(conn net.Conn, cfg *tls.Config) net.Conn { return tls.Server(conn, cfg) }
