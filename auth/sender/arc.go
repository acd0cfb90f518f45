package sender

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"facteur/mta/dns"
)

// maxARCSets: RFC 8617 5.2.
const maxARCSets = 50

// ARC is the outcome for the whole chain.
type ARC struct {
	Result  string   `json:"result"`            // "none", "pass", "fail" or "temperror"
	Sealers []string `json:"sealers,omitempty"` // d= of the seals, the newest first
	Reason  string   `json:"reason,omitempty"`
	saw     []authResults
}

// arcSet is one instance of the chain.
type arcSet struct {
	aar, ams, seal int // places of the fields; -1: missing
	aarValue       string
	signature      *signature // of the message; parsed for the newest set only
	sealTags       tagList
	sealSig        *signature
}

// arcChain is the chain of a message on its way to a result.
type arcChain struct {
	sets []arcSet // by instance, from 1
	err  error
}

// arcChain collects the sets and checks their structure (RFC 8617 5.2, steps 1 to 3). nil: no ARC fields.
func (m *mail) arcChain() *arcChain {
	kinds := []string{"arc-authentication-results", "arc-message-signature", "arc-seal"}
	total := 0
	for _, kind := range kinds {
		total += len(m.byName[kind])
	}
	if total == 0 {
		return nil
	}
	c := &arcChain{}
	if total > 3*maxARCSets || total%3 != 0 {
		c.err = fmt.Errorf("%d ARC fields", total)
		return c
	}
	c.sets = make([]arcSet, total/3)
	for i := range c.sets {
		c.sets[i] = arcSet{aar: -1, ams: -1, seal: -1}
	}
	for _, kind := range kinds {
		for _, place := range m.byName[kind] {
			if c.err = c.put(m, kind, place); c.err != nil {
				return c
			}
		}
	}
	c.err = c.parse(m)
	return c
}

// put sorts a field into its set.
func (c *arcChain) put(m *mail, kind string, place int) error {
	value := string(m.fields[place].value())
	var instance string
	var rest string
	var tags tagList
	if kind == "arc-authentication-results" {
		// RFC 8617 4.1.1: "i=" stands in front of everything.
		first, after, _ := strings.Cut(value, ";")
		name, number, _ := strings.Cut(first, "=")
		if strings.Trim(name, fws) != "i" {
			return errors.New("an ARC-Authentication-Results without i=")
		}
		instance, rest = strings.Trim(number, fws), after
	} else {
		var err error
		if tags, err = parseTags(value); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		instance = tags.value("i")
	}
	n, err := strconv.Atoi(instance)
	if err != nil || !isDigits(instance) || n < 1 || n > len(c.sets) {
		return fmt.Errorf("%s: i= is not of the chain", kind)
	}
	set := &c.sets[n-1]
	to := &set.seal
	switch kind {
	case "arc-authentication-results":
		to, set.aarValue = &set.aar, rest
	case "arc-message-signature":
		to = &set.ams
	default:
		set.sealTags = tags
	}
	if *to >= 0 {
		return fmt.Errorf("%s: i=%d comes twice", kind, n)
	}
	*to = place
	return nil
}

// parse reads the seals and the newest message signature.
func (c *arcChain) parse(m *mail) error {
	for i := range c.sets {
		set := &c.sets[i]
		s := parseSeal(set.sealTags, set.seal)
		set.sealSig = s
		want := ResultPass
		if i == 0 {
			want = ResultNone
		}
		if s.err != nil {
			return fmt.Errorf("seal %d: %w", i+1, s.err)
		}
		if cv := strings.ToLower(set.sealTags.value("cv")); cv != want {
			return fmt.Errorf("seal %d says cv=%.20s", i+1, cv)
		}
	}
	newest := &c.sets[len(c.sets)-1]
	s := parseARCSignature(m.fields[newest.ams], newest.ams)
	newest.signature = s
	return s.err
}

// parseSeal reads an ARC-Seal (RFC 8617 4.1.3).
func parseSeal(tags tagList, place int) *signature {
	s := &signature{field: place, tags: tags, relaxed: true, expires: -1}
	s.Algorithm, s.Domain, s.Selector = strings.ToLower(tags.value("a")), labels(tags.value("d")), labels(tags.value("s"))
	if _, ok := tags.get("h"); ok {
		s.err = errors.New("h= in a seal")
		return s
	}
	s.b, s.err = base64.StdEncoding.DecodeString(stripWSP(tags.value("b")))
	switch {
	case s.err != nil || len(s.b) == 0:
		s.err = errors.New("b= is not base64")
	case s.Algorithm != string(RSA) && s.Algorithm != string(Ed25519):
		s.err = errors.New("an unknown algorithm")
	case !s.canAsk():
		s.err = errors.New("d= or s= is not a domain name")
	}
	return s
}

