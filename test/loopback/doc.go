// Package loopback is what the tests of whole programs share: the facteur binary, free ports for a demo, and
// programs that end with their test.
package loopback
