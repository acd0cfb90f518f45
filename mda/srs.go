package mda

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"

	"facteur/storage/message"
)

// srs makes and reads the reverse-paths of the Sender Rewriting Scheme. Mail for an alias that leads elsewhere
// leaves with a reverse-path in the alias's domain, since the next server asks by SPF whether we may send for the
// domain of the reverse-path:
//
//	bob@else.test              SRS0=HASH=TT=else.test=bob@example.org
//	SRS0=...@relay.test        SRS1=HASH=relay.test==...@example.org
//	SRS1=X=relay.test==...@a.b SRS1=HASH=relay.test==...@example.org
//
// HASH is ours and keeps others from relaying through such addresses, TT is the day it was made. An
// address that has been rewritten elsewhere gets SRS1, which names the first rewriter, so that an address doesn't
// grow with each server. There is no RFC; every implementation reads only its own hash.
type srs struct {
	key []byte
	now func() time.Time
}

const (
	srsDays    = 1 << 10 // TT counts days, modulo this: two letters
	srsValid   = 21      // days that an address is taken for: longer than any queue keeps a message
	srsHashLen = 8       // 40 bits
)

// Letters without case: some servers fold a local-part to lower case.
var srsEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// rewrite returns the reverse-path for mail from a sender that goes on from domain.
func (s srs) rewrite(from message.AddrSpec, domain string) message.AddrSpec {
	tag, rest, ok := cutTag(from.Local)
	if ok && tag == "srs1" { // HASH=FIRST==OPAQUE
		if _, rest, ok := strings.Cut(rest, "="); ok {
			return s.sign("SRS1", rest, domain)
		}
	}
	fromDomain, err := from.ASCIIDomain()
	if err != nil {
		fromDomain = from.Domain
	}
	if ok && tag == "srs0" {
		return s.sign("SRS1", fromDomain+"=="+rest, domain)
	}
	return s.sign("SRS0", s.stamp()+"="+fromDomain+"="+from.Local, domain)
}

func (s srs) sign(tag, what, domain string) message.AddrSpec {
	return message.AddrSpec{Local: tag + "=" + s.hash(what) + "=" + what, Domain: domain}
}

// reverse returns the sender that rewrite was given. ok is false when the address is none of ours, or too old.
func (s srs) reverse(to message.AddrSpec) (from message.AddrSpec, ok bool) {
	tag, rest, ok := cutTag(to.Local)
	if !ok {
		return message.AddrSpec{}, false
	}
	hash, what, cut := strings.Cut(rest, "=")
	if !cut || !hmac.Equal([]byte(strings.ToLower(hash)), []byte(s.hash(what))) {
		return message.AddrSpec{}, false
	}
	if tag == "srs1" {
		first, opaque, cut := strings.Cut(what, "==")
		return message.AddrSpec{Local: "SRS0=" + opaque, Domain: first}, cut
	}
	f := strings.SplitN(what, "=", 3)
	if len(f) != 3 || !s.fresh(f[0]) {
		return message.AddrSpec{}, false
	}
	return message.AddrSpec{Local: f[2], Domain: f[1]}, true
}

// cutTag takes "SRS0=" or "SRS1=" off; other servers write "+" or "-" for the first separator.
func cutTag(local string) (tag, rest string, ok bool) {
	if len(local) < 6 || !strings.ContainsRune("=+-", rune(local[4])) {
		return "", "", false
	}
	tag = strings.ToLower(local[:4])
	return tag, local[5:], tag == "srs0" || tag == "srs1"
}

func (s srs) hash(what string) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(strings.ToLower(what)))
	return srsEncoding.EncodeToString(h.Sum(nil))[:srsHashLen]
}

func (s srs) today() int { return int(s.now().Unix()/(24*60*60)) % srsDays }

func (s srs) stamp() string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	day := s.today()
	return string([]byte{letters[day>>5], letters[day&31]})
}

func (s srs) fresh(stamp string) bool {
	b, err := srsEncoding.DecodeString(strings.ToLower(stamp) + "aaaaaa")
	if len(stamp) != 2 || err != nil {
		return false
	}
	day := int(b[0])<<2 | int(b[1])>>6
	return (s.today()-day+srsDays)%srsDays <= srsValid
}
