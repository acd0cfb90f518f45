// Package dns asks DNS servers for what mail needs, over miekg/dns: UDP and TCP, EDNS, a cache
// with the records' own times, and an honest answer to why there is none.
//
// What must stay true: "no such name", "no such record" and "no answer" are never mixed up; no
// look-up outlives its context; a look-up for names that net.Resolver would refuse works; the
// memory that strangers' names can fill is bounded; an answer is taken only from the server that
// was asked, with the question and the number that were sent.
//
// Zone answers from a master file held in memory, without any network, for the demo; Server puts
// one on the network, and TestServer does so for a test. Lines of the form
//
//	;! FAULT NAME [TYPE]
//
// make a Zone misbehave for a name: servfail, refused, timeout (no answer at all), truncate (over
// UDP), nochase (a CNAME is not followed), and secure (sets the AD bit; no fault).
//
// BUGS: names below one that does not exist are asked for again (RFC 8020).
//
// RFC 1035, 2308 (negative caching), 2782 (SRV), 3596 (AAAA), 5891 (A-labels), 6840 5.7 (AD in a
// query), 6891 (EDNS), 7505 (null MX), 7766 (TCP), 9520 (caching of failures).
package dns
