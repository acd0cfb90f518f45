package sender

import "strings"

// Override sets the policies of authors aside. Both parts that are given have to hold.
type Override struct {
	Author string // address or domain of the author; a domain stands for those below it too
	// Via is the domain of a forwarder or list, or one above it, that has to be shown by SPF, DKIM or ARC.
	// By ARC only when every sealer since it saw DMARC pass is trusted by this or another Override.
	Via    string
	Reason string // for the record: "trusted_forwarder", "mailing_list", "local_policy" (RFC 9990)
}

func (v *Verifier) override(out *Verdict) string {
	for _, o := range v.Overrides {
		if o.Author == "" && o.Via == "" || o.Author != "" && !o.isAuthor(out) || o.Via != "" && !v.isVia(o.Via, out) {
			continue
		}
		if o.Reason == "" {
			return "local_policy"
		}
		return o.Reason
	}
	return ""
}

func (o Override) isAuthor(out *Verdict) bool {
	if strings.Contains(o.Author, "@") {
		return strings.EqualFold(o.Author, out.From)
	}
	return isSubdomain(out.AuthorDomain, labels(o.Author))
}

func (v *Verifier) isVia(via string, out *Verdict) bool {
	via = labels(via)
	if out.SPF.Result == SPFPass && isSubdomain(out.SPF.Domain, via) {
		return true
	}
	for _, d := range out.DKIM {
		if d.Result == ResultPass && isSubdomain(d.Domain, via) {
			return true
		}
	}
	if out.ARC.Result != ResultPass {
		return false
	}
	for i, sealer := range out.ARC.Sealers { // the newest first
		if !v.trusts(sealer) {
			return false
		}
		if isSubdomain(sealer, via) && out.ARC.saw[i].passed(out.AuthorDomain) {
			return true
		}
	}
	return false
}

func (v *Verifier) trusts(sealer string) bool {
	for _, o := range v.Overrides {
		if o.Via != "" && isSubdomain(sealer, labels(o.Via)) {
			return true
		}
	}
	return false
}

// passed reports that DMARC passed for the author where the results come from.
func (ar authResults) passed(author string) bool {
	for _, r := range ar.results {
		if r.method == "dmarc" && r.result == ResultPass {
			from := r.props["header.from"]
			return strings.EqualFold(labels(from[strings.LastIndexByte(from, '@')+1:]), author)
		}
	}
	return false
}