// parseARCSignature reads an ARC-Message-Signature (RFC 8617 4.1.2): a DKIM-Signature without v=, whose i= is
// the instance.
func parseARCSignature(f field, place int) *signature {
	s := &signature{field: place, DKIM: DKIM{Length: -1}, expires: -1}
	if s.tags, s.err = parseTags(string(f.value())); s.err != nil {
		return s
	}
	s.err = s.parseCommon()
	s.Identity = "@" + s.Domain
	if s.err != nil {
		return s
	}
	from := false
	for _, name := range s.names {
		from = from || name == "from"
		if name == "arc-seal" {
			s.err = errors.New("a message signature over seals")
		}
	}
	if !from {
		s.err = errors.New("the From field is not signed")
	}
	return s
}

// signatures are those whose keys are needed.
func (c *arcChain) signatures() []*signature {
	if c == nil || c.err != nil {
		return nil
	}
	sigs := []*signature{c.sets[len(c.sets)-1].signature}
	for _, set := range c.sets {
		sigs = append(sigs, set.sealSig)
	}
	return sigs
}

// finish verifies the newest message signature and every seal (RFC 8617 5.2, steps 4 to 6).
func (c *arcChain) finish(m *mail, sums map[bodySpec]bodySum, keys map[string]func() keyAnswer, now time.Time) ARC {
	if c == nil {
		return ARC{Result: ResultNone}
	}
	if c.err != nil {
		return ARC{Result: ResultFail, Reason: c.err.Error()}
	}
	var out ARC
	for i := len(c.sets) - 1; i >= 0; i-- {
		out.Sealers = append(out.Sealers, c.sets[i].sealSig.Domain)
		saw, _ := parseAuthResults(c.sets[i].aarValue)
		out.saw = append(out.saw, saw)
	}
	fail := func(what string, s *signature) ARC {
		out.Result, out.Reason = ResultFail, what+": "+s.Reason
		if s.Result == ResultTempError {
			out.Result = ResultTempError
		}
		return out
	}
	newest := c.sets[len(c.sets)-1].signature
	newest.finish(m, sums, keys[newest.keyName()], now)
	if newest.Result != ResultPass {
		return fail("message signature", newest)
	}
	for i := len(c.sets) - 1; i >= 0; i-- {
		seal := c.sets[i].sealSig
		seal.finishSeal(c.sealDigest(m, i), keys[seal.keyName()])
		if seal.Result != ResultPass {
			return fail(fmt.Sprintf("seal %d", i+1), seal)
		}
	}
	out.Result = ResultPass
	return out
}

// sealDigest hashes what the seal of sets[last] covers (RFC 8617 5.1.1): all sets up to its own, itself
// without b=.
func (c *arcChain) sealDigest(m *mail, last int) []byte {
	h := sha256.New()
	var buf []byte
	for i, set := range c.sets[:last+1] {
		for _, place := range []int{set.aar, set.ams, set.seal} {
			f := m.fields[place]
			own := i == last && place == set.seal
			if own {
				f = withoutB(f, set.sealTags)
			}
			buf = appendRelaxed(buf[:0], f)
			if own {
				buf = bytes.TrimSuffix(buf, crlf)
			}
			h.Write(buf)
		}
	}
	return h.Sum(nil)
}

// finishSeal decides about a seal, which covers no body.
func (s *signature) finishSeal(digest []byte, answer func() keyAnswer) {
	ans := answer()
	if dns.IsTemporary(ans.err) {
		s.set(ResultTempError, "no answer for the key")
		return
	}
	s.set(ResultPermError, "no key")
	for i, text := range ans.records {
		key, err := parseKey(text, Algorithm(s.Algorithm))
		switch {
		case err != nil:
			s.set(ResultPermError, err.Error())
		case Algorithm(s.Algorithm) == RSA && (key.bits < minRSABits || key.bits > maxRSABits):
			s.set(ResultPolicy, fmt.Sprintf("a key of %d bits", key.bits))
		case key.verify(digest, s.b) != nil:
			s.set(ResultFail, "the signature does not match")
		default:
			s.set(ResultPass, "")
			return
		}
		if i+1 == maxKeyRecords {
			return
		}
	}
}
