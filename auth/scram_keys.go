package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// scramIterations is more than the 4096 that RFC 7677 4 asks for at least, and little enough
// for a phone. It is the same for all accounts, so that it doesn't tell who exists; and it can't
// be changed without new passwords, because app passwords are not known to us.
const scramIterations = 15000

const scramSaltLen = 16

// scramKeys is what the server keeps of a password for SCRAM-SHA-256 (RFC 5802 3).
type scramKeys struct {
	stored, server [sha256.Size]byte
}

func newScramSalt() []byte {
	salt := make([]byte, scramSaltLen)
	rand.Read(salt)
	return salt
}

// newScramKeys derives the keys from a prepared password.
func newScramKeys(password string, salt []byte) (scramKeys, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return scramKeys{}, fmt.Errorf("derive SCRAM keys: %w", err)
	}
	var k scramKeys
	k.stored = sha256.Sum256(hmacSHA256(salted, []byte("Client Key")))
	copy(k.server[:], hmacSHA256(salted, []byte("Server Key")))
	return k, nil
}

// bytes is the form in the database: StoredKey, then ServerKey.
func (k scramKeys) bytes() []byte { return append(k.stored[:], k.server[:]...) }

func parseScramKeys(b []byte) (scramKeys, error) {
	var k scramKeys
	if len(b) != 2*sha256.Size {
		return k, fmt.Errorf("SCRAM keys of %d octets", len(b))
	}
	copy(k.stored[:], b)
	copy(k.server[:], b[sha256.Size:])
	return k, nil
}

func hmacSHA256(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
