package smtpd

import "testing"

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts Facts
		want  Action
		code  int
	}{
		{"nobody looked", Facts{}, Accept, 0},
		{"pass", Facts{DMARC: "pass", DMARCPolicy: "reject"}, Accept, 0},
		{"no policy", Facts{DMARC: "none", SPF: "fail"}, Accept, 0},
		{"nobody knows", Facts{DMARC: "temperror"}, Accept, 0},
		{"nobody knows, reject", Facts{DMARC: "temperror", DMARCPolicy: "reject"}, Refuse, 451},
		{"nobody knows, quarantine", Facts{DMARC: "temperror", DMARCPolicy: "quarantine"}, Accept, 0},
		{"nobody knows, a trusted list", Facts{DMARC: "temperror", DMARCPolicy: "reject", Override: "list"}, Accept, 0},
		{"malformed policy", Facts{DMARC: "permerror", DMARCPolicy: "reject"}, Accept, 0},
		{"fail, policy none", Facts{DMARC: "fail", DMARCPolicy: "none"}, Accept, 0},
		{"fail, quarantine", Facts{DMARC: "fail", DMARCPolicy: "quarantine"}, Quarantine, 0},
		{"fail, reject", Facts{DMARC: "fail", DMARCPolicy: "reject"}, Refuse, 550},
		{"a trusted list", Facts{DMARC: "fail", DMARCPolicy: "reject", Override: "list"}, Accept, 0},
		{"no author", Facts{FromFault: "two From fields", Override: "list"}, Refuse, 550},
	} {
		d := Decide(c.facts)
		if d.Action != c.want || (d.Reply != nil) != (c.want == Refuse) || d.Reply != nil && d.Reply.Code != c.code {
			t.Errorf("%s: %+v", c.name, d)
		}
		if d.Why == "" {
			t.Errorf("%s: no reason", c.name)
		}
	}
}
