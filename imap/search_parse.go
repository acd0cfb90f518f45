package imap

import (
	"math"
	"slices"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
	"facteur/storage/message"
)

// maxSearchKeys is how many keys a search program may have.
const maxSearchKeys = 1000

// searchParser reads a search program. Strings are in charset.
type searchParser struct {
	*wire.Decoder
	charset string
	keys    int
}

// searchCharsets are named to clients that ask for one we don't know.
const searchCharsets = "UTF-8 US-ASCII ISO-8859-1"

// knownCharset reports whether SEARCH may use that charset; otherwise the answer is NO
// [BADCHARSET (searchCharsets)].
func knownCharset(charset string) bool {
	_, ok := message.DecodeCharset(charset, nil)
	return ok
}

// parseSearch reads the search keys up to the end of the command's line. The strings in
// them are in charset; empty means UTF-8.
func parseSearch(d *wire.Decoder, charset string) *searchKey {
	p := &searchParser{Decoder: d, charset: charset}
	keys := []searchKey{p.key()}
	for d.Err() == nil && d.Take(' ') && !d.AtEnd() {
		keys = append(keys, p.key())
	}
	return allOf(keys)
}

func allOf(keys []searchKey) *searchKey {
	if len(keys) == 1 {
		return &keys[0]
	}
	return &searchKey{op: opAnd, keys: keys}
}

func (p *searchParser) key() searchKey {
	if p.keys++; p.keys > maxSearchKeys {
		p.Fail("too many search keys")
	}
	if p.Err() != nil {
		return searchKey{}
	}
	switch c := p.Peek(); {
	case c == '(':
		var keys []searchKey
		p.List(func() { keys = append(keys, p.key()) })
		if len(keys) == 0 {
			p.Fail("empty search key")
			return searchKey{}
		}
		return *allOf(keys)
	case c == '$', c == '*', '0' <= c && c <= '9':
		set := p.Set()
		if set.Saved {
			return searchKey{op: opSaved}
		}
		return searchKey{op: opSeqSet, set: set}
	}
	return p.named(p.Keyword())
}

// named reads the arguments of a key that begins with a name.
func (p *searchParser) named(name string) searchKey {
	if key, ok := p.flagKey(name); ok {
		return key
	}
	if key, ok := p.dateKey(name); ok {
		return key
	}
	if key, ok := p.textKey(name); ok {
		return key
	}
	switch name {
	case "ALL", "SAVEDATESUPPORTED": // RFC 8514 4.3: all of our mailboxes have save dates
		return searchKey{op: opAll}
	case "NOT":
		p.SP()
		return not(p.key())
	case "OR":
		p.SP()
		first := p.key()
		p.SP()
		return searchKey{op: opOr, keys: []searchKey{first, p.key()}}
	case "UID":
		p.SP()
		set := p.Set()
		if set.Saved {
			return searchKey{op: opSaved}
		}
		return searchKey{op: opUIDSet, set: set}
	case "UIDAFTER", "UIDBEFORE": // RFC 9738 3.2
		p.SP()
		n := p.Number()
		if n == 0 {
			p.Fail("0 is not a UID")
		}
		return searchKey{op: opUIDSet, set: beside(n, name == "UIDAFTER")}
	case "LARGER", "SMALLER":
		p.SP()
		return searchKey{op: choose(name == "LARGER", opLarger, opSmaller), number: p.Number64()}
	case "OLDER", "YOUNGER":
		p.SP()
		n := p.Number()
		if n == 0 { // RFC 5032 4: nz-number
			p.Fail("interval can't be 0")
		}
		return searchKey{op: choose(name == "OLDER", opOlder, opYounger), number: uint64(n)}
	case "EMAILID", "THREADID":
		p.SP()
		return searchKey{op: choose(name == "EMAILID", opEmailID, opThreadID), text: p.AString()}
	case "MODSEQ":
		p.SP()
		return p.modSeqKey()
	}
	p.Fail("unknown search key %s", name)
	return searchKey{}
}

// beside is the UIDs above or below one. None of them is "*", which would find the last message in any case.
func beside(uid uint32, above bool) wire.Set {
	switch {
	case above && uid < math.MaxUint32:
		return wire.Set{Ranges: []wire.Range{{First: uid + 1, Last: math.MaxUint32}}}
	case !above && uid > 1:
		return wire.Set{Ranges: []wire.Range{{First: 1, Last: uid - 1}}}
	}
	return wire.Set{}
}

