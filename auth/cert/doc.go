// Package cert gets us the certificates we show: from an ACME server through certmagic, from
// files that are watched, or self-signed with a warning. It hands out *tls.Config.
//
// What must stay true:
//
//   - The server starts when no ACME server answers: New waits for no network, and a
//     self-signed certificate stands in for one that is still to come.
//   - A new certificate is served without a restart and without ending a connection: every
//     handshake asks anew, and nothing else does.
//   - Files that can't be read or don't fit together never replace a certificate that works.
//   - No host is asked for that is not on the list.
//   - Keys are 0600 below the data folder, whose part for ACME is 0700.
//
// RFC 8555 (ACME), 8737 (TLS-ALPN-01), 9325 (TLS versions and ciphers), 7301 (ALPN).
//
// BUGS: certmagic begins to look after its cache in New; that goroutine ends with Run. OCSP answers
// are not stapled: Let's Encrypt has none any more, and mail programs don't ask.
package cert
