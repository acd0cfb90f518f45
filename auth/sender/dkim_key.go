package sender

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"facteur/mta/dns"
)

// Bounds of RSA keys: RFC 8301 3.2 has the lower one; the upper one bounds our work.
const (
	minRSABits = 1024
	maxRSABits = 8192
)

// maxKeyRecords is how many records of one selector are tried (RFC 6376 6.1.2 leaves it to us).
const maxKeyRecords = 3

// dkimKey is a key record (RFC 6376 3.6.1).
type dkimKey struct {
	public  crypto.PublicKey
	bits    int
	testing bool // t=y
	strict  bool // t=s: i= must be of d= itself
}

// errNoKeyRecord is the error for TXT records that don't hold a key at all.
var errNoKeyRecord = errors.New("not a key record")

// parseKey reads a key record for signatures of an algorithm.
func parseKey(text string, alg Algorithm) (*dkimKey, error) {
	tags, err := parseTags(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKeyRecord, err)
	}
	if i := slices.IndexFunc(tags, func(t tag) bool { return t.name == "v" }); i > 0 || i == 0 && tags[0].value != "DKIM1" {
		return nil, fmt.Errorf("%w: v= is not DKIM1, or not first", errNoKeyRecord)
	}
	p, ok := tags.get("p")
	if !ok {
		return nil, fmt.Errorf("%w: no p=", errNoKeyRecord)
	}
	if hashes, ok := tags.get("h"); ok && !hashes.lists("sha256") {
		return nil, errors.New("the key is not for sha256")
	}
	if services, ok := tags.get("s"); ok && !services.lists("email") && !services.lists("*") {
		return nil, errors.New("the key is not for mail")
	}
	kind := "rsa"
	if k, ok := tags.get("k"); ok {
		kind = k.value
	}
	if want, _, _ := strings.Cut(string(alg), "-"); kind != want {
		return nil, fmt.Errorf("the key is for %.20q, the signature %s", kind, alg)
	}
	data := stripWSP(p.value)
	if data == "" {
		return nil, errors.New("the key is revoked")
	}
	der, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, errors.New("the key is not base64")
	}
	key := &dkimKey{}
	if flags, ok := tags.get("t"); ok {
		key.testing, key.strict = flags.lists("y"), flags.lists("s")
	}
	if alg == Ed25519 {
		if len(der) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("an Ed25519 key of %d octets", len(der))
		}
		key.public, key.bits = ed25519.PublicKey(der), 8*len(der)
		return key, nil
	}
	public, err := parseRSA(der)
	if err != nil {
		return nil, err
	}
	key.public, key.bits = public, public.N.BitLen()
	return key, nil
}

// parseRSA reads a SubjectPublicKeyInfo, as RFC 6376 means it, or a RSAPublicKey, as its ABNF says.
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	if public, err := x509.ParsePKIXPublicKey(der); err == nil {
		if key, ok := public.(*rsa.PublicKey); ok {
			return key, nil
		}
		return nil, errors.New("the key is not RSA")
	}
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return nil, errors.New("the key can't be read")
	}
	return key, nil
}

// lists reports whether a value of the form a:b:c has an item.
func (t tag) lists(item string) bool {
	for i := range strings.SplitSeq(t.value, ":") {
		if strings.Trim(i, fws) == item {
			return true
		}
	}
	return false
}

// keyAnswer is what DNS has for a selector.
type keyAnswer struct {
	records []string
	err     error
}

// lookUpKeys asks for the keys of all signatures at the same time, each name once. What it returns for a name
// waits for the answer; it may be called again.
func lookUpKeys(ctx context.Context, resolver *dns.Resolver, sigs []*signature) map[string]func() keyAnswer {
	answers := make(map[string]func() keyAnswer)
	for _, s := range sigs {
		name := s.keyName()
		if s.err != nil || answers[name] != nil {
			continue
		}
		wait := async(func() keyAnswer {
			ans, err := resolver.TXT(ctx, name)
			return keyAnswer{ans.Records, err}
		})
		answers[name] = sync.OnceValue(wait)
	}
	return answers
}

// verify returns nil when sig is this key's signature over the digest.
func (k *dkimKey) verify(digest, sig []byte) error {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest, sig)
	case ed25519.PublicKey:
		// RFC 8463 3: PureEdDSA over the digest.
		if ed25519.Verify(public, digest[:sha256.Size], sig) {
			return nil
		}
	}
	return errors.New("ed25519: verification error")
}
