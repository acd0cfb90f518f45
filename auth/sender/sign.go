package sender

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// signedFields are signed once more than they occur, so that none can be added on the way (RFC 6376
// 8.15): whoever adds a second From or a Reply-To breaks the signature.
var signedFields = []string{
	"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
	"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post",
	"List-Owner", "List-Archive",
}

// maxNames is the most octets that h= may have: the library writes it as one line, and a line has 998
// at most (RFC 5322 2.1.1).
const maxNames = 900

// ErrTooManyFields is the answer to a header in which fields that there may be one of occur dozens of
// times. It is malformed; refuse it.
var ErrTooManyFields = errors.New("too many header fields to sign")

// Sign returns the DKIM-Signature fields, CRLF ends, for a message from a domain of ours: one for each
// active key. None without a key. The header is the whole header that the message will have, with or without
// the blank line that ends it; body is read to its end, once.
//
// go-msgauth makes the signatures. Only the fields to be signed are given to it, already
// canonicalised: its own unfolding takes quadratic time, and what it does with them then changes
// nothing more.
func (kr *Keyring) Sign(domain string, header []byte, body io.Reader) ([]byte, error) {
	signed, keys, err := headerToSign(header)
	if err != nil {
		return nil, err
	}
	kr.mu.RLock()
	ring := kr.keys[domain]
	kr.mu.RUnlock()

	var signers []*dkim.Signer
	var sinks []io.Writer
	defer func() {
		for _, s := range signers {
			s.Close() // ends its goroutine when we leave early; no-op otherwise
		}
	}()
	for _, key := range ring {
		if key.State != KeyActive {
			continue
		}
		s, err := dkim.NewSigner(&dkim.SignOptions{
			Domain:                 key.Domain,
			Selector:               key.Selector,
			Signer:                 key.signer,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed,
			BodyCanonicalization:   dkim.CanonicalizationRelaxed,
			HeaderKeys:             keys,
		})
		if err != nil {
			return nil, fmt.Errorf("sign with %s: %w", key.Name(), err)
		}
		signers = append(signers, s)
		sinks = append(sinks, s)
	}
	if len(signers) == 0 {
		return nil, nil
	}
	all := io.MultiWriter(sinks...)
	if _, err := all.Write(signed); err != nil {
		return nil, fmt.Errorf("sign for %s: %w", domain, err)
	}
	if _, err := io.Copy(all, body); err != nil {
		return nil, fmt.Errorf("sign for %s: %w", domain, err)
	}
	var lines strings.Builder
	for _, s := range signers {
		if err := s.Close(); err != nil {
			return nil, fmt.Errorf("sign for %s: %w", domain, err)
		}
		lines.WriteString(s.Signature())
	}
	return []byte(lines.String()), nil
}

// headerToSign picks the fields to be signed, in the relaxed canonical form, and the list of their
// names for h=.
func headerToSign(header []byte) (signed []byte, keys []string, err error) {
	count := make(map[string]int)
	for _, name := range signedFields {
		count[strings.ToLower(name)] = 1
	}
	for _, f := range splitHeader(header) {
		if count[f.name] == 0 {
			continue
		}
		count[f.name]++
		signed = appendRelaxed(signed, f)
	}
	size := 0
	for _, name := range signedFields {
		for range count[strings.ToLower(name)] {
			keys = append(keys, name)
			if size += len(name) + 1; size > maxNames {
				return nil, nil, ErrTooManyFields
			}
		}
	}
	return append(signed, "\r\n"...), keys, nil
}
