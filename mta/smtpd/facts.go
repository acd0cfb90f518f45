package smtpd

// Facts is what is known of a message when the MX decides about it: the outcome of the sender
// authentication, and what the owner has set. The decision itself is the pure function Decide.
type Facts struct {
	AuthResults []byte   // the Authentication-Results field, CRLF end, to go on top
	SPF         string   // "pass", "fail", ...: the words of RFC 8601
	DKIM        []string // of each signature, for the log: "pass example.org selector"
	ARC         string
	DMARC       string
	DMARCPolicy string // that applies: "none", "quarantine", "reject"
	DMARCDomain string
	Author      string // domain of From; empty with FromFault
	FromFault   string // what is wrong with the From field: the message is refused
	Override    string // reason to set the policy aside (a trusted forwarder or list)
}
