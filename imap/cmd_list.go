package imap

import (
	"context"
	"fmt"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// listRequest is LIST with its options (RFC 5258, 5819, 6154, 9590).
type listRequest struct {
	extended   bool // used anything beyond RFC 3501
	subscribed bool // select SUBSCRIBED
	recursive  bool // select RECURSIVEMATCH
	special    bool // select SPECIAL-USE
	reference  string
	patterns   []string

	showSubscribed bool
	statusItems    []string
	metadata       []string
}

// Limits of LIST and LSUB. Each octet of a pattern may be compared with each of a name.
const (
	maxPatterns      = 100
	maxPatternOctets = 8 << 10
)

func checkPatterns(reference string, patterns []string) error {
	octets := 0
	for _, p := range patterns {
		octets += len(reference) + len(p)
	}
	if len(patterns) > maxPatterns || octets > maxPatternOctets {
		return no("LIMIT", fmt.Sprintf("At most %d patterns of %d octets in all", maxPatterns, maxPatternOctets))
	}
	return nil
}

func (s *session) list(ctx context.Context, _ *request) error {
	q := s.parseList()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if err := checkPatterns(q.reference, q.patterns); err != nil {
		return err
	}
	if err := checkEntries(q.metadata); err != nil {
		return err
	}
	if q.recursive && !q.subscribed {
		return bad("RECURSIVEMATCH needs another selection option")
	}
	if !q.extended && q.patterns[0] == "" {
		// RFC 9051 6.3.9: this asks for the separator.
		s.out.printf("* LIST (\\Noselect) \"/\" \"\"\r\n")
		return nil
	}
	boxes, err := s.acct.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for _, m := range q.choose(boxes) {
		s.out.printf("* LIST (%s) \"/\" %s%s\r\n", strings.Join(q.attributes(m), " "), s.mailboxText(m.Name), m.childInfo())
		if err := s.listExtras(ctx, q, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) parseList() *listRequest {
	d, q := s.dec, &listRequest{}
	d.SP()
	if d.Peek() == '(' {
		q.extended = true
		d.List(func() { q.selectOption(d) })
		d.SP()
	}
	q.reference = d.Mailbox()
	d.SP()
	if d.Peek() == '(' {
		q.extended = true
		d.List(func() { q.patterns = append(q.patterns, d.ListPattern()) })
		if len(q.patterns) == 0 {
			d.Fail("no pattern")
		}
	} else {
		q.patterns = []string{d.ListPattern()}
	}
	if d.Take(' ') && !d.AtEnd() {
		q.extended = true
		if word := d.Keyword(); word != "RETURN" {
			d.Fail("expected RETURN")
		}
		d.SP()
		d.List(func() { s.returnOption(q) })
	}
	return q
}

func (q *listRequest) selectOption(d *wire.Decoder) {
	switch option := d.Keyword(); option {
	case "SUBSCRIBED":
		q.subscribed, q.showSubscribed = true, true
	case "RECURSIVEMATCH":
		q.recursive = true
	case "SPECIAL-USE":
		q.special = true
	case "REMOTE": // there are none
	default:
		d.Fail("unknown selection option %s", option)
	}
}

func (s *session) returnOption(q *listRequest) {
	d := s.dec
	switch option := d.Keyword(); option {
	case "SUBSCRIBED":
		q.showSubscribed = true
	case "CHILDREN", "SPECIAL-USE": // always shown: macOS Mail doesn't ask
	case "STATUS":
		d.SP()
		q.statusItems = s.statusItems()
	case "METADATA":
		d.SP()
		d.List(func() { q.metadata = append(q.metadata, strings.ToLower(d.AString())) })
	default:
		d.Fail("unknown return option %s", option)
	}
}

// listed is a mailbox chosen by LIST.
type listed struct {
	storage.MailboxInfo
	below subscribedBelow
}

// subscribedBelow is what RECURSIVEMATCH finds of subscribed mailboxes below another.
type subscribedBelow uint8

const (
	noneBelow   subscribedBelow = iota
	allListed                   // there are some, and each is listed itself
	someMissing                 // not each is
)

func (m listed) childInfo() string {
	if m.below != noneBelow {
		return ` ("CHILDINFO" ("SUBSCRIBED"))`
	}
	return ""
}

// choose picks the mailboxes that match.
func (q *listRequest) choose(boxes []storage.MailboxInfo) []listed {
	if q.recursive {
		boxes = withParents(boxes)
	}
	matching := make([]bool, len(boxes))
	above := make(map[string]subscribedBelow)
	for i, m := range boxes {
		matching[i] = q.matches(m.Name)
		if q.recursive && m.Subscribed {
			below := someMissing
			if matching[i] {
				below = allListed
			}
			for name := parentOf(m.Name); name != "" && above[name] < below; name = parentOf(name) {
				above[name] = below
			}
		}
	}
	var out []listed
	for i, m := range boxes {
		l := listed{MailboxInfo: m, below: above[m.Name]}
		switch {
		case !matching[i]:
			continue
		case q.subscribed && !m.Subscribed && l.below != someMissing: // RFC 9051 6.3.9.6: CHILDINFO would be redundant
			continue
		case q.special && m.SpecialUse == "":
			continue
		case !m.Exists && !m.HasChild && !q.subscribed:
			continue // a subscription of what is no mailbox any more
		}
		out = append(out, l)
	}
	return out
}

// withParents adds the names above those that are subscribed without being there.
func withParents(boxes []storage.MailboxInfo) []storage.MailboxInfo {
	known := make(map[string]bool, len(boxes))
	for i := range boxes {
		known[boxes[i].Name] = true
	}
	for i := range boxes {
		for name := parentOf(boxes[i].Name); name != "" && !known[name]; name = parentOf(name) {
			known[name] = true
			boxes = append(boxes, storage.MailboxInfo{Name: name, NoSelect: true})
		}
	}
	return boxes
}

// parentOf is the name one level up; empty: there is none.
func parentOf(name string) string { return name[:max(strings.LastIndexByte(name, '/'), 0)] }

func (q *listRequest) matches(name string) bool {
	for _, p := range q.patterns {
		if matchMailbox(q.reference+p, name) {
			return true
		}
	}
	return false
}

// matchMailbox is wire.Match, with INBOX in any case (RFC 9051 6.3.9). Names below it begin with it in any case
// too, as when they are opened.
func matchMailbox(pattern, name string) bool {
	const inbox = "INBOX"
	switch {
	case wire.Match(pattern, name, '/'):
		return true
	case name == inbox:
		return wire.Match(strings.ToUpper(pattern), name, '/')
	case strings.HasPrefix(name, inbox+"/") && len(pattern) > len(inbox) && strings.EqualFold(pattern[:len(inbox)], inbox):
		return wire.Match(inbox+pattern[len(inbox):], name, '/')
	}
	return false
}

func (q *listRequest) attributes(m listed) []string {
	var attrs []string
	switch {
	case !m.NoSelect && m.Exists:
	case q.extended: // RFC 5258 3: more exact, and implies the other
		attrs = append(attrs, `\NonExistent`)
	default:
		attrs = append(attrs, `\Noselect`)
	}
	if m.HasChild {
		attrs = append(attrs, `\HasChildren`)
	} else {
		attrs = append(attrs, `\HasNoChildren`)
	}
	if q.showSubscribed && m.Subscribed {
		attrs = append(attrs, `\Subscribed`)
	}
	if m.SpecialUse != "" {
		attrs = append(attrs, m.SpecialUse)
	}
	return attrs
}

// listExtras writes the STATUS and METADATA responses that LIST was asked for (RFC 5819,
// RFC 9590).
func (s *session) listExtras(ctx context.Context, q *listRequest, m listed) error {
	if !m.Exists || m.NoSelect {
		return nil
	}
	if q.subscribed && !m.Subscribed { // RFC 9051 6.3.9.8, example 11: listed only for what is below
		return nil
	}
	if len(q.statusItems) > 0 {
		if err := s.writeStatus(ctx, m.Name, q.statusItems); err != nil && !isMissing(err) {
			return err
		}
	}
	if len(q.metadata) > 0 {
		err := s.writeMetadata(ctx, m.Name, m.SpecialUse, &metadataQuery{entries: q.metadata})
		if err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

// lsub is RFC 3501 6.3.9. A name whose children are subscribed is shown for "%", as
// \Noselect, when it isn't subscribed itself.
func (s *session) lsub(ctx context.Context, _ *request) error {
	s.dec.SP()
	reference := s.dec.Mailbox()
	s.dec.SP()
	pattern := reference + s.dec.ListPattern()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if err := checkPatterns("", []string{pattern}); err != nil {
		return err
	}
	boxes, err := s.acct.Mailboxes(ctx)
	if err != nil {
		return err
	}
	shown := make(map[string]bool)
	for _, m := range boxes {
		if m.Subscribed && matchMailbox(pattern, m.Name) {
			shown[m.Name] = true
			attrs := ""
			if m.NoSelect {
				attrs = `\Noselect`
			} else {
				attrs = m.SpecialUse // Outlook 2013 looks for it here
			}
			s.out.printf("* LSUB (%s) \"/\" %s\r\n", attrs, s.mailboxText(m.Name))
		}
	}
	for _, m := range boxes {
		if !m.Subscribed || !strings.HasSuffix(pattern, "%") {
			continue
		}
		for parent := parentOf(m.Name); parent != ""; parent = parentOf(parent) {
			if !shown[parent] && matchMailbox(pattern, parent) {
				shown[parent] = true
				s.out.printf("* LSUB (\\Noselect) \"/\" %s\r\n", s.mailboxText(parent))
			}
		}
	}
	return nil
}
