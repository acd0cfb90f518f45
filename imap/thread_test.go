package imap

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"facteur/storage"
)

// threadBox makes a mailbox of lines "id | references | subject | day".
func threadBox(lines string) *memBox {
	b := &memBox{}
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		f := strings.Split(line, "|")
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		var msg strings.Builder
		if f[0] != "" {
			fmt.Fprintf(&msg, "Message-ID: <%s@x>\n", f[0])
		}
		if refs := strings.Fields(f[1]); len(refs) > 0 {
			name := "References"
			if refs[0] == "irt" {
				name, refs = "In-Reply-To", refs[1:]
			}
			fmt.Fprintf(&msg, "%s: <%s@x>\n", name, strings.Join(refs, "@x> <"))
		}
		fmt.Fprintf(&msg, "Subject: %s\nDate: %s Feb 2026 10:00:00 +0000\n\n", f[2], f[3])
		b.add(msg.String(), storage.Entry{Internal: day("2026-03-01")})
	}
	return b
}

func threads(t *testing.T, b *memBox, name string) string {
	t.Helper()
	s := b.search()
	var positions []int
	for i := range s.uids {
		positions = append(positions, i)
	}
	found, err := s.thread(context.Background(), positions, findThreadAlgorithm(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(appendThreads(nil, found, func(i int) uint32 { return uint32(i + 1) }))
}

func TestThread(t *testing.T) {
	for _, c := range []struct{ name, algorithm, box, want string }{
		{"subjects", "ORDEREDSUBJECT", `
			a | | lunch         | 3
			b | | other         | 2
			c | | Re: lunch     | 5
			d | | [list] Lunch (fwd) | 4`,
			"(2)(1 (4)(3))"},
		{"subject chain of two", "ORDEREDSUBJECT", `
			a | | x     | 1
			b | | re: x | 2`,
			"(1 2)"},
		{"chain", "REFERENCES", `
			a |     | x     | 1
			b | a   | Re: x | 2
			c | a b | Re: x | 3`,
			"(1 2 3)"},
		{"fork", "REFERENCES", `
			a |     | x     | 1
			c | a   | Re: x | 3
			b | a   | Re: x | 2
			d | a c | Re: x | 4`,
			"(1 (3)(2 4))"},
		{"in-reply-to", "REFERENCES", `
			a |       | x | 1
			b | irt a | y | 2`,
			"(1 2)"},
		{"missing parent of two", "REFERENCES", `
			b | a | x | 2
			c | a | x | 3`,
			"((1)(2))"},
		{"missing parent of one", "REFERENCES", `
			b | a | x | 2`,
			"(1)"},
		{"missing in the middle", "REFERENCES", `
			a |     | x | 1
			c | a b | x | 3
			d | a b | x | 4`,
			"(1 (2)(3))"},
		{"reply before original", "REFERENCES", `
			b | a | Re: x | 2
			a |   | x     | 1`,
			"(2 1)"},
		{"loop", "REFERENCES", `
			a | b | x | 1
			b | a | x | 2`,
			"(2 1)"},
		{"own reference", "REFERENCES", `
			a | a | x | 1`,
			"(1)"},
		{"same message id twice", "REFERENCES", `
			a |   | x | 1
			a |   | y | 2
			b | a | z | 3`,
			"(1 3)(2)"},
		{"own link wins over another's", "REFERENCES", `
			a |     | w | 1
			d | b c | x | 4
			c | a   | y | 3`,
			"(1 3 2)"},
		{"no references of its own", "REFERENCES", `
			a |     | w | 1
			d | a b | x | 3
			b |     | y | 2`,
			"(1)(3 2)"},
		{"its own link would be a loop", "REFERENCES", `
			d | a c | x | 1
			c | d   | y | 2
			a |     | w | 3`,
			"(2 1)(3)"},
		{"same subject, a reply", "REFERENCES", `
			a | | x     | 1
			b | | Re: x | 2`,
			"(1 2)"},
		{"same subject, the reply first", "REFERENCES", `
			b | | Re: x | 2
			a | | x     | 1`,
			"(2 1)"},
		{"same subject, no reply", "REFERENCES", `
			a | | x | 1
			b | | x | 2`,
			"((1)(2))"},
		{"same subject below a dummy", "REFERENCES", `
			b | a | x | 1
			c | a | x | 2
			d |   | x | 3`,
			"((1)(2)(3))"},
		{"two dummies with one subject", "REFERENCES", `
			b | a | x | 1
			c | a | x | 2
			e | d | x | 3
			f | d | x | 4`,
			"((1)(2)(3)(4))"},
		{"no subject, no id", "REFERENCES", `
			| | | 2
			| | | 1`,
			"(2)(1)"},
	} {
		if got := threads(t, threadBox(c.box), c.algorithm); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if findThreadAlgorithm("REFS") != nil {
		t.Error("an algorithm that we don't have")
	}
}

func TestThreadOfManyIsQuick(t *testing.T) {
	// A chain in which each message names the one before, delivered backwards: the
	// straightforward search for loops would be quadratic.
	messages := make([]threaded, 20000)
	for i := range messages {
		n := len(messages) - i
		messages[i] = threaded{position: i, date: int64(n), id: fmt.Sprint(n), refs: []string{fmt.Sprint(n - 1)}}
	}
	found := threadByReferences(messages)
	if len(found) == 0 {
		t.Error("no threads")
	}
}

func TestSort(t *testing.T) {
	b := &memBox{}
	add := func(msg, internal string) {
		b.add(msg+"\n", storage.Entry{Internal: day(internal)})
	}
	add("From: Zoe <amy@x>\nTo: b@x\nSubject: Re: beta\nDate: 3 Feb 2026 23:00 -0500\n", "2026-01-03")
	add("From: amy2@x\nTo: Ann <c@x>\nCc: z@x\nSubject: alpha\nDate: 4 Feb 2026 01:00 +0000\n", "2026-01-01")
	add("From: Ämil <Bob@x>\nTo: grp: d@x;\nSubject: [l] ALPHA (fwd)\n\nlonger than the others are by far", "2026-01-02")
	for _, c := range []struct{ keys, want string }{
		{"(ARRIVAL)", "2 3 1"},
		{"(REVERSE ARRIVAL)", "1 3 2"},
		{"(DATE)", "3 2 1"}, // in UTC; without Date by arrival
		{"(FROM)", "1 2 3"},
		{"(TO)", "1 2 3"},
		{"(CC)", "1 3 2"},
		{"(SUBJECT)", "2 3 1"},
		{"(SUBJECT REVERSE DATE)", "2 3 1"},
		{"(REVERSE SUBJECT)", "1 2 3"}, // equal ones stay in the mailbox's order
		{"(REVERSE SIZE)", "3 2 1"},
		{"(DISPLAYFROM)", "2 3 1"},
		{"(DISPLAYTO)", "2 1 3"},
		{"(SUBJECT ARRIVAL)", "2 3 1"},
	} {
		keys := parseSortKeys(decoder(c.keys))
		order, err := b.search().sort(context.Background(), []int{0, 1, 2}, keys)
		if err != nil {
			t.Fatal(err)
		}
		if got := numbers(order); got != c.want {
			t.Errorf("%s: %s, want %s", c.keys, got, c.want)
		}
	}
	for _, bad := range []string{"()", "(X)", "(REVERSE)", "SIZE"} {
		d := decoder(bad)
		if parseSortKeys(d); d.Err() == nil {
			t.Errorf("%s: taken", bad)
		}
	}
}

// bigBox is a mailbox of n ordinary messages.
func bigBox(n int) *memBox {
	b := &memBox{}
	for i := range n {
		b.add(fmt.Sprintf(`Received: from mx.example.net by mx.example.org; Tue, 3 Feb 2026 10:00:00 +0000
From: =?utf-8?q?Andr=C3=A9?= Example <user%d@example.net>
To: Bob Example <bob@example.org>, "Doe, Jane" <jane@example.org>
Subject: Re: [list] Message number %d about lunch
Date: Tue, 3 Feb 2026 10:%02d:00 +0100
Message-ID: <%d@example.net>
References: <%d@example.net> <%d@example.net>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="=_b1"

--=_b1
Content-Type: text/plain; charset=utf-8

Some words that people write to each other.
--=_b1
Content-Type: text/html; charset=utf-8

<p>Some words that people write to each other.</p>
--=_b1--
`, i%97, i, i%60, i, i-1, i-7), storage.Entry{Internal: time.Unix(1770000000+int64(i), 0)})
	}
	return b
}

func BenchmarkThreadReferences10k(b *testing.B) {
	messages := make([]threaded, 10000)
	for i := range messages {
		messages[i] = threaded{
			position: i, date: int64(i), id: fmt.Sprint(i), subject: fmt.Sprint("s", i%3000), reply: i%2 == 0,
			refs: []string{fmt.Sprint(i - i%5), fmt.Sprint(i - i%3)},
		}
	}
	for b.Loop() {
		threadByReferences(messages)
	}
}

func BenchmarkSearch10k(b *testing.B) {
	box := bigBox(10000)
	for _, program := range []string{"UNSEEN", `SUBJECT "number 77 "`, "FROM user7@", "TEXT nowhere"} {
		b.Run(strings.Fields(program)[0], func(b *testing.B) {
			for b.Loop() {
				s := box.search()
				if _, err := s.run(context.Background(), parseSearch(decoder(program), "")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestSortsByWhatEnvelopeShows(t *testing.T) {
	b := &memBox{}
	for _, from := range []string{"_x@x", "n@x", "m@x", "no address", "ab", "a@[192.0.2.1]"} {
		b.add("From: "+from+"\n\n", storage.Entry{})
	}
	for _, c := range []struct{ keys, want string }{
		{"(FROM)", "6 5 3 4 2 1"},        // RFC 5051 2: "_" behind all letters; MISSING_MAILBOX has its place too
		{"(DISPLAYFROM)", "6 5 3 2 4 1"}, // no@...: by its words, as there is no address
	} {
		order, err := b.search().sort(context.Background(), []int{0, 1, 2, 3, 4, 5}, parseSortKeys(decoder(c.keys)))
		if err != nil {
			t.Fatal(err)
		}
		if got := numbers(order); got != c.want {
			t.Errorf("%s: %s, want %s", c.keys, got, c.want)
		}
	}
}
