// Package loopback is what tests share: certificates, patterns of dialogues, and for the tests of whole programs the
// facteur binary, free ports for a demo, programs that end with their test, and private roots with other servers.
package loopback
