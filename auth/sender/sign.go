package sender

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// signedFields are signed once more than they occur, so that none can be added on the way (RFC 6376
// 8.15): whoever adds a second From or a Reply-To breaks the signature.
var signedFields = []string{
	"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
	"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post",
	"List-Owner", "List-Archive",
}

// maxNames is the most octets that h= may have: three times what the fields above take.
const maxNames = 900

// ErrTooManyFields is the answer to a header in which fields that there may be one of occur dozens of
// times. It is malformed; refuse it.
var ErrTooManyFields = errors.New("too many header fields to sign")

// Sign returns the DKIM-Signature fields, CRLF ends, for a message from a domain of ours: one for each
// active key. None without a key. The header is the whole header that the message will have, with or without
// the blank line that ends it; body is read to its end, once, and hashed once for all keys.
func (kr *Keyring) Sign(domain string, header []byte, body io.Reader) ([]byte, error) {
	kr.mu.RLock()
	ring := kr.keys[domain]
	kr.mu.RUnlock()
	var keys []*signingKey
	for _, key := range ring {
		if key.State == KeyActive {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	signed, names, err := headerToSign(header)
	if err != nil {
		return nil, err
	}
	spec := bodySpec{relaxed: true, length: -1}
	sums, err := hashBodies(body, []bodySpec{spec})
	if err != nil {
		return nil, fmt.Errorf("sign for %s: %w", domain, err)
	}
	at := kr.now().Unix()
	var lines []byte
	for _, key := range keys {
		if lines, err = key.appendSignature(lines, signed, names, sums[spec], at); err != nil {
			return nil, fmt.Errorf("sign with %s: %w", key.Name(), err)
		}
	}
	return lines, nil
}

// headerToSign picks the fields to be signed, in the relaxed canonical form and in the order in which h=
// names them: the last of a name first (RFC 6376 5.4.2).
func headerToSign(header []byte) (signed []byte, names []string, err error) {
	m := newMail(header)
	size := 0
	for _, name := range signedFields {
		places := m.byName[strings.ToLower(name)]
		if size += (len(places) + 1) * (len(name) + 1); size > maxNames {
			return nil, nil, ErrTooManyFields
		}
		names = append(names, name)
		for n := len(places) - 1; n >= 0; n-- {
			signed = appendRelaxed(signed, m.fields[places[n]])
			names = append(names, name)
		}
	}
	return signed, names, nil
}

// appendSignature appends one DKIM-Signature field (RFC 6376 3.5). What is signed is the header's text and
// this field without its CRLF and the value of b= (3.7).
func (k *signingKey) appendSignature(dst, signed []byte, names []string, body bodySum, at int64) ([]byte, error) {
	start := len(dst)
	dst = append(dst, "DKIM-Signature: v=1; a="...)
	dst = append(dst, k.Algorithm...)
	dst = append(dst, "; c=relaxed/relaxed; d="+k.Domain+";\r\n\ts="+k.Selector+"; t="...)
	dst = strconv.AppendInt(dst, at, 10)
	dst = append(dst, ";\r\n\th="...)
	dst = appendNames(dst, names)
	dst = append(dst, ";\r\n\tbh="...)
	dst = base64.StdEncoding.AppendEncode(dst, body.sum[:])
	dst = append(dst, ";\r\n\tb="...)

	h := sha256.New()
	h.Write(signed)
	own := appendRelaxed(nil, newField(append(dst[start:len(dst):len(dst)], "\r\n"...)))
	h.Write(bytes.TrimSuffix(own, crlf))
	hash := crypto.SHA256
	if k.Algorithm == Ed25519 {
		hash = 0 // RFC 8463 3: PureEdDSA over the digest
	}
	b, err := k.signer.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		return nil, err
	}
	return append(appendFolded(dst, base64.StdEncoding.EncodeToString(b)), "\r\n"...), nil
}

// foldAt is where lines of a field of ours break (RFC 5322 2.1.1 advises 78).
const foldAt = 74

// appendNames appends the value of h=, folded before its colons (RFC 6376 3.5 lets blanks stand there).
func appendNames(dst []byte, names []string) []byte {
	line := 0
	for i, name := range names {
		if i > 0 && line+len(name)+1 > foldAt {
			dst = append(dst, "\r\n\t"...)
			line = 0
		}
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, name...)
		line += len(name) + 1
	}
	return dst
}

// appendFolded appends base64, in which blanks may stand anywhere.
func appendFolded(dst []byte, text string) []byte {
	for len(text) > foldAt {
		dst = append(append(dst, text[:foldAt]...), "\r\n\t"...)
		text = text[foldAt:]
	}
	return append(dst, text...)
}
