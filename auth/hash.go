package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/xdg-go/stringprep"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// HashCost is what an argon2id hash costs (RFC 9106 3.1). A password whose hash was made
// with other costs is hashed anew at its next login.
type HashCost struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// defaultHashCost is the least that OWASP advises: 19 MiB, two passes, one lane.
var defaultHashCost = HashCost{MemoryKiB: 19 * 1024, Time: 2, Threads: 1}

const (
	hashSaltLen = 16
	hashKeyLen  = 32
)

// A hasher makes and checks argon2id hashes, at most one per processor at a time: a flood of
// logins may take time, but not the memory of the machine.
type hasher struct {
	cost  HashCost
	slots chan struct{}
	dummy string // what the passwords of unknown users are compared with
}

func newHasher(cost HashCost) *hasher {
	h := &hasher{cost: cost, slots: make(chan struct{}, runtime.NumCPU())}
	// No password has this hash, and it costs to find out what any other costs.
	h.dummy = phc(cost, make([]byte, hashSaltLen), make([]byte, hashKeyLen))
	return h
}

// hash returns a PHC string: "$argon2id$v=19$m=19456,t=2,p=1$SALT$KEY".
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, hashSaltLen)
	rand.Read(salt)
	release, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return phc(h.cost, salt, argon2.IDKey([]byte(password), salt, h.cost.Time, h.cost.MemoryKiB, h.cost.Threads, hashKeyLen)), nil
}

// verify compares a password with a PHC string. stale means that it matches, but that the
// hash was made with other costs than ours. known is asked when our turn has come: whether
// somebody who logged in at the same moment has found the password right meanwhile.
func (h *hasher) verify(ctx context.Context, password, encoded string, known func() bool) (ok, stale bool, err error) {
	cost, salt, want, err := parsePHC(encoded)
	if err != nil {
		return false, false, err
	}
	release, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	if known() {
		return true, false, nil
	}
	got := argon2.IDKey([]byte(password), salt, cost.Time, cost.MemoryKiB, cost.Threads, uint32(len(want)))
	ok = subtle.ConstantTimeCompare(got, want) == 1
	return ok, ok && cost != h.cost, nil
}

// turn waits until fewer hashes than processors are under way.
func (h *hasher) turn(ctx context.Context) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func phc(c HashCost, salt, key []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.MemoryKiB, c.Time, c.Threads, b64(salt), b64(key))
}

var errHash = errors.New("not an argon2id hash in PHC form")

// parsePHC reads what phc writes. It refuses costs that would hold the machine up, since the
// database may have been restored from somewhere else.
func parsePHC(s string) (c HashCost, salt, key []byte, err error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errHash
	}
	if n, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &c.MemoryKiB, &c.Time, &c.Threads); err != nil || n != 3 {
		return c, nil, nil, errHash
	}
	if c.MemoryKiB > 1<<20 || c.Time == 0 || c.Time > 64 || c.Threads == 0 {
		return c, nil, nil, errHash
	}
	salt, serr := base64.RawStdEncoding.DecodeString(f[4])
	key, kerr := base64.RawStdEncoding.DecodeString(f[5])
	if serr != nil || kerr != nil || len(key) < 16 || len(key) > 128 {
		return c, nil, nil, errHash
	}
	return c, salt, key, nil
}

// prepare brings a password or user name into the form that both sides hash (RFC 4013). What
// SASLprep does not allow, emoji for one, is taken in NFC: refusing it would lock out whoever
// types it, and client and server still agree in PLAIN.
func prepare(s string) string {
	if isPrintableASCII(s) {
		return s
	}
	if p, err := stringprep.SASLprep.Prepare(s); err == nil {
		return p
	}
	return norm.NFC.String(s)
}

func isPrintableASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
