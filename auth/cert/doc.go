// Package cert gets us the certificates we show: from an ACME server through certmagic, from
// files that are watched, or self-signed with a warning. It hands out *tls.Config.
//
// What must stay true: the server starts when no ACME server answers; a new certificate is
// served without a restart and without ending a connection; no host is asked for
// that is not on the list; keys are 0600 below the data folder.
//
// RFC 8555, 8737 (TLS-ALPN-01), 9325 (TLS versions and ciphers), 7301 (ALPN).
package cert
