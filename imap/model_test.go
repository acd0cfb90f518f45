package imap

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"facteur/storage"
)

// TestWhatClientsKnow has clients of several kinds change one mailbox in turn, each of which believes no more than what it is
// told. Whenever one with QRESYNC loses its connection it has to be brought up to date by what it knows (RFC 7162 6), and in the end
// each has to know the mailbox, its message numbers, the results of its searches and "$" as they are.
func TestWhatClientsKnow(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h, rnd := newHouse(t, nil), rand.New(rand.NewPCG(seed, 1))
			var clients []*modelClient
			for i := range 5 {
				c := &modelClient{h: h, client: h.login(), rnd: rnd, qresync: i < 3, uidOnly: rnd.IntN(4) == 0}
				c.notify = []string{"", "", "selected", "selected-delayed"}[rnd.IntN(4)]
				c.start()
				clients = append(clients, c)
			}
			for step := range 200 {
				c := clients[rnd.IntN(len(clients))]
				if c.act(); c.qresync && rnd.IntN(2) == 0 {
					c.lose()
				}
				for _, c := range clients {
					if step%50 == 49 {
						c.check()
					}
					if c.fault != "" {
						t.Fatalf("%s\n%s", c.fault, strings.Join(c.log[max(0, len(c.log)-60):], "\n"))
					}
				}
			}
		})
	}
}

// modelClient is a client and what it knows.
type modelClient struct {
	*client
	h                *house
	rnd              *rand.Rand
	qresync, uidOnly bool
	notify           string

	validity string
	seq      []int          // UIDs by message number; 0: not told yet
	flags    map[int]string // by UID
	results  []*modelResult // of searches with UPDATE
	saved    []int          // "$"; nil: empty

	highest uint64 // where it stands
	code    uint64 // HIGHESTMODSEQ told since the last tagged response
	modSeq  uint64 // the highest MODSEQ told since then

	numbersHold bool // EXPUNGE and VANISHED may not be told now
	log         []string
	fault       string
}

// modelResult is the result of a search that is kept up to date.
type modelResult struct {
	tag, program string
	uids         map[int]bool
}

func (c *modelClient) start() {
	if c.uidOnly {
		c.command("ENABLE UIDONLY")
	}
	if c.qresync {
		c.command("ENABLE QRESYNC")
	}
	c.flags = make(map[int]string)
	c.command("SELECT INBOX")
	if c.notify != "" {
		c.command("NOTIFY SET (%s (MessageNew (UID FLAGS) MessageExpunge FlagChange))", c.notify)
	}
}

func (c *modelClient) failed(format string, args ...any) {
	if c.fault == "" {
		c.fault = fmt.Sprintf("qresync %v, UIDONLY %v, NOTIFY %q: ", c.qresync, c.uidOnly, c.notify) + fmt.Sprintf(format, args...)
	}
}

// command sends a command, and returns the UIDs of an ESEARCH response that answers it.
func (c *modelClient) command(format string, args ...any) (found []int) {
	c.n++
	tag, text := fmt.Sprintf("m%d", c.n), fmt.Sprintf(format, args...)
	word, _, _ := strings.Cut(text, " ")
	c.numbersHold = c.notify != "selected" && slices.Contains([]string{"FETCH", "STORE", "SEARCH", "SORT"}, word)
	c.log = append(c.log, "> "+tag+" "+text)
	c.send(tag + " " + text + "\r\n")
	if text == "IDLE" {
		c.send("DONE\r\n")
	}
	for {
		line, err := c.tryRead()
		if err != nil {
			c.failed("%v", err)
			return nil
		}
		c.log = append(c.log, "< "+line)
		if m := modelHighest.FindStringSubmatch(line); m != nil {
			c.code, _ = strconv.ParseUint(m[1], 10, 64)
		}
		if strings.HasPrefix(line, tag+" BAD") {
			c.failed("BAD")
		}
		if strings.HasPrefix(line, tag+" ") {
			break
		}
		if m := modelFound.FindStringSubmatch(line); m != nil && m[1] == tag {
			found = numbersIn(m[2])
		}
		c.hear(line)
	}
	// RFC 7162 6: the code counts, even where it is lower.
	if c.highest = max(c.highest, c.modSeq); c.code > 0 {
		c.highest = c.code
	}
	c.code, c.modSeq = 0, 0
	return found
}

