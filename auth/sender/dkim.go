package sender

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"facteur/mta/dns"
	"facteur/storage/message"
)

// The results of DKIM and ARC (RFC 8601 2.7.1).
const (
	ResultNone      = "none"
	ResultPass      = "pass"
	ResultFail      = "fail"
	ResultPolicy    = "policy" // would verify, but we don't accept it
	ResultTempError = "temperror"
	ResultPermError = "permerror"
)

// maxSignatures is how many signatures are verified, from the top; the others are as if they weren't
// there.
const maxSignatures = 10

// DKIM is the outcome for one signature.
type DKIM struct {
	Result    string `json:"result"`
	Domain    string `json:"domain"`             // d=, in A-labels
	Selector  string `json:"selector"`           // s=
	Algorithm string `json:"algorithm"`          // a=
	KeyBits   int    `json:"key_bits,omitempty"` // 0: no key was found
	Identity  string `json:"identity"`           // i=, or "@" and the domain
	Reason    string `json:"reason"`             // why it isn't "pass"
	Length    int64  `json:"length"`             // l=; -1: the whole body is signed
	Expired   bool   `json:"expired,omitempty"`  // x= has passed
	Testing   bool   `json:"testing,omitempty"`  // the key says t=y
	mark      string // the first octets of b=
}

// signature is a DKIM-Signature or an ARC-Message-Signature field on its way to a result.
type signature struct {
	DKIM
	field   int // its place in the header
	tags    tagList
	b, bh   []byte
	relaxed bool // the header's canonical form
	body    bodySpec
	names   []string // h=, lower case
	expires int64    // x=; -1: never
	err     error    // makes it a permerror whatever DNS says
}

func (s *signature) keyName() string { return s.Selector + "._domainkey." + s.Domain }

// canAsk reports whether d= and s= are names of letters, digits and hyphens. An underscore is let through, though RFC 6376
// 3.1 has none: signers in use have it.
func (s *signature) canAsk() bool {
	return isLDHName(strings.ReplaceAll(s.Domain, "_", "x")) && isLDHName(strings.ReplaceAll(s.Selector, "_", "x")) &&
		len(s.keyName()) <= 253
}

// parseSignature reads a DKIM-Signature field (RFC 6376 3.5). What is wrong with it stands in err.
func parseSignature(f field, index int) *signature {
	s := &signature{field: index, DKIM: DKIM{Length: -1}, expires: -1}
	if s.tags, s.err = parseTags(string(f.value())); s.err != nil {
		return s
	}
	s.err = s.parseCommon()
	err := s.parseIdentity()
	switch {
	case s.err != nil:
	case s.tags.value("v") != "1":
		s.err = errors.New("v= is not 1")
	case !slices.Contains(s.names, "from"): // RFC 6376 5.4
		s.err = errors.New("the From field is not signed")
	default:
		s.err = err
	}
	return s
}

// parseCommon reads the tags that a DKIM-Signature and an ARC-Message-Signature share. Domain, selector
// and algorithm are set as far as they can be shown, also on error.
func (s *signature) parseCommon() error {
	s.Algorithm = s.tags.value("a")
	s.Domain, s.Selector = labels(s.tags.value("d")), labels(s.tags.value("s"))
	for _, name := range []string{"a", "b", "bh", "d", "h", "s"} {
		if s.tags.value(name) == "" {
			return fmt.Errorf("no %s=", name)
		}
	}
	// RFC 6376 3.5: never asked for when it isn't a name. NULs in s= have fooled resolvers into
	// asking for a shorter one.
	if !s.canAsk() || strings.HasSuffix(s.tags.value("d"), ".") || strings.HasSuffix(s.tags.value("s"), ".") {
		return errors.New("d= or s= is not a domain name")
	}
	switch a := strings.ToLower(s.Algorithm); Algorithm(a) {
	case RSA, Ed25519:
		s.Algorithm = a
	case "rsa-sha1":
		return errors.New("rsa-sha1 is no longer accepted") // RFC 8301 3.1
	default:
		return errors.New("an unknown algorithm")
	}
	var err error
	if s.b, err = base64.StdEncoding.DecodeString(stripWSP(s.tags.value("b"))); err != nil {
		return errors.New("b= is not base64")
	}
	if s.bh, err = base64.StdEncoding.DecodeString(stripWSP(s.tags.value("bh"))); err != nil {
		return errors.New("bh= is not base64")
	}
	for name := range strings.SplitSeq(s.tags.value("h"), ":") {
		s.names = append(s.names, strings.ToLower(strings.Trim(name, fws)))
	}
	if q, ok := s.tags.get("q"); ok && !q.lists("dns/txt") {
		return errors.New("q= has no method we know")
	}
	return errors.Join(s.parseCanonical(), s.parseNumbers())
}

