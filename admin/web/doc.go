// Package web is the public HTTP: set-up for mail programs (autoconfig, autodiscover, Apple's profiles), the MTA-STS
// policy, ACME challenges, health and metrics.
//
// What must stay true:
//
//   - Everybody may ask, so nothing tells who has an account: answers depend on the domain, never on the local-part.
//   - Only names of ours are answered for: another Host gets 421 (RFC 9110 15.5.20). ACME challenges come first, and
//     the room that holds the certificates checks their names.
//   - Nothing is kept of a request, and nothing changes by one. A request has limits in size and time.
//   - Metrics are for the operator: their handler is apart, and cmd decides which listener shows it.
//
// RFC 6186 and 8314 (what is offered), 8461 3.2 and 3.3 (MTA-STS policy), 8555 8.3 (HTTP-01), Thunderbird's config-v1.1, Microsoft's
// autodiscover in its XML form (MS-OXDSCLI), Apple's configuration profiles.
package web
