package dns

import (
	"fmt"
	"strings"
	"sync"

	mdns "github.com/miekg/dns"
)

// Zone answers questions from the text of a master file (RFC 1035 5). It holds any names, of
// one domain or of many, and is safe for concurrent use.
type Zone struct {
	mu      sync.RWMutex
	records map[string][]mdns.RR // by name in canonical form; no records: an empty non-terminal
	faults  map[fault]bool
}

// fault is one ";!" line; typ 0 stands for all types.
type fault struct {
	what, name string
	typ        uint16
}

var faultWords = map[string]bool{"servfail": true, "refused": true, "timeout": true, "truncate": true, "nochase": true, "secure": true}

// NewZone reads a master file. Names without a final dot are complete all the same, and records
// without a TTL live for 300 s. The error names the line.
func NewZone(text string) (*Zone, error) {
	z := &Zone{}
	if err := z.Load(text); err != nil {
		return nil, err
	}
	return z, nil
}

// Load puts a new text in the place of the old. On error the old stands.
func (z *Zone) Load(text string) error {
	records := map[string][]mdns.RR{".": nil}
	parser := mdns.NewZoneParser(strings.NewReader(text), ".", "zone")
	parser.SetDefaultTTL(300)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := zoneName(rr.Header().Name)
		records[name] = append(records[name], rr)
		for parent := parentName(name); parent != "."; parent = parentName(parent) {
			if _, ok := records[parent]; !ok {
				records[parent] = nil
			}
		}
	}
	if err := parser.Err(); err != nil {
		return err
	}
	faults, err := readFaults(text)
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records, z.faults = records, faults
	return nil
}

func readFaults(text string) (map[fault]bool, error) {
	faults := make(map[fault]bool)
	for n, line := range strings.Split(text, "\n") {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), ";!")
		if !ok {
			continue
		}
		words := strings.Fields(rest)
		if len(words) < 2 || len(words) > 3 || !faultWords[words[0]] {
			return nil, fmt.Errorf("zone: line %d: want ;! FAULT NAME [TYPE], not %q", n+1, line)
		}
		f := fault{what: words[0], name: zoneName(words[1])}
		if len(words) == 3 {
			if f.typ, ok = mdns.StringToType[strings.ToUpper(words[2])]; !ok {
				return nil, fmt.Errorf("zone: line %d: no such type %q", n+1, words[2])
			}
		}
		faults[f] = true
	}
	return faults, nil
}

// Answer answers one query as a recursive server would; nil: the zone is silent about the name.
func (z *Zone) Answer(req *mdns.Msg) *mdns.Msg {
	z.mu.RLock()
	defer z.mu.RUnlock()
	msg := new(mdns.Msg).SetReply(req)
	msg.RecursionAvailable = true
	if len(req.Question) != 1 {
		msg.Rcode = mdns.RcodeFormatError
		return msg
	}
	if opt := req.IsEdns0(); opt != nil {
		msg.SetEdns0(udpSize, opt.Do())
	}
	q := req.Question[0]
	name := mdns.CanonicalName(q.Name)
	for hop := 0; hop < 2*maxChain; hop++ {
		switch {
		case z.has("timeout", name, q.Qtype):
			return nil
		case z.has("servfail", name, q.Qtype):
			msg.Answer, msg.Rcode = nil, mdns.RcodeServerFailure
			return msg
		case z.has("refused", name, q.Qtype):
			msg.Answer, msg.Rcode = nil, mdns.RcodeRefused
			return msg
		}
		msg.AuthenticatedData = z.has("secure", name, q.Qtype) && (hop == 0 || msg.AuthenticatedData)
		next := z.add(msg, name, q.Qtype)
		if next == "" || z.has("nochase", name, q.Qtype) {
			return msg
		}
		name = next
	}
	return msg
}

// add puts what the zone has for name into msg; a CNAME's target is returned to be looked up next.
func (z *Zone) add(msg *mdns.Msg, name string, qtype uint16) (next string) {
	records, exists := z.lookup(name)
	n := len(msg.Answer)
	for _, rr := range records {
		t := rr.Header().Rrtype
		if t != qtype && t != mdns.TypeCNAME && qtype != mdns.TypeANY {
			continue
		}
		rr = mdns.Copy(rr)
		rr.Header().Name = name
		msg.Answer = append(msg.Answer, rr)
		if c, ok := rr.(*mdns.CNAME); ok && qtype != mdns.TypeCNAME {
			return mdns.CanonicalName(c.Target)
		}
	}
	if len(msg.Answer) > n {
		return ""
	}
	if !exists {
		msg.Rcode = mdns.RcodeNameError
	}
	for above := name; ; above = parentName(above) {
		for _, rr := range z.records[above] {
			if rr.Header().Rrtype == mdns.TypeSOA {
				msg.Ns = append(msg.Ns, rr)
				return ""
			}
		}
		if above == "." {
			return ""
		}
	}
}

// lookup finds a name or the wildcard that covers it (RFC 4592).
func (z *Zone) lookup(name string) ([]mdns.RR, bool) {
	if records, ok := z.records[name]; ok {
		return records, true
	}
	for encloser := name; encloser != "."; {
		encloser = parentName(encloser)
		if _, ok := z.records[encloser]; ok {
			wild := "*."
			if encloser != "." {
				wild += encloser
			}
			records, ok := z.records[wild]
			return records, ok
		}
	}
	return nil, false
}

func (z *Zone) has(what, name string, typ uint16) bool {
	return z.faults[fault{what, name, 0}] || z.faults[fault{what, name, typ}]
}

// zoneName is a name of the text in the form that questions have: a letter or ":" may stand in it as \DDD.
func zoneName(name string) string {
	wire := make([]byte, 256)
	if n, err := mdns.PackDomainName(mdns.Fqdn(name), wire, 0, nil, false); err == nil {
		if plain, _, err := mdns.UnpackDomainName(wire[:n], 0); err == nil {
			name = plain
		}
	}
	return mdns.CanonicalName(name)
}

func parentName(name string) string {
	i, end := mdns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}
