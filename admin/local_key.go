package admin

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"facteur/auth/sender"
)

func keyOf(k sender.Key) Key {
	return Key{k.Domain, k.Selector, string(k.Algorithm), string(k.State), k.Since, k.Record}
}

// Keys implements Service.
func (l *Local) Keys(_ context.Context, q Name) ([]Key, error) {
	if q.Name != "" {
		var err error
		if q.Name, err = l.hostedDomain(q.Name); err != nil {
			return nil, err
		}
	}
	var list []Key
	for _, k := range l.Keyring.List(q.Name) {
		list = append(list, keyOf(k))
	}
	return list, nil
}

// AddKey implements Service.
func (l *Local) AddKey(_ context.Context, q NewKey) ([]Key, error) {
	domain, err := l.hostedDomain(q.Domain)
	if err != nil {
		return nil, err
	}
	var algorithms []sender.Algorithm
	switch q.Algorithm {
	case "":
		algorithms = []sender.Algorithm{sender.RSA, sender.Ed25519}
	case "rsa":
		algorithms = []sender.Algorithm{sender.RSA}
	case "ed25519":
		algorithms = []sender.Algorithm{sender.Ed25519}
	default:
		return nil, fmt.Errorf("%w: algorithm %q is neither rsa nor ed25519", ErrInvalid, q.Algorithm)
	}
	if q.Selector != "" && len(algorithms) > 1 {
		return nil, fmt.Errorf("%w: a selector names one key, so name its algorithm too", ErrInvalid)
	}
	var list []Key
	for _, a := range algorithms {
		k, err := l.Keyring.Add(domain, q.Selector, a)
		if err != nil {
			return list, err
		}
		list = append(list, keyOf(k))
	}
	return list, nil
}

// RotateKeys implements Service. With keys waiting it looks for their records and puts
// them to use; else it makes new ones. It returns all keys of the domain.
func (l *Local) RotateKeys(ctx context.Context, q Name) ([]Key, error) {
	domain, err := l.hostedDomain(q.Name)
	if err != nil {
		return nil, err
	}
	waiting := func(k sender.Key) bool { return k.State == sender.KeyWaiting }
	if slices.ContainsFunc(l.Keyring.List(domain), waiting) {
		_, err = l.Keyring.Advance(ctx, l.Resolver)
	} else {
		_, err = l.Keyring.Rotate(domain)
	}
	if err != nil {
		return nil, err
	}
	return l.Keys(ctx, Name{domain})
}

// RemoveKey implements Service.
func (l *Local) RemoveKey(_ context.Context, q Key) (None, error) {
	domain, err := l.hostedDomain(q.Domain)
	if err != nil {
		return None{}, err
	}
	return None{}, l.Keyring.Remove(domain, q.Selector)
}

// SignSample implements Service. The text is always the same, so that nobody can have words of his own signed.
func (l *Local) SignSample(_ context.Context, q Name) (Sample, error) {
	domain, err := l.hostedDomain(q.Name)
	if err != nil {
		return Sample{}, err
	}
	header := fmt.Appendf(nil, "From: <postmaster@%s>\r\nSubject: A sample to check the signatures of\r\n\r\n", domain)
	body := []byte("Nobody has sent this message.\r\n")
	signatures, err := l.Keyring.Sign(domain, header, bytes.NewReader(body))
	if err != nil || len(signatures) == 0 {
		return Sample{}, err
	}
	return Sample{slices.Concat(signatures, header, body)}, nil
}
