package linger

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// Bounds of what is still read after our last words.
const (
	maxTime   = time.Second
	maxOctets = 1 << 20
)

// Close ends our half of the connection, reads on until the peer ends its own or has had a second, and
// closes. Over TLS the peer gets close_notify (RFC 8446 6.1). What was written before must have
// left. The caller may close the connection again.
func Close(c net.Conn) {
	defer c.Close()
	raw := c
	if t, ok := c.(*tls.Conn); ok {
		t.CloseWrite()
		raw = t.NetConn()
	}
	half, ok := raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	raw.SetReadDeadline(time.Now().Add(maxTime))
	io.CopyN(io.Discard, raw, maxOctets)
}
