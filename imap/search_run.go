package imap

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"facteur/imap/wire"
	"facteur/storage"
	"facteur/storage/message"
)

// searchBox is what a search needs of a storage.Mailbox.
type searchBox interface {
	Details(ctx context.Context, uids []storage.UID) iter.Seq2[*storage.Details, error]
	Open(uid storage.UID) (storage.Content, error)
	FullText(ctx context.Context, fields storage.TextField, needle string) (candidates, unindexed []storage.UID, ok bool, err error)
}

// search looks for messages of a mailbox as a session knows it.
type search struct {
	box   searchBox
	uids  []storage.UID                          // the message at position i has number i+1
	entry func(i int) (e storage.Entry, ok bool) // not ok: expunged, the client doesn't know yet
	// entries are all of them with their positions, those that are ok.
	entries iter.Seq2[int, storage.Entry]
	// recent tells which UIDs have \Recent in this session.
	recent func(uid storage.UID) bool
	saved  wire.Ranges // "$", UIDs
	now    time.Time

	// What is read of a message is read into the same memory as that of the one before.
	reads        message.SummaryReader
	text, folded []byte
}

// answer is what can be said of a message: unknown means that more of it has to be
// read.
type answer uint8

const (
	nope answer = iota
	yes
	unknown
)

// run returns the positions of the messages that match, ascending. Keys are asked in the
// order of their cost, and nothing is read for a message that the table in memory
// decides. An expunged message matches nothing.
func (s *search) run(ctx context.Context, key *searchKey) ([]int, error) {
	if err := s.resolve(ctx, key); err != nil {
		return nil, err
	}
	var found, open []int
	m := candidate{search: s}
	set, unset := key.flagsOfAll()
	for i, e := range s.entries {
		if has := e.Flags.System; has&set != set || has&unset != 0 {
			continue
		}
		m.position, m.entry = i, e
		switch a, err := m.ask(key); {
		case err != nil:
			return nil, err
		case a == yes:
			found = append(found, i)
		case a == unknown:
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return found, ctx.Err()
	}
	more, err := s.readOn(ctx, key, open)
	if err != nil || len(more) == 0 {
		return found, err
	}
	found = append(found, more...)
	slices.Sort(found)
	return found, nil
}

// readOn asks again about the messages at the given positions, with the index and then
// with the messages themselves.
func (s *search) readOn(ctx context.Context, key *searchKey, open []int) ([]int, error) {
	uids := make([]storage.UID, len(open))
	for k, i := range open {
		uids[k] = s.uids[i]
	}
	var found []int
	k := 0
	for d, err := range s.box.Details(ctx, uids) {
		if err != nil {
			return nil, err
		}
		for k < len(uids) && uids[k] < d.UID {
			k++ // gone
		}
		if k == len(uids) || uids[k] != d.UID {
			continue
		}
		e, ok := s.entry(open[k])
		if !ok {
			continue
		}
		m := candidate{search: s, position: open[k], entry: e, details: d}
		a, err := m.ask(key)
		m.close()
		switch {
		case errors.Is(err, storage.ErrGone):
		case err != nil:
			return nil, err
		case a == yes:
			found = append(found, open[k])
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// resolve prepares a program: sets become ranges, intervals moments, and the full-text index
// says which messages can match. The keys under AND and OR are put in the order of
// their cost.
func (s *search) resolve(ctx context.Context, key *searchKey) error {
	switch key.op {
	case opSeqSet:
		key.ranges = numbersOf(key.set, uint32(len(s.uids)))
	case opUIDSet:
		last := uint32(0)
		if n := len(s.uids); n > 0 {
			last = uint32(s.uids[n-1])
		}
		key.ranges = key.set.Resolve(last)
	case opSaved:
		key.ranges = s.saved
	case opOlder, opYounger:
		key.seconds = s.now.Unix() - int64(key.number)
	case opSubject:
		return s.candidates(ctx, key, storage.TextSubject)
	case opAddress, opEnvelope, opHeader: // message.SearchText has all fields there
		if !message.SignatureField(key.name) {
			return s.candidates(ctx, key, storage.TextAddresses)
		}
	case opBody:
		return s.candidates(ctx, key, storage.TextBody)
	case opText:
		return s.candidates(ctx, key, storage.TextSubject|storage.TextAddresses|storage.TextBody)
	}
	for i := range key.keys {
		if err := s.resolve(ctx, &key.keys[i]); err != nil {
			return err
		}
	}
	slices.SortStableFunc(key.keys, func(a, b searchKey) int { return cmp.Compare(a.cost(), b.cost()) })
	return nil
}

// numbersOf resolves a set of message numbers. One side of a range that is beyond the last message
// bounds nothing, but "900000:*" is beyond it altogether: unlike with UIDs (RFC 9051 9, uid-range)
// it doesn't mean the last message.
func numbersOf(set wire.Set, last uint32) wire.Ranges {
	within := wire.Set{Saved: set.Saved}
	for _, r := range set.Ranges {
		if r.First > last && r.Last == 0 || r.Last > last && r.First == 0 {
			continue
		}
		within.Ranges = append(within.Ranges, r)
	}
	return within.Resolve(last)
}

// cost is that of the most expensive key below.
func (k *searchKey) cost() searchOp {
	most := k.op
	for i := range k.keys {
		most = max(most, k.keys[i].cost())
	}
	return most
}

// candidates asks the full-text index which messages can hold the key's text.
func (s *search) candidates(ctx context.Context, key *searchKey, fields storage.TextField) error {
	candidates, unindexed, ok, err := s.box.FullText(ctx, fields, key.text)
	if err != nil || !ok {
		return err
	}
	key.narrowed, key.maybe = true, [2][]storage.UID{candidates, unindexed}
	return nil
}

// flagsOfAll returns the system flags that all matches have, and those that none has, as far as that is plain: mail
// programs ask for UNSEEN or UNDELETED all the time, and most messages need not be asked anything else.
func (k *searchKey) flagsOfAll() (set, unset uint8) {
	switch {
	case k.op == opFlag:
		return k.flag, 0
	case k.op == opNot && k.keys[0].op == opFlag:
		return 0, k.keys[0].flag
	case k.op == opAnd:
		for i := range k.keys {
			s, u := k.keys[i].flagsOfAll()
			set, unset = set|s, unset|u
		}
	}
	return set, unset
}

// canMatch reports whether the full-text index doesn't rule the message out.
func (k *searchKey) canMatch(uid storage.UID) bool {
	for _, uids := range k.maybe {
		if _, ok := slices.BinarySearch(uids, uid); ok {
			return true
		}
	}
	return false
}

// candidate is a message that may match. What is read of it is read once.
type candidate struct {
	*search
	position int
	entry    storage.Entry
	details  *storage.Details // nil: not read yet

	// Both are good until the next candidate's.
	envelope *message.Envelope
	summary  *message.Summary
	content  storage.Content
	header   []byte
}

func (m *candidate) close() {
	if m.content != nil {
		m.content.Close()
	}
}

// ask says whether the message matches, as far as that can be told.
func (m *candidate) ask(key *searchKey) (answer, error) {
	switch key.op {
	case opNot:
		a, err := m.ask(&key.keys[0])
		switch a {
		case yes:
			a = nope
		case nope:
			a = yes
		}
		return a, err
	case opAnd:
		return m.askAll(key.keys, nope)
	case opOr:
		return m.askAll(key.keys, yes)
	}
	if key.op <= opModSeq {
		return verdict(m.tableMatches(key)), nil
	}
	if key.narrowed && !key.canMatch(m.entry.UID) && !m.longText(key) {
		return nope, nil
	}
	if m.details == nil {
		return unknown, nil
	}
	return m.askRead(key)
}

// askAll asks the keys of AND, which one "no" decides, or of OR, which one "yes"
// decides.
func (m *candidate) askAll(keys []searchKey, decides answer) (answer, error) {
	result := yes
	if decides == yes {
		result = nope
	}
	for i := range keys {
		a, err := m.ask(&keys[i])
		if err != nil || a == decides {
			return a, err
		}
		if a == unknown {
			result = unknown
		}
	}
	return result, nil
}

func verdict(ok bool) answer {
	if ok {
		return yes
	}
	return nope
}

// tableMatches answers what the mailbox's table in memory knows.
func (m *candidate) tableMatches(key *searchKey) bool {
	e := &m.entry
	switch key.op {
	case opAll:
		return true
	case opSeqSet:
		return key.ranges.Contains(uint32(m.position + 1))
	case opUIDSet, opSaved:
		return key.ranges.Contains(uint32(e.UID))
	case opFlag:
		return e.Flags.System&key.flag != 0
	case opKeyword:
		return hasKeyword(e.Flags.Keywords, key.name)
	case opRecent:
		return m.recent(e.UID)
	case opBefore:
		return dayOf(e.Internal) < key.day
	case opOn:
		return dayOf(e.Internal) == key.day
	case opSince:
		return dayOf(e.Internal) >= key.day
	case opOlder:
		return e.Internal.Unix() <= key.seconds
	case opYounger:
		return e.Internal.Unix() >= key.seconds
	case opLarger:
		return uint64(e.Size) > key.number
	case opSmaller:
		return uint64(e.Size) < key.number
	case opModSeq:
		return e.ModSeq >= key.modSeq
	}
	return false
}
