package smtpd

import "facteur/mta"

// Action is what becomes of a message.
type Action uint8

const (
	Accept     Action = iota
	Quarantine        // into Junk
	Refuse
)

func (a Action) String() string { return [...]string{"accept", "quarantine", "reject"}[a] }

// Decision is the outcome of Decide. Reply is set with Refuse.
type Decision struct {
	Action Action
	Why    string
	Reply  *mta.Reply
}

// Decide says what becomes of a message. It looks at nothing but the facts.
func Decide(f Facts) Decision {
	switch {
	case f.FromFault != "":
		// Without one author there is nobody DMARC could be asked about, and readers would show
		// whichever they like (RFC 9989 leaves such messages to us).
		return refuse("author", 550, [3]int{5, 6, 0}, "Refused: "+f.FromFault)
	case f.DMARC == "":
		return Decision{Action: Accept, Why: "senders are not checked"}
	case f.DMARC != "fail" && f.DMARC != "temperror":
		return Decision{Action: Accept, Why: "dmarc " + f.DMARC}
	case f.Override != "":
		return Decision{Action: Accept, Why: "override: " + f.Override}
	case f.DMARC == "temperror" && f.DMARCPolicy == "reject":
		// Whoever has a name below the author's with a broken DNS could come in here otherwise.
		return refuse("dmarc temperror", 451, [3]int{4, 7, 1}, "No answer from DNS for "+f.Author+", please try again later")
	case f.DMARC == "temperror":
		return Decision{Action: Accept, Why: "dmarc temperror"}
	case f.DMARCPolicy == "reject":
		return refuse("dmarc reject", 550, [3]int{5, 7, 1},
			"Refused: neither SPF nor DKIM shows that this is from "+f.Author+", and "+f.DMARCDomain+" asks to reject such mail (DMARC)")
	case f.DMARCPolicy == "quarantine":
		return Decision{Action: Quarantine, Why: "dmarc quarantine"}
	}
	return Decision{Action: Accept, Why: "dmarc fail, policy none"}
}

func refuse(why string, code int, enhanced [3]int, text string) Decision {
	return Decision{Action: Refuse, Why: why, Reply: &mta.Reply{Code: code, Enhanced: enhanced, Text: text}}
}

// aligned reports that the author's domain vouches for the message.
func (f Facts) aligned() bool { return f.DMARC == "pass" }