func (s *signature) parseCanonical() error {
	header, body, hasBody := strings.Cut(strings.ToLower(s.tags.value("c")), "/")
	if header == "" && !hasBody {
		header = "simple"
	}
	if !hasBody {
		body = "simple"
	}
	for _, c := range []string{header, body} {
		if c != "simple" && c != "relaxed" {
			return errors.New("c= is not known")
		}
	}
	s.relaxed, s.body = header == "relaxed", bodySpec{relaxed: body == "relaxed", length: -1}
	return nil
}

func (s *signature) parseNumbers() error {
	signed, err := s.number("t")
	if err == nil {
		s.expires, err = s.number("x")
	}
	if err == nil {
		s.Length, err = s.number("l")
		s.body.length = s.Length
	}
	if err == nil && s.expires >= 0 && signed >= 0 && s.expires < signed {
		return errors.New("x= is before t=")
	}
	return err
}

// number reads an unsigned decimal of at most 18 digits; -1: the tag is not there.
func (s *signature) number(name string) (int64, error) {
	t, ok := s.tags.get(name)
	if !ok {
		return -1, nil
	}
	if !isDigits(t.value) || len(t.value) > 18 {
		return -1, fmt.Errorf("%s= is not a number", name)
	}
	return strconv.ParseInt(t.value, 10, 64)
}

// parseIdentity: i= must be of the domain d= or below (RFC 6376 3.5).
func (s *signature) parseIdentity() error {
	i, ok := s.tags.get("i")
	if !ok {
		s.Identity = "@" + s.Domain
		return nil
	}
	s.Identity = i.value
	at := strings.LastIndexByte(i.value, '@')
	if at < 0 {
		return errors.New("i= has no @")
	}
	if !isSubdomain(labels(i.value[at+1:]), s.Domain) {
		return errors.New("i= is not within d=")
	}
	return nil
}

// labels is a domain name in A-labels and lower case (RFC 8616 5); what can't be one stays as it is,
// to be refused.
func labels(name string) string {
	if a, err := message.ASCIIDomain(name); err == nil {
		return a
	}
	return name
}

// finish decides about a signature once its key and the body's hash are there.
func (s *signature) finish(m *mail, sums map[bodySpec]bodySum, answer func() keyAnswer, now time.Time) {
	if s.err != nil {
		s.set(ResultPermError, s.err.Error())
		return
	}
	s.Expired = s.expires >= 0 && now.Unix() > s.expires
	ans := answer()
	switch {
	case dns.IsTemporary(ans.err):
		s.set(ResultTempError, "no answer for the key")
		return
	case ans.err != nil:
		s.set(ResultPermError, "no key")
		return
	}
	digest := m.digest(s)
	tried := 0
	for _, text := range ans.records {
		key, err := parseKey(text, Algorithm(s.Algorithm))
		if errors.Is(err, errNoKeyRecord) && len(ans.records) > 1 {
			continue
		}
		if err == nil {
			s.KeyBits, s.Testing = key.bits, key.testing
		}
		s.judge(key, err, digest, sums[s.body])
		if tried++; s.Result == ResultPass || tried == maxKeyRecords {
			return
		}
	}
	if s.Result == "" {
		s.set(ResultPermError, "no key")
	}
}

func (s *signature) set(result, reason string) { s.Result, s.Reason = result, reason }

// judge decides with one key.
func (s *signature) judge(key *dkimKey, err error, digest []byte, body bodySum) {
	if err != nil {
		s.set(ResultPermError, err.Error())
		return
	}
	_, domain, _ := strings.Cut(s.Identity[strings.LastIndexByte(s.Identity, '@'):], "@")
	switch {
	case Algorithm(s.Algorithm) == RSA && (key.bits < minRSABits || key.bits > maxRSABits):
		s.set(ResultPolicy, fmt.Sprintf("a key of %d bits", key.bits))
	case key.strict && labels(domain) != s.Domain:
		s.set(ResultPermError, "i= is below d=, which the key forbids")
	case s.Expired:
		s.set(ResultFail, "the signature has expired")
	case s.Length > body.total:
		s.set(ResultFail, "l= is longer than the body")
	case !bytes.Equal(s.bh, body.sum[:]):
		s.set(ResultFail, "the body has been changed")
	case key.verify(digest, s.b) != nil:
		s.set(ResultFail, "the signature does not match")
	case s.Length >= 0 && s.Length < body.total:
		// What follows may be anybody's.
		s.set(ResultPolicy, fmt.Sprintf("l= leaves %d octets of the body unsigned", body.total-s.Length))
	default:
		s.set(ResultPass, "")
	}
}
