package sender

import (
	"context"
	"fmt"
	"strings"

	"facteur/mta/dns"
)

// The policies of DMARC.
const (
	PolicyNone       = "none"
	PolicyQuarantine = "quarantine"
	PolicyReject     = "reject"
)

// DMARC is the outcome for the author's domain.
type DMARC struct {
	Result  string `json:"result"`           // "none", "pass", "fail", "temperror" or "permerror"
	Policy  string `json:"policy,omitempty"` // that applies to this author, t=y counted in; empty: no record
	Domain  string `json:"domain,omitempty"` // where the record was found
	Aligned string `json:"aligned,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Testing bool   `json:"testing,omitempty"` // t=y
}

// dmarcRecord is a policy record (RFC 9989 4.7).
type dmarcRecord struct {
	p, sp, np   string
	psd         string // "y", "n" or "u"
	adkim, aspf string // "r" or "s"
	testing     bool
	unusable    bool // a bad policy and nobody to tell: no DMARC for this message
}

// parseDMARC reads a record. Only the version has to be as it should: what is wrong behind it is left
// out (RFC 9989 4.7, 4.8). ok is false for other records.
func parseDMARC(text string) (rec dmarcRecord, ok bool) {
	version, rest, _ := strings.Cut(text, ";")
	name, value, _ := strings.Cut(version, "=")
	if strings.Trim(name, fws) != "v" || strings.Trim(value, fws) != "DMARC1" {
		return dmarcRecord{}, false
	}
	rec = dmarcRecord{psd: "u", adkim: "r", aspf: "r"}
	tags := make(map[string]string)
	for spec := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(spec, "=")
		name = strings.ToLower(strings.Trim(name, fws))
		if _, twice := tags[name]; !twice {
			tags[name] = strings.ToLower(strings.Trim(value, fws))
		}
	}
	bad := false
	for name, to := range map[string]*string{"p": &rec.p, "sp": &rec.sp, "np": &rec.np} {
		switch v, given := tags[name]; {
		case v == PolicyNone || v == PolicyQuarantine || v == PolicyReject:
			*to = v
		case given:
			bad = true
		}
	}
	if rec.p == "" {
		rec.p = PolicyNone
	}
	if bad {
		// RFC 9989 4.10.1: who asks for reports gets them under p=none, others are left alone.
		rec.p, rec.sp, rec.np = PolicyNone, "", ""
		rec.unusable = !strings.Contains(tags["rua"], ":")
	}
	setOneOf(&rec.psd, tags["psd"], "y", "n")
	setOneOf(&rec.adkim, tags["adkim"], "s")
	setOneOf(&rec.aspf, tags["aspf"], "s")
	rec.testing = tags["t"] == "y"
	return rec, true
}

func setOneOf(to *string, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			*to = value
		}
	}
}

// policyFor is the policy for the domain of the record itself, or for one below it.
func (rec dmarcRecord) policyFor(below, exists bool) string {
	policy := rec.p
	if below && rec.sp != "" {
		policy = rec.sp
	}
	if below && !exists && rec.np != "" {
		policy = rec.np
	}
	switch {
	case !rec.testing:
		return policy
	case policy == PolicyReject: // RFC 9989 4.7: t=y, one step less
		return PolicyQuarantine
	}
	return PolicyNone
}

// walkStep is what one query of a tree walk found; rec is nil without a record.
type walkStep struct {
	domain string
	rec    *dmarcRecord
	err    error // temporary
}

// dmarcWalker looks for records, each name once.
type dmarcWalker struct {
	ctx      context.Context
	resolver *dns.Resolver
	known    map[string]walkStep
}

// walkTargets lists the names of a tree walk (RFC 9989 4.10): the domain, then its ancestors
// of seven labels at most, down to one. These are never more than eight.
func walkTargets(domain string) []string {
	labels := strings.Split(domain, ".")
	targets := []string{domain}
	for n := min(len(labels)-1, 7); n > 0; n-- {
		targets = append(targets, strings.Join(labels[len(labels)-n:], "."))
	}
	return targets
}

// query asks for the records at several domains at the same time.
func (w *dmarcWalker) query(domains []string) []walkStep {
	steps := make([]walkStep, len(domains))
	done := make(chan int, len(domains))
	for i, d := range domains {
		if s, ok := w.known[d]; ok {
			steps[i] = s
			done <- i
			continue
		}
		go func() {
			steps[i] = w.lookUp(d)
			done <- i
		}()
	}
	for range domains {
		i := <-done
		w.known[domains[i]] = steps[i]
	}
	return steps
}

func (w *dmarcWalker) lookUp(domain string) walkStep {
	step := walkStep{domain: domain}
	ans, err := w.resolver.TXT(w.ctx, "_dmarc."+domain)
	if dns.IsTemporary(err) {
		step.err = err
	}
	n := 0
	for _, text := range ans.Records {
		if rec, ok := parseDMARC(text); ok {
			step.rec = &rec
			n++
		}
	}
	if n > 1 { // RFC 9989 4.10: several are as none
		step.rec = nil
	}
	return step
}

// walk returns the steps of a tree walk that found a record, from the longest domain to the shortest.
func (w *dmarcWalker) walk(domain string) ([]walkStep, error) {
	var found []walkStep
	for _, step := range w.query(walkTargets(domain)) {
		if step.err != nil {
			return nil, step.err
		}
		if step.rec == nil {
			continue
		}
		found = append(found, step)
		if step.rec.psd != "u" {
			break
		}
	}
	return found, nil
}

// organizational finds the Organizational Domain (RFC 9989 4.10.2).
func (w *dmarcWalker) organizational(domain string) (string, error) {
	found, err := w.walk(domain)
	if err != nil || len(found) == 0 {
		return domain, err
	}
	last := found[len(found)-1]
	if last.rec.psd == "y" && last.domain != domain {
		below := strings.TrimSuffix(domain, "."+last.domain)
		return below[strings.LastIndexByte(below, '.')+1:] + "." + last.domain, nil
	}
	return last.domain, nil
}

// discover finds the record whose policy applies to an author's domain (RFC 9989 4.10.1): its own, the
// Organizational Domain's, or the public suffix's. nil: there is none.
func (w *dmarcWalker) discover(author string) (*walkStep, error) {
	own := w.query([]string{author})[0]
	if own.err != nil || own.rec != nil {
		return &own, own.err
	}
	org, err := w.organizational(author)
	if err != nil {
		return nil, err
	}
	if s := w.known[org]; s.rec != nil {
		return &s, nil
	}
	if _, suffix, ok := strings.Cut(org, "."); ok {
		if s := w.known[suffix]; s.rec != nil && s.rec.psd == "y" {
			return &s, nil
		}
	}
	return nil, nil
}

// aligned reports whether an authenticated domain stands for the author's (RFC 9989 4.10.2).
func (w *dmarcWalker) aligned(author, domain, mode string) (bool, error) {
	if author == domain {
		return true, nil
	}
	if mode == "s" || !shareLabel(author, domain) {
		return false, nil
	}
	org, err := w.organizational(author)
	if err != nil || !isSubdomain(domain, org) {
		return false, err
	}
	other, err := w.organizational(domain)
	return org == other, err
}

// shareLabel reports whether two domains have their last label in common; others are never aligned.
func shareLabel(a, b string) bool {
	return a[strings.LastIndexByte(a, '.')+1:] == b[strings.LastIndexByte(b, '.')+1:]
}

// dmarcPolicy is the first half of DMARC, which needs only the author: what is asked of us.
type dmarcPolicy struct {
	walker *dmarcWalker
	author string
	record *dmarcRecord
	out    DMARC
}

// findPolicy looks for the policy for an author's domain in A-labels.
func findPolicy(ctx context.Context, resolver *dns.Resolver, author string) *dmarcPolicy {
	w := &dmarcWalker{ctx: ctx, resolver: resolver, known: make(map[string]walkStep)}
	p := &dmarcPolicy{walker: w, author: author, out: DMARC{Result: ResultNone}}
	if author == "" || author[0] == '[' {
		p.out.Reason = "the author's domain is not in DNS"
		return p
	}
	step, err := w.discover(author)
	switch {
	case err != nil:
		p.out.Result, p.out.Reason = ResultTempError, "no answer for the policy"
		return p
	case step == nil:
		p.out.Reason = "no policy"
		return p
	case step.rec.unusable:
		p.out.Reason = fmt.Sprintf("the policy of %s can't be used", step.domain)
		return p
	}
	p.record = step.rec
	below, exists := step.domain != author, true
	if below && step.rec.np != "" {
		_, err := resolver.IPv4(ctx, author)
		exists = !dns.IsNXDomain(err) // RFC 9989 3.2.13, RFC 8020
	}
	p.out.Domain, p.out.Testing = step.domain, step.rec.testing
	p.out.Policy = step.rec.policyFor(below, exists)
	return p
}

// evaluate is the second half: does anything that is authenticated stand for the author?
func (p *dmarcPolicy) evaluate(spf SPF, dkim []DKIM) DMARC {
	if p.record == nil {
		return p.out
	}
	out := p.out
	unknown := false
	check := func(method, result, domain, mode string) bool {
		if result != ResultPass && result != ResultTempError || domain == "" {
			return false
		}
		ok, err := p.walker.aligned(p.author, domain, mode)
		if ok && result == ResultPass {
			out.Result, out.Aligned = ResultPass, method
			return true
		}
		unknown = unknown || ok || err != nil
		return false
	}
	for _, sig := range dkim {
		if check("dkim", sig.Result, sig.Domain, p.record.adkim) {
			return out
		}
	}
	if check("spf", spf.Result, spf.Domain, p.record.aspf) {
		return out
	}
	out.Result, out.Reason = ResultFail, "neither SPF nor DKIM passes for the author's domain"
	if unknown {
		// RFC 9989 5.3.6: without an answer nobody has failed.
		out.Result, out.Reason = ResultTempError, "no answer for what might pass for the author's domain"
	}
	return out
}
