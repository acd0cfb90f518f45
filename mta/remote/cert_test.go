package remote

import (
	"crypto/tls"
	"net"
)

func serverTLS(conn net.Conn, cfg *tls.Config) net.Conn { return tls.Server(conn, cfg) }
