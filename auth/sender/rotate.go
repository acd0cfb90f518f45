package sender

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"facteur/mta/dns"
)

// retirement is how long the record of a key is kept after its last signature.
const retirement = 7 * 24 * time.Hour

// Rotate makes a new key for each active one of the domain. The new ones wait: publish their records,
// then Advance puts them to use and retires the old.
func (kr *Keyring) Rotate(domain string) ([]Key, error) {
	kr.mu.Lock()
	defer kr.mu.Unlock()
	old := kr.keys[domain]
	keys := slices.Clone(old)
	var added []Key
	for _, k := range old {
		waits := func(other *signingKey) bool { return other.State == KeyWaiting && other.Algorithm == k.Algorithm }
		if k.State != KeyActive || slices.ContainsFunc(keys, waits) {
			continue
		}
		key, err := kr.generate(domain, "", k.Algorithm, KeyWaiting)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
		added = append(added, key.Key)
		if err := kr.store(domain, keys); err != nil {
			return nil, err
		}
	}
	if len(old) == 0 {
		return nil, fmt.Errorf("rotate the keys of %s: %w", domain, ErrNoKey)
	}
	return added, nil
}

// Advance takes the second step of each rotation: a waiting key whose record DNS shows becomes active
// and the others of its algorithm retire; keys retired for a week are removed. It returns the keys
// whose state changed; those it removed are still called retired. Call it now and then, and from
// "dkim rotate".
func (kr *Keyring) Advance(ctx context.Context, resolver *dns.Resolver) ([]Key, error) {
	var changed []Key
	var errs []error
	for _, key := range kr.List("") {
		switch {
		case key.State == KeyWaiting:
			seen, err := published(ctx, resolver, key)
			if err != nil {
				errs = append(errs, err)
			} else if seen {
				keys, err := kr.activate(key)
				changed, errs = append(changed, keys...), append(errs, err)
			}
		case key.State == KeyRetired && kr.now().Sub(key.Since) >= retirement:
			errs = append(errs, kr.Remove(key.Domain, key.Selector))
			changed = append(changed, key)
		}
	}
	return changed, errors.Join(errs...)
}

// published reports whether DNS shows the record of key, however it is split and spaced.
func published(ctx context.Context, resolver *dns.Resolver, key Key) (bool, error) {
	ans, err := resolver.TXT(ctx, key.Name())
	if dns.IsNotFound(err) {
		return false, nil
	}
	want := key.Record[strings.LastIndex(key.Record, "p=")+2:]
	for _, text := range ans.Records {
		if tags, bad := parseTags(text); bad == nil && stripWSP(tags.value("p")) == want {
			return true, nil
		}
	}
	return false, err
}

func (kr *Keyring) activate(key Key) ([]Key, error) {
	kr.mu.Lock()
	defer kr.mu.Unlock()
	var keys []*signingKey
	var changed []Key
	for _, k := range kr.keys[key.Domain] {
		state := k.State
		if k.Selector == key.Selector {
			state = KeyActive
		} else if k.Algorithm == key.Algorithm && k.State == KeyActive {
			state = KeyRetired
		}
		if state != k.State {
			next := *k
			next.State, next.Since = state, kr.now()
			k = &next
			changed = append(changed, k.Key)
		}
		keys = append(keys, k)
	}
	return changed, kr.store(key.Domain, keys)
}