func choose(first bool, a, b searchOp) searchOp {
	if first {
		return a
	}
	return b
}

func not(key searchKey) searchKey { return searchKey{op: opNot, keys: []searchKey{key}} }

// flagKey reads the keys about flags.
func (p *searchParser) flagKey(name string) (searchKey, bool) {
	seen := searchKey{op: opFlag, flag: storage.Seen}
	switch name {
	case "RECENT":
		return searchKey{op: opRecent}, true
	case "NEW":
		return searchKey{op: opAnd, keys: []searchKey{{op: opRecent}, not(seen)}}, true
	case "OLD":
		return not(searchKey{op: opRecent}), true
	case "KEYWORD", "UNKEYWORD":
		p.SP()
		key := searchKey{op: opKeyword, name: strings.ToLower(p.Flag())}
		if name == "UNKEYWORD" {
			key = not(key)
		}
		return key, true
	}
	flags := []string{"SEEN", "ANSWERED", "FLAGGED", "DELETED", "DRAFT"} // in the order of storage's bits
	plain, negated := strings.CutPrefix(name, "UN")
	i := slices.Index(flags, plain)
	if i < 0 {
		return searchKey{}, false
	}
	key := searchKey{op: opFlag, flag: 1 << i}
	if negated {
		key = not(key)
	}
	return key, true
}

// dateKey reads the keys about days.
func (p *searchParser) dateKey(name string) (searchKey, bool) {
	first := opBefore
	rest := name
	for prefix, op := range map[string]searchOp{"SENT": opSentBefore, "SAVED": opSavedBefore} {
		if after, ok := strings.CutPrefix(name, prefix); ok {
			rest, first = after, op
		}
	}
	i := slices.Index([]string{"BEFORE", "ON", "SINCE"}, rest)
	if i < 0 {
		return searchKey{}, false
	}
	p.SP()
	return searchKey{op: first + searchOp(i), day: dayOf(p.Date())}, true
}

// textKey reads the keys about text.
func (p *searchParser) textKey(name string) (searchKey, bool) {
	switch name {
	case "FROM", "TO", "CC", "BCC", "SUBJECT":
		p.SP()
		return fieldKey(name, p.string()), true
	case "HEADER":
		p.SP()
		field := p.AString()
		p.SP()
		return fieldKey(field, p.string()), true
	case "BODY", "TEXT":
		p.SP()
		text := p.string()
		if text == "" { // the empty string is a substring of any text
			return searchKey{op: opAll}, true
		}
		return searchKey{op: choose(name == "BODY", opBody, opText), text: text}, true
	}
	return searchKey{}, false
}

// fieldKey finds the cheapest way to look into a field. The index has what the summary
// holds of it; whether a field is there at all, which an empty string asks for, it
// doesn't know of addresses.
func fieldKey(field, text string) searchKey {
	key := searchKey{op: opHeader, name: strings.ToLower(field), text: text}
	switch key.name {
	case "subject":
		key.op = opSubject
	case "date", "message-id", "in-reply-to", "references":
		key.op = opEnvelope
	case "from", "to", "cc", "bcc", "sender", "reply-to":
		if text != "" {
			key.op = opAddress
		}
	}
	return key
}

// string reads a string to search for, decoded and folded.
func (p *searchParser) string() string {
	s, ok := message.DecodeCharset(p.charset, []byte(p.AString()))
	if !ok {
		p.Fail("string is not valid in its charset")
	}
	return message.Fold(s)
}

// modSeqKey reads "[entry-name SP entry-type SP] mod-sequence" (RFC 7162 3.1.5). We keep
// one mod-sequence for all of a message's metadata, so the entry makes no difference.
func (p *searchParser) modSeqKey() searchKey {
	if p.Peek() == '"' {
		_ = p.String()
		p.SP()
		switch p.Keyword() {
		case "ALL", "PRIV", "SHARED":
		default:
			p.Fail("unknown entry type")
		}
		p.SP()
	}
	return searchKey{op: opModSeq, modSeq: storage.ModSeq(p.Number64())}
}
