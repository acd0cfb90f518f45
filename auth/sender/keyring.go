package sender

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Algorithm is the a= of a DKIM signature.
type Algorithm string

const (
	RSA     Algorithm = "rsa-sha256"
	Ed25519 Algorithm = "ed25519-sha256"
)

// KeyState says what a signing key is used for.
type KeyState string

const (
	KeyWaiting KeyState = "waiting" // made by Rotate, signs as soon as its record is seen in DNS
	KeyActive  KeyState = "active"  // signs
	KeyRetired KeyState = "retired" // signs no more; its record stays a week for mail on its way
)

// Errors that callers branch on.
var (
	ErrNoKey    = errors.New("no such DKIM key")
	ErrKeyTaken = errors.New("a DKIM key of that name exists already")
	ErrKeyName  = errors.New("not a domain and selector for a DKIM key")
)

// Key is one signing key as the admin sees it.
type Key struct {
	Domain, Selector string
	Algorithm        Algorithm
	Bits             int
	State            KeyState
	Since            time.Time // of the state
	Record           string    // the text to publish
}

// Name is where the record is published.
func (k Key) Name() string { return k.Selector + "._domainkey." + k.Domain }

type signingKey struct {
	Key
	signer crypto.Signer
}

// Keyring holds the DKIM keys of our domains, one file each: DIR/DOMAIN/SELECTOR.pem, mode 0600, PKCS #8.
// What a key is used for stands in DIR/DOMAIN/states.json; a key that isn't there is active, so that a
// key made elsewhere needs only to be copied in. One process at a time owns the folder. A Keyring is
// safe for concurrent use.
type Keyring struct {
	dir string
	now func() time.Time

	mu   sync.RWMutex
	keys map[string][]*signingKey // by domain; never changed in place
}

// OpenKeyring reads the keys below dir, which is created when it is missing.
func OpenKeyring(dir string, now func() time.Time) (*Keyring, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open DKIM keys: %w", err)
	}
	kr := &Keyring{dir: dir, now: now, keys: make(map[string][]*signingKey)}
	domains, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open DKIM keys: %w", err)
	}
	for _, d := range domains {
		if !d.IsDir() {
			continue
		}
		keys, err := kr.readDomain(d.Name())
		if err != nil {
			return nil, fmt.Errorf("open DKIM keys of %s: %w", d.Name(), err)
		}
		if len(keys) > 0 {
			kr.keys[d.Name()] = keys
		}
	}
	return kr, nil
}

func (kr *Keyring) readDomain(domain string) ([]*signingKey, error) {
	states, err := readStates(filepath.Join(kr.dir, domain, statesFile))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(kr.dir, domain, "*.pem"))
	if err != nil {
		return nil, err
	}
	var keys []*signingKey
	for _, file := range files {
		selector := strings.TrimSuffix(filepath.Base(file), ".pem")
		signer, err := readPEM(file)
		if err != nil {
			return nil, err
		}
		key, err := newSigningKey(domain, selector, signer)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		key.State = KeyActive
		if s, ok := states[selector]; ok {
			key.State, key.Since = s.State, s.Since
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func readPEM(file string) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: not a PEM file", file)
	}
	if block.Type == "RSA PRIVATE KEY" { // of opendkim-genkey and older openssl
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a %T can't sign", file, key)
	}
	return signer, nil
}

func newSigningKey(domain, selector string, signer crypto.Signer) (*signingKey, error) {
	key := &signingKey{Key: Key{Domain: domain, Selector: selector}, signer: signer}
	switch public := signer.Public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return nil, err
		}
		key.Algorithm, key.Bits = RSA, public.N.BitLen()
		key.Record = "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	case ed25519.PublicKey:
		key.Algorithm, key.Bits = Ed25519, 8*len(public)
		key.Record = "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	default:
		return nil, fmt.Errorf("DKIM has no algorithm for a %T", public)
	}
	return key, nil
}

// Add makes a key that signs at once. An empty selector stands for one made of the algorithm and the date.
func (kr *Keyring) Add(domain, selector string, alg Algorithm) (Key, error) {
	kr.mu.Lock()
	defer kr.mu.Unlock()
	key, err := kr.generate(domain, selector, alg, KeyActive)
	if err != nil {
		return Key{}, err
	}
	return key.Key, kr.store(domain, append(slices.Clip(kr.keys[key.Domain]), key))
}

// generate makes a key and writes its file; kr.mu is held.
func (kr *Keyring) generate(domain, selector string, alg Algorithm, state KeyState) (*signingKey, error) {
	prefix := map[Algorithm]string{RSA: "rsa", Ed25519: "ed"}[alg]
	if prefix == "" {
		return nil, fmt.Errorf("DKIM has no algorithm %q", alg)
	}
	if selector == "" {
		selector = kr.freshSelector(domain, prefix+kr.now().UTC().Format("20060102"))
	}
	if !isLDHName(domain) || !isLDHName(selector) {
		return nil, fmt.Errorf("%w: %q, %q", ErrKeyName, domain, selector)
	}
	if kr.find(domain, selector) != nil {
		return nil, fmt.Errorf("%s of %s: %w", selector, domain, ErrKeyTaken)
	}
	var signer crypto.Signer
	var err error
	if alg == RSA {
		signer, err = rsa.GenerateKey(rand.Reader, 2048) // RFC 8301 3.2
	} else {
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("make a DKIM key: %w", err)
	}
	key, err := newSigningKey(domain, selector, signer)
	if err != nil {
		return nil, err
	}
	key.State, key.Since = state, kr.now()
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(kr.dir, domain), 0o700); err != nil {
		return nil, fmt.Errorf("write DKIM key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := writeFile(kr.path(domain, selector), text); err != nil {
		return nil, fmt.Errorf("write DKIM key: %w", err)
	}
	return key, nil
}

func (kr *Keyring) freshSelector(domain, base string) string {
	selector := base
	for c := 'b'; c <= 'z' && kr.find(domain, selector) != nil; c++ {
		selector = base + string(c)
	}
	return selector
}

func (kr *Keyring) path(domain, selector string) string {
	return filepath.Join(kr.dir, domain, selector+".pem")
}

func (kr *Keyring) find(domain, selector string) *signingKey {
	for _, k := range kr.keys[domain] {
		if k.Selector == selector {
			return k
		}
	}
	return nil
}

// List returns all keys, or those of one domain, sorted by domain and selector.
func (kr *Keyring) List(domain string) []Key {
	kr.mu.RLock()
	defer kr.mu.RUnlock()
	var list []Key
	for d, keys := range kr.keys {
		if domain == "" || d == domain {
			for _, k := range keys {
				list = append(list, k.Key)
			}
		}
	}
	slices.SortFunc(list, func(a, b Key) int {
		return strings.Compare(a.Domain+" "+a.Selector, b.Domain+" "+b.Selector)
	})
	return list
}

// Remove removes a key and its file at once.
func (kr *Keyring) Remove(domain, selector string) error {
	kr.mu.Lock()
	defer kr.mu.Unlock()
	key := kr.find(domain, selector)
	if key == nil {
		return fmt.Errorf("%s of %s: %w", selector, domain, ErrNoKey)
	}
	return kr.remove(key)
}

// remove takes the file away; kr.mu is held.
func (kr *Keyring) remove(key *signingKey) error {
	if err := os.Remove(kr.path(key.Domain, key.Selector)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove DKIM key: %w", err)
	}
	rest := slices.DeleteFunc(slices.Clone(kr.keys[key.Domain]), func(k *signingKey) bool { return k == key })
	return kr.store(key.Domain, rest)
}
