package differential

import "fmt"

// conversations makes a mailbox to sort and thread: answers that come before what they answer, lost
// parents, subjects that begin a thread anew, two messages with one Message-ID, a circle.
func conversations() []testMessage {
	var list []testMessage
	add := func(id, day, from, subject, fields string) {
		text := fmt.Sprintf("From: %s\r\nTo: list@example.org\r\nDate: %s Nov 2026 10:00:00 +0000\r\nSubject: %s\r\nMessage-ID: <%s@x>\r\n%s\r\nbody of %s\r\n", from, day, subject, id, fields, id)
		list = append(list, testMessage{id, []byte(text)})
	}
	add("a1", "1", "Zoe <zoe@example.org>", "apples", "")
	add("a3", "3", "bob@example.org", "Re: apples", "References: <a1@x> <a2@x>\r\n")
	add("a2", "2", "Alice <alice@example.org>", "RE: apples", "In-Reply-To: <a1@x>\r\nReferences: <a1@x>\r\n")
	add("a4", "4", "alice@example.org", "Re: Re[2]: apples (fwd)", "References: <a1@x> <a2@x> <a3@x>\r\n")
	add("b2", "5", "carol@example.org", "Re: bread", "In-Reply-To: <b1@x>\r\n")
	add("b3", "6", "dave@example.org", "bread", "References: <b1@x>\r\n")
	add("c1", "7", "eve@example.org", "cheese", "")
	add("c2", "8", "eve@example.org", "Re: cheese", "")
	add("c3", "9", "eve@example.org", "Fwd: cheese", "")
	add("c4", "2", "eve@example.org", "[list] cheese", "")
	add("d1", "10", "frank@example.org", "dates", "References: <d2@x>\r\n")
	add("d2", "11", "frank@example.org", "Re: dates", "References: <d1@x>\r\n")
	add("e1", "12", "grace@example.org", "eggs", "")
	add("e1", "13", "grace@example.org", "eggs again", "")
	add("e2", "14", "grace@example.org", "Re: eggs", "References: <e1@x>\r\n")
	add("f3", "15", "heidi@example.org", "figs", "References: <f0@x> <f1@x> <f2@x>\r\n")
	add("f2", "14", "heidi@example.org", "Re: figs", "References: <f0@x> <f1@x>\r\n")
	add("f5", "16", "heidi@example.org", "figs too", "References: <f0@x> <f4@x>\r\n")
	add("g1", "17", "ivan@example.org", "", "")
	add("g2", "18", "ivan@example.org", "Re:", "")
	add("h1", "19", "judy@example.org", "=?utf-8?q?Gr=C3=BCn?=", "")
	add("h2", "20", "judy@example.org", "Re: =?iso-8859-1?q?Gr=FCn?=", "")
	add("i1", "21", "ken@example.org", "grapes", "References: <a1@x>\r\n")
	add("j2", "3", "leo@example.org", "Re: honey", "")
	add("j1", "4", "leo@example.org", "honey", "")
	add("k1", "5", "mia@example.org", "Ice", "References: not an id\r\nIn-Reply-To: also none\r\n")
	add("k2", "6", "mia@example.org", "re: ice", "References: <k1@x>\r\n\t<k0@x>\r\n")
	add("l1", "99", "nina@example.org", "no date", "")
	for i := range 12 {
		add(fmt.Sprintf("m%d", i), fmt.Sprint(28-i), fmt.Sprintf("n%d@example.org", i%3), fmt.Sprintf("Re: topic %d", i%4), "")
	}
	return list
}