var (
	modelHighest  = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	modelFound    = regexp.MustCompile(`^\* ESEARCH \(TAG "(\w+)"\) UID ALL ([0-9:,]+)`)
	modelUpdate   = regexp.MustCompile(`^\* ESEARCH \(TAG "(\w+)"\) UID (ADDTO|REMOVEFROM) \(0 ([0-9:,]+)\)$`)
	modelVanished = regexp.MustCompile(`^\* VANISHED (\(EARLIER\) )?([0-9:,]+)$`)
	modelCount    = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|FETCH|UIDFETCH)`)
	modelValidity = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	modelUID      = regexp.MustCompile(`\bUID (\d+)`)
	modelFlags    = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	modelModSeq   = regexp.MustCompile(`MODSEQ \((\d+)\)`)
)

func numbersIn(set string) (numbers []int) {
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		n, _ := strconv.Atoi(first)
		for end, _ := strconv.Atoi(last); n <= end; n++ {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func (c *modelClient) hear(line string) {
	if m := modelValidity.FindStringSubmatch(line); m != nil {
		c.validity = m[1]
	}
	if m := modelVanished.FindStringSubmatch(line); m != nil {
		for _, uid := range numbersIn(m[2]) {
			c.vanished(uid, m[1] != "")
		}
	}
	if m := modelUpdate.FindStringSubmatch(line); m != nil {
		c.updated(m[1], m[2] == "ADDTO", numbersIn(m[3]))
	}
	m := modelCount.FindStringSubmatch(line)
	if m == nil {
		return
	}
	n, _ := strconv.Atoi(m[1])
	switch {
	case m[2] == "EXISTS" && n >= len(c.seq):
		c.seq = append(c.seq, make([]int, n-len(c.seq))...)
	case m[2] == "UIDFETCH" && c.uidOnly:
		c.fetched(n, line)
	case n < 1, n > len(c.seq), m[2] == "UIDFETCH":
		c.failed("number %d of %d", n, len(c.seq))
	case m[2] == "EXPUNGE":
		c.expunged(n - 1)
	case m[2] == "FETCH":
		if u := modelUID.FindStringSubmatch(line); u != nil {
			uid, _ := strconv.Atoi(u[1])
			if c.seq[n-1] != 0 && c.seq[n-1] != uid {
				c.failed("message %d was UID %d and is %d", n, c.seq[n-1], uid)
			}
			c.seq[n-1] = uid
		}
		c.fetched(c.seq[n-1], line)
	}
}

func (c *modelClient) fetched(uid int, line string) {
	if m := modelFlags.FindStringSubmatch(line); m != nil && uid != 0 {
		c.flags[uid] = modelFlagSet(m[1])
	}
	if m := modelModSeq.FindStringSubmatch(line); m != nil {
		modSeq, _ := strconv.ParseUint(m[1], 10, 64)
		c.modSeq = max(c.modSeq, modSeq)
	}
}

func modelFlagSet(list string) string {
	flags := slices.DeleteFunc(strings.Fields(list), func(f string) bool { return f == `\Recent` })
	return strings.Join(slices.Sorted(slices.Values(flags)), " ")
}

// vanished takes a message out; one whose UID the client wasn't told yet is somewhere between those beside it.
func (c *modelClient) vanished(uid int, earlier bool) {
	i := slices.Index(c.seq, uid)
	if earlier {
		if delete(c.flags, uid); i >= 0 {
			c.failed("UID %d vanished earlier, and has a number", uid)
		}
		return
	}
	for k := 0; i < 0 && k < len(c.seq); k++ {
		if next := slices.IndexFunc(c.seq[k:], func(u int) bool { return u != 0 }); c.seq[k] == 0 && (next < 0 || c.seq[k+next] > uid) {
			i = k
		}
	}
	if i < 0 {
		c.failed("UID %d vanished, and was never there", uid)
		return
	}
	delete(c.flags, uid)
	c.expunged(i)
}

func (c *modelClient) expunged(i int) {
	if c.numbersHold {
		c.failed("expunged where numbers hold")
	}
	for _, r := range c.results {
		if r.uids[c.seq[i]] {
			c.failed("expunged UID %d is in the result of %s", c.seq[i], r.tag)
		}
	}
	delete(c.flags, c.seq[i])
	c.seq = slices.Delete(c.seq, i, i+1)
}

func (c *modelClient) updated(tag string, added bool, uids []int) {
	for _, r := range c.results {
		for _, uid := range uids {
			if r.tag != tag {
				continue
			}
			if r.uids[uid] == added {
				c.failed("UID %d: added %v a second time", uid, added)
			}
			if r.uids[uid] = added; !added {
				delete(r.uids, uid)
			}
		}
	}
}

var modelPrograms = []string{"UNSEEN", "FLAGGED", "NOT DELETED", "OR SEEN FLAGGED", "SUBJECT a", "UID 1:*"}

// act does something at random, by message numbers where the client has them.
func (c *modelClient) act() {
	uid := c.rnd.IntN(60) + 1
	if known := slices.Sorted(maps.Keys(c.flags)); len(known) > 0 && c.rnd.IntN(4) > 0 {
		uid = known[c.rnd.IntN(len(known))]
	}
	set, prefix := fmt.Sprintf("%d:%d", uid, uid+c.rnd.IntN(4)), "UID "
	if !c.uidOnly && c.notify != "selected" && len(c.seq) > 0 && c.rnd.IntN(2) == 0 {
		n := c.rnd.IntN(len(c.seq)) + 1
		set, prefix = fmt.Sprintf("%d:%d", n, min(n+2, len(c.seq))), ""
	}
	change := []string{"+", "-"}[c.rnd.IntN(2)] + "FLAGS (" + []string{`\Seen`, `\Flagged`, `\Deleted`, `\Deleted`}[c.rnd.IntN(4)] + ")"
	program := modelPrograms[c.rnd.IntN(len(modelPrograms))]
	switch c.rnd.IntN(16) {
	case 0, 1:
		c.command("APPEND INBOX (\\Flagged) {14+}\r\nSubject: a\r\n\r\n {39+}\r\nContent-Transfer-Encoding: x-own\r\n\r\nx\r\n")
	case 2, 3, 4:
		c.command("%sSTORE %s %s", prefix, set, change)
	case 5:
		c.command("%sSTORE %s (UNCHANGEDSINCE %d) %s", prefix, set, max(c.highest, 1), change)
	case 6:
		c.command("EXPUNGE")
	case 7:
		c.command("%sCOPY %s INBOX", prefix, set)
	case 8:
		c.command("%sMOVE %s %s", prefix, set, []string{"INBOX", "Archive"}[c.rnd.IntN(2)])
	case 9:
		c.command("%sFETCH %s (FLAGS BODY[TEXT])", prefix, set)
	case 10:
		c.command("%sFETCH %s BINARY.PEEK[1]", prefix, set) // often answered by NO
	case 11:
		c.command("IDLE")
	case 12:
		if len(c.results) < 4 {
			r := &modelResult{tag: fmt.Sprintf("m%d", c.n+1), program: program, uids: make(map[int]bool)}
			for _, uid := range c.command("UID SEARCH RETURN (UPDATE ALL) %s", program) {
				r.uids[uid] = true
			}
			c.results = append(c.results, r)
		}
	case 13:
		c.saved = c.command("UID SEARCH RETURN (SAVE ALL) %s", program)
	case 14:
		if c.qresync {
			c.command("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", max(c.highest, 1))
		}
	case 15:
		c.command("UID REPLACE %d INBOX {14+}\r\nSubject: a\r\n\r\n", uid)
	}
	if n := slices.Index(c.seq, 0); n >= 0 { // as mail programs do
		if prefix == "" {
			c.command("FETCH %d:%d (UID FLAGS)", n+1, len(c.seq))
		} else {
			c.command("UID FETCH 1:* (UID FLAGS)")
		}
	}
}

// truth is the mailbox as the store has it: flags by UID.
func (c *modelClient) truth() map[int]string {
	box, err := c.h.account().Mailbox(c.t.Context(), "INBOX")
	if err != nil {
		c.t.Fatal(err)
	}
	defer box.Release()
	all := make(map[int]string)
	for _, e := range box.Snapshot().All(0) {
		all[int(e.UID)] = modelFlagSet(strings.Trim(string(appendFlagList(nil, storage.Flags{System: e.Flags.System}, false)), "()"))
	}
	return all
}

// lose has another connection brought up to date by what this one knows.
func (c *modelClient) lose() {
	again := &modelClient{h: c.h, client: c.h.login(), qresync: true, flags: maps.Clone(c.flags)}
	again.command("ENABLE QRESYNC")
	again.command("SELECT INBOX (QRESYNC (%s %d))", c.validity, max(c.highest, 1))
	again.nc.Close()
	now := c.truth()
	for uid, flags := range again.flags {
		if is, there := now[uid]; !there || is != flags {
			c.failed("back from %d, UID %d (%s), is there: %v (%s)\n%s", c.highest, uid, flags, there, is, strings.Join(again.log, "\n"))
		}
	}
}

// check compares all that the client knows.
func (c *modelClient) check() {
	c.command("NOOP")
	time.Sleep(2 * time.Millisecond) // what NOTIFY tells before the next command
	c.command("UID FETCH 1:* (UID FLAGS)")
	now := c.truth()
	if !maps.Equal(c.flags, now) {
		c.failed("knows %v\nthere is %v", c.flags, now)
	}
	if uids := slices.Sorted(maps.Keys(now)); len(c.seq) != len(uids) || !c.uidOnly && !slices.Equal(c.seq, uids) {
		c.failed("has numbers for %v, there are %v", c.seq, uids)
	}
	for _, r := range c.results {
		if have, found := slices.Sorted(maps.Keys(r.uids)), c.command("UID SEARCH RETURN (ALL) %s", r.program); !slices.Equal(have, found) {
			c.failed("result of %s, %s: has %v, it is %v", r.tag, r.program, have, found)
		}
	}
	saved := slices.DeleteFunc(slices.Clone(c.saved), func(uid int) bool { _, there := now[uid]; return !there })
	if found := c.command("UID SEARCH RETURN (ALL) $"); !slices.Equal(saved, found) {
		c.failed("$: saved %v, it is %v", saved, found)
	}
}
