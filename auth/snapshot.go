package auth

import (
	"crypto/sha256"
	"strings"
	"time"

	"facteur/storage/message"
)

// A snapshot is all of server.db that RCPT and AUTH ask for, in memory. It is never changed:
// every write reads a new one and puts it in its place.
type snapshot struct {
	domains  map[string]*Domain // by name in A-labels
	accounts map[string]*account
	aliases  map[string]*Alias
	first    []*Domain  // by age
	oldest   []*account // by age

	hostname   string // the server's own
	separators string
	ignoreDots bool
}

// account is an Account with its secrets.
type account struct {
	Account
	id        int64
	key       string
	domain    string
	hash      string // PHC
	scramSalt []byte
	scram     scramKeys
	apps      []*appPassword
}

// appPassword is an AppPassword with its secrets. It is of so many random bits that one round of
// SHA-256 keeps it safe.
type appPassword struct {
	id       int64
	name     string
	services []Service
	expires  time.Time
	digest   [sha256.Size]byte
	scram    scramKeys
}

func (p *appPassword) expired(now time.Time) bool {
	return !p.expires.IsZero() && !now.Before(p.expires)
}

func (p *appPassword) allows(s Service) bool {
	if len(p.services) == 0 {
		return true
	}
	for _, allowed := range p.services {
		if allowed == s {
			return true
		}
	}
	return false
}

// key is the form of an address that the maps of a snapshot have.
func (s *snapshot) key(a message.AddrSpec) string {
	key := a.Key()
	if !s.ignoreDots {
		return key
	}
	at := strings.LastIndexByte(key, '@')
	return strings.ReplaceAll(key[:at], ".", "") + key[at:]
}

// domain finds a hosted domain in any spelling.
func (s *snapshot) domain(name string) *Domain {
	ascii, err := message.ASCIIDomain(name)
	if err != nil {
		return nil
	}
	return s.domains[ascii]
}

// user finds the account of a login name.
func (s *snapshot) user(name string) *account { return s.accounts[s.loginKey(name)] }

// loginKey brings a login name into the form of an account's key: it is an address, or a
// local-part alone where only one domain is hosted.
func (s *snapshot) loginKey(name string) string {
	name = prepare(name)
	if !strings.Contains(name, "@") && len(s.first) == 1 {
		name += "@" + s.first[0].Name
	}
	addr, err := message.ParseAddrSpec(name)
	if err != nil {
		return strings.ToLower(name[:min(len(name), 320)])
	}
	return s.key(addr)
}

// live reports whether an account may be used: neither it nor its domain is disabled.
func (s *snapshot) live(a *account) bool {
	return !a.Disabled && !s.domains[a.domain].Disabled
}
