package smtpd

import "testing"

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name   string
		facts  Facts
		policy Policy
		want   Action
		code   int
	}{
		{"nobody looked", Facts{}, Policy{}, Accept, 0},
		{"pass", Facts{DMARC: "pass", DMARCPolicy: "reject"}, Policy{}, Accept, 0},
		{"no policy", Facts{DMARC: "none", SPF: "fail"}, Policy{}, Accept, 0},
		{"nobody knows", Facts{DMARC: "temperror"}, Policy{}, Accept, 0},
		{"nobody knows, reject", Facts{DMARC: "temperror", DMARCPolicy: "reject"}, Policy{}, Refuse, 451},
		{"nobody knows, quarantine", Facts{DMARC: "temperror", DMARCPolicy: "quarantine"}, Policy{}, Accept, 0},
		{"nobody knows, a trusted list", Facts{DMARC: "temperror", DMARCPolicy: "reject", Override: "list"}, Policy{}, Accept, 0},
		{"nobody knows, not followed", Facts{DMARC: "temperror", DMARCPolicy: "reject"}, Policy{IgnoreDMARC: true}, Accept, 0},
		{"malformed policy", Facts{DMARC: "permerror", DMARCPolicy: "reject"}, Policy{}, Accept, 0},
		{"fail, policy none", Facts{DMARC: "fail", DMARCPolicy: "none"}, Policy{}, Accept, 0},
		{"fail, quarantine", Facts{DMARC: "fail", DMARCPolicy: "quarantine"}, Policy{}, Quarantine, 0},
		{"fail, reject", Facts{DMARC: "fail", DMARCPolicy: "reject"}, Policy{}, Refuse, 550},
		{"a trusted list", Facts{DMARC: "fail", DMARCPolicy: "reject", Override: "list"}, Policy{}, Accept, 0},
		{"not followed", Facts{DMARC: "fail", DMARCPolicy: "reject"}, Policy{IgnoreDMARC: true}, Accept, 0},
		{"no author", Facts{FromFault: "two From fields", Override: "list"}, Policy{IgnoreDMARC: true}, Refuse, 550},
	} {
		d := Decide(c.facts, c.policy)
		if d.Action != c.want || (d.Reply != nil) != (c.want == Refuse) || d.Reply != nil && d.Reply.Code != c.code {
			t.Errorf("%s: %+v", c.name, d)
		}
		if d.Why == "" {
			t.Errorf("%s: no reason", c.name)
		}
	}
}
