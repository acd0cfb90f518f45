// Package dns asks DNS servers for what mail needs, over miekg/dns: UDP and TCP, EDNS, a cache
// with the records' own times, and an honest answer to why there is none.
//
// What must stay true: "no such name", "no such record" and "no answer" are never mixed up; no
// look-up outlives its context; a look-up for names that net.Resolver would refuse works.
//
// RFC 1035, 2308 (negative caching), 6891 (EDNS), 7505 (null MX), 8020 (NXDOMAIN).
package dns
