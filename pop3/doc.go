// Package pop3 is the POP3 server.
package pop3
