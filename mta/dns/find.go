package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	mdns "github.com/miekg/dns"
)

// question is what a look-up is remembered by.
type question struct {
	name string // by wireName
	typ  uint16
}

// found is the outcome that DNS vouches for: records, or certainly none. In the cache it may be a failure.
type found struct {
	records   []mdns.RR
	err       error
	none      Kind // with no records: NXDomain or NoData
	name      string
	authentic bool
	ttl       time.Duration
	size      int // octets, for the cache's bound
}

// maxChain is how many CNAMEs are followed.
const maxChain = 8

// find looks in the cache, joins the same question under way, or asks.
func (r *Resolver) find(ctx context.Context, name string, qtype uint16) (found, bool, error) {
	fail := func(kind Kind, cause error) error {
		return &Error{Name: name, Type: mdns.TypeToString[qtype], Kind: kind, Err: cause}
	}
	wire, err := wireName(name)
	if err != nil {
		return found{}, false, fail(Invalid, err)
	}
	if err := ctx.Err(); err != nil {
		return found{}, false, fail(Temporary, err)
	}
	q := question{wire, qtype}
	f, cached := r.cache.get(q)
	if !cached {
		f, err = r.flights.do(ctx, q, r.resolve)
	} else {
		err = f.err
	}
	if err != nil {
		return found{}, cached, fail(Temporary, err)
	}
	if len(f.records) == 0 {
		return found{}, cached, fail(f.none, nil)
	}
	return f, cached, nil
}

// resolve asks for q and remembers the outcome. The error is always a temporary one.
func (r *Resolver) resolve(ctx context.Context, q question) (found, error) {
	f, err := r.chase(ctx, q)
	switch {
	case r.zone != nil: // it is as quick as a cache
	case err == nil:
		r.cache.put(q, f)
	case ctx.Err() == nil: // else nobody waited to hear
		r.cache.fail(q, err)
	}
	return f, err
}

// chase asks for q and follows CNAMEs where the server didn't.
func (r *Resolver) chase(ctx context.Context, q question) (found, error) {
	total := found{name: q.name, authentic: true, ttl: maxTTL}
	for range maxChain {
		msg, err := r.exchange(ctx, question{total.name, q.typ})
		if err != nil {
			return found{}, err
		}
		asked := total.name
		if err := total.read(msg, q.typ); err != nil {
			return found{}, err
		}
		total.authentic = total.authentic && msg.AuthenticatedData
		total.size += msg.Len()
		if total.name == asked || total.none == NXDomain || len(total.records) > 0 || hasSOA(msg) {
			return total, nil
		}
	}
	return found{}, errors.New("too many CNAMEs")
}

// read follows the chain of CNAMEs in msg from f.name and takes the records at its end.
func (f *found) read(msg *mdns.Msg, qtype uint16) error {
	for hop := 0; ; hop++ {
		if hop > maxChain {
			return errors.New("too many CNAMEs")
		}
		next := ""
		for _, rr := range msg.Answer {
			h := rr.Header()
			if h.Class != mdns.ClassINET || !sameName(h.Name, f.name) {
				continue
			}
			if h.Rrtype == qtype {
				f.records = append(f.records, rr)
			} else if c, ok := rr.(*mdns.CNAME); ok {
				next = mdns.CanonicalName(c.Target)
			} else {
				continue
			}
			f.ttl = min(f.ttl, time.Duration(h.Ttl)*time.Second)
		}
		if len(f.records) > 0 {
			return nil
		}
		if next == "" {
			break
		}
		f.name = next
	}
	f.none = NoData
	if msg.Rcode == mdns.RcodeNameError {
		f.none = NXDomain
	}
	// RFC 2308 5: a negative answer lives for the lesser of the SOA's TTL and its minimum, and not at
	// all without a SOA.
	negative := time.Duration(0)
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*mdns.SOA); ok {
			negative = min(maxNegativeTTL, time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second)
		}
	}
	if f.none == NXDomain || hasSOA(msg) || len(msg.Answer) == 0 {
		f.ttl = min(f.ttl, negative)
	}
	return nil
}

func hasSOA(msg *mdns.Msg) bool {
	for _, rr := range msg.Ns {
		if rr.Header().Rrtype == mdns.TypeSOA {
			return true
		}
	}
	return false
}

// checkAnswer tells an answer that DNS vouches for from a failure.
func checkAnswer(msg *mdns.Msg) error {
	switch {
	case msg.Rcode == mdns.RcodeSuccess && isReferral(msg):
		return errors.New("the server knows only whom else to ask")
	case msg.Rcode == mdns.RcodeSuccess, msg.Rcode == mdns.RcodeNameError:
		return nil
	}
	return fmt.Errorf("the server said %s", mdns.RcodeToString[msg.Rcode])
}

// isReferral: a server that doesn't look further for us names other servers. Without a SOA that is not "no such record"
// (RFC 2308 2.2).
func isReferral(msg *mdns.Msg) bool {
	refers := func(rr mdns.RR) bool { return rr.Header().Rrtype == mdns.TypeNS }
	return len(msg.Answer) == 0 && slices.ContainsFunc(msg.Ns, refers) && !hasSOA(msg)
}
