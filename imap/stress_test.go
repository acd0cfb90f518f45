package imap

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStress has 20 sessions do everything to one mailbox at once, and then compares what
// each of them sees with the store. FACTEUR_STRESS=1m makes it last a minute.
func TestStress(t *testing.T) {
	length := 2 * time.Second
	if s := os.Getenv("FACTEUR_STRESS"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		length = d
	}
	h := newHouse(t, nil)
	first := h.login()
	for i := range 30 {
		first.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\nSubject: %02d\r\n\r\nx\r\n", 18, i))
	}
	until := time.Now().Add(length)
	sessions := make([]*stressed, 20)
	var all sync.WaitGroup
	for i := range sessions {
		s := &stressed{client: h.login(), rnd: rand.New(rand.NewPCG(uint64(i), 7)), modSeqs: make(map[string]uint64), qresync: i%3 == 0}
		sessions[i] = s
		all.Go(func() {
			s.start()
			for time.Now().Before(until) && s.broken == "" {
				s.act()
			}
		})
	}
	all.Wait()

	box, err := h.account().Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Release()
	var want []string
	for i, e := range box.Snapshot().All(0) {
		flags := strings.NewReplacer(`\Recent `, "", ` \Recent`, "", `\Recent`, "").Replace(string(appendFlagList(nil, e.Flags, false)))
		want = append(want, fmt.Sprintf("* %d FETCH (UID %d FLAGS %s MODSEQ (%d))", i+1, e.UID, flags, e.ModSeq))
	}
	actions := 0
	for i, s := range sessions {
		if s.broken != "" {
			t.Fatalf("session %d: %s", i, s.broken)
		}
		actions += s.actions
		s.do("NOOP")
		var got []string
		for _, line := range s.ok("FETCH 1:* (UID FLAGS MODSEQ)") {
			got = append(got, strings.NewReplacer(`\Recent `, "", ` \Recent`, "", `\Recent`, "").Replace(line))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("session %d sees\n%s\nthe store has\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	t.Logf("%d actions; %d messages left", actions, len(want))
}

// stressed is a session that checks what it is told.
type stressed struct {
	*client
	rnd     *rand.Rand
	qresync bool
	exists  int
	modSeqs map[string]uint64 // by UID
	actions int
	broken  string
}

func (s *stressed) start() {
	if s.qresync {
		s.run("ENABLE QRESYNC", true)
	}
	s.run("SELECT INBOX (CONDSTORE)", true)
}

// act does something at random.
func (s *stressed) act() {
	s.actions++
	uid := s.rnd.IntN(200) + 1
	seq := 1
	if s.exists > 0 {
		seq = s.rnd.IntN(s.exists) + 1
	}
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, "$Junk", `\Answered`}[s.rnd.IntN(5)]
	sign := []string{"+", "-", ""}[s.rnd.IntN(3)]
	switch s.rnd.IntN(14) {
	case 0, 1:
		s.run("APPEND INBOX (\\Flagged) {17+}\r\nSubject: a\r\n\r\nx\r\n", true)
	case 2:
		s.run(fmt.Sprintf("STORE %d %sFLAGS (%s)", seq, sign, flag), false)
	case 3:
		s.run(fmt.Sprintf("UID STORE %d:%d %sFLAGS.SILENT (%s)", uid, uid+5, sign, flag), true)
	case 4:
		s.run("EXPUNGE", true)
	case 5:
		s.run(fmt.Sprintf("UID COPY %d:%d INBOX", uid, uid+1), true)
	case 6:
		s.run(fmt.Sprintf("UID MOVE %d:%d INBOX", uid, uid+1), true)
	case 7:
		s.run("FETCH 1:* (UID FLAGS MODSEQ)", false)
	case 8:
		s.run(fmt.Sprintf("UID FETCH %d:* (FLAGS ENVELOPE BODY[TEXT])", uid), true)
	case 9:
		s.run("SEARCH UNSEEN SUBJECT a", false)
	case 10:
		s.run("UID SEARCH RETURN (COUNT SAVE) DELETED", true)
	case 11:
		s.send("i IDLE\r\n")
		s.send("DONE\r\n")
		s.until("i ", true)
	case 12:
		s.run(fmt.Sprintf("UID REPLACE %d INBOX {4+}\r\nnew\n", uid), true)
	case 13:
		s.run("SELECT INBOX", true)
	}
}

func (s *stressed) run(command string, mayExpunge bool) {
	s.n++
	tag := fmt.Sprintf("t%d ", s.n)
	if strings.HasPrefix(command, "SELECT") {
		s.exists = 0
	}
	s.send(tag + command + "\r\n")
	if line := s.until(tag, mayExpunge); strings.HasPrefix(line, "BAD") && s.broken == "" {
		s.broken = command + ": " + line
	}
}

var (
	countLine = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|FETCH)`)
	vanished  = regexp.MustCompile(`^\* VANISHED ([0-9:,]+)$`)
	modSeqOf  = regexp.MustCompile(`UID (\d+) .*MODSEQ \((\d+)\)`)
)

// until reads up to the tagged response and checks what comes before it.
func (s *stressed) until(tag string, mayExpunge bool) string {
	for {
		line, err := s.tryRead()
		if err != nil {
			s.broken = err.Error()
			return ""
		}
		if rest, ok := strings.CutPrefix(line, tag); ok {
			return rest
		}
		if m := vanished.FindStringSubmatch(line); m != nil {
			s.vanish(m[1], mayExpunge)
		}
		if m := countLine.FindStringSubmatch(line); m != nil {
			s.count(m[1], m[2], mayExpunge)
		}
		if m := modSeqOf.FindStringSubmatch(line); m != nil {
			modSeq, _ := strconv.ParseUint(m[2], 10, 64)
			if modSeq < s.modSeqs[m[1]] {
				s.broken = fmt.Sprintf("ModSeq of UID %s went from %d back to %d", m[1], s.modSeqs[m[1]], modSeq)
			}
			s.modSeqs[m[1]] = modSeq
		}
	}
}

// vanish counts what VANISHED lists; without it a client with QRESYNC would go beyond the last message.
func (s *stressed) vanish(set string, mayExpunge bool) {
	if !mayExpunge {
		s.broken = "VANISHED where sequence numbers hold"
	}
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		from, _ := strconv.Atoi(first)
		to, _ := strconv.Atoi(last)
		s.exists -= to - from + 1
	}
}

func (s *stressed) count(number, what string, mayExpunge bool) {
	n, _ := strconv.Atoi(number)
	switch {
	case what == "EXISTS" && n < s.exists:
		s.broken = fmt.Sprintf("EXISTS went from %d to %d", s.exists, n)
	case what == "EXISTS":
		s.exists = n
	case n == 0 || n > s.exists:
		s.broken = fmt.Sprintf("%s %d of %d messages", what, n, s.exists)
	case what == "EXPUNGE" && !mayExpunge:
		s.broken = "EXPUNGE where sequence numbers hold"
	case what == "EXPUNGE":
		s.exists--
	}
}
