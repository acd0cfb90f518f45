// Package pebble is an ACME authority for tests: Let's Encrypt's own Pebble, in the test's process. The tests of
// auth/cert and of whole servers get their certificates from it over loopback.
package pebble
