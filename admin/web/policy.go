package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Policy is an MTA-STS policy (RFC 8461 3.2).
type Policy struct {
	Mode   string   // "testing", "enforce" or "none"
	MX     []string // names that senders may deliver to
	MaxAge time.Duration
}

// String writes it as it is served, and as its ID in DNS is made from.
func (p Policy) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", p.Mode)
	for _, mx := range p.MX {
		fmt.Fprintf(&b, "mx: %s\r\n", mx)
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", int64(p.MaxAge/time.Second))
	return b.String()
}

// policy serves the policy of the domain behind mta-sts.DOMAIN, and at no other name (RFC 8461 3.3).
func (s *Site) policy(w http.ResponseWriter, r *http.Request) {
	domain, ok := strings.CutPrefix(host(r), "mta-sts.")
	if !ok || s.cfg.Policy == nil || !s.cfg.Hosted(domain) {
		http.NotFound(w, r)
		return
	}
	p, ok := s.cfg.Policy(domain)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, p.String())
}
