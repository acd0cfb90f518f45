package imap

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"facteur/imap/wire"
	"facteur/storage"
	"facteur/storage/message"
)

// sortField is what SORT compares (RFC 5256 3, RFC 5957).
type sortField uint8

const (
	sortArrival sortField = iota
	sortCc
	sortDate
	sortDisplayFrom
	sortDisplayTo
	sortFrom
	sortSize
	sortSubject
	sortTo
)

// sortKey is one criterion of SORT.
type sortKey struct {
	field   sortField
	reverse bool
}

// parseSortKeys reads the list of criteria.
func parseSortKeys(d *wire.Decoder) []sortKey {
	fields := map[string]sortField{
		"ARRIVAL": sortArrival, "CC": sortCc, "DATE": sortDate, "DISPLAYFROM": sortDisplayFrom, "DISPLAYTO": sortDisplayTo,
		"FROM": sortFrom, "SIZE": sortSize, "SUBJECT": sortSubject, "TO": sortTo,
	}
	var keys []sortKey
	d.List(func() {
		word := d.Keyword()
		key := sortKey{reverse: word == "REVERSE"}
		if key.reverse {
			d.SP()
			word = d.Keyword()
		}
		field, ok := fields[word]
		if !ok && d.Err() == nil {
			d.Fail("unknown sort criterion %s", word)
		}
		if len(keys) > 2*len(fields) {
			d.Fail("too many sort criteria")
		}
		key.field = field
		keys = append(keys, key)
	})
	if len(keys) == 0 && d.Err() == nil {
		d.Fail("no sort criteria")
	}
	return keys
}

// sortValue is what one criterion compares of one message: a number or a folded text.
type sortValue struct {
	number int64
	text   string
}

// sorted is a message to be sorted, with a value for each criterion.
type sorted struct {
	position int
	values   []sortValue
}

// sort puts the messages at the given positions, which are ascending, in order. The
// position decides between equal ones, reversed or not (RFC 5256 3). Messages that have
// been expunged meanwhile are left out.
func (s *search) sort(ctx context.Context, positions []int, keys []sortKey) ([]int, error) {
	messages := make([]sorted, 0, len(positions))
	values := make([]sortValue, len(positions)*len(keys))
	err := s.envelopes(ctx, positions, func(i int, e storage.Entry, env *message.Envelope) {
		own := values[:len(keys):len(keys)]
		values = values[len(keys):]
		for k, key := range keys {
			own[k] = key.field.value(e, env)
		}
		messages = append(messages, sorted{i, own})
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(messages, func(a, b sorted) int {
		for k, key := range keys {
			c := cmp.Or(cmp.Compare(a.values[k].number, b.values[k].number), cmp.Compare(a.values[k].text, b.values[k].text))
			if key.reverse {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	order := make([]int, len(messages))
	for k := range messages {
		order[k] = messages[k].position
	}
	return order, nil
}

// envelopes calls f with the envelope of each message at the given positions, ascending. It is
// good until f returns, but for its strings.
func (s *search) envelopes(ctx context.Context, positions []int, f func(i int, e storage.Entry, env *message.Envelope)) error {
	uids := make([]storage.UID, len(positions))
	for k, i := range positions {
		uids[k] = s.uids[i]
	}
	k := 0
	for d, err := range s.box.Details(ctx, uids) {
		if err != nil {
			return err
		}
		for k < len(uids) && uids[k] < d.UID {
			k++
		}
		if k == len(uids) || uids[k] != d.UID {
			continue
		}
		e, ok := s.entry(positions[k])
		if !ok {
			continue
		}
		env, err := s.envelopeOf(d)
		if errors.Is(err, storage.ErrGone) {
			continue
		} else if err != nil {
			return err
		}
		f(positions[k], e, env)
	}
	return ctx.Err()
}

func (f sortField) value(e storage.Entry, env *message.Envelope) sortValue {
	switch f {
	case sortArrival:
		return sortValue{number: e.Internal.Unix()}
	case sortDate:
		return sortValue{number: sentDate(env, e).Unix()}
	case sortSize:
		return sortValue{number: e.Size}
	case sortSubject:
		base, _ := message.BaseSubject(message.DecodeText(env.Subject.Value))
		return sortValue{text: collate(base)}
	case sortCc:
		return sortValue{text: firstMailbox(env.Cc)}
	case sortFrom:
		return sortValue{text: firstMailbox(env.From)}
	case sortTo:
		return sortValue{text: firstMailbox(env.To)}
	case sortDisplayFrom:
		return sortValue{text: displayName(env.From)}
	}
	return sortValue{text: displayName(env.To)}
}

// sentDate is the Date field, or INTERNALDATE where there is none that can be read (RFC
// 5256 2.2).
func sentDate(env *message.Envelope, e storage.Entry) time.Time {
	if t, ok := message.ParseDate(env.Date.Value); ok {
		return t
	}
	return e.Internal
}

// firstMailbox is the first address's mailbox as ENVELOPE has it (RFC 5256 3).
func firstMailbox(list []message.Address) string {
	if len(list) == 0 {
		return ""
	}
	mailbox, _ := envelopeParts(&list[0])
	return collate(mailbox)
}

// displayName is the first address as RFC 5957 3 shows it.
func displayName(list []message.Address) string {
	if len(list) == 0 {
		return ""
	}
	a := &list[0]
	switch {
	case a.Kind == message.GroupStart:
		return collate(message.DecodeText(a.Mailbox))
	case a.Name != "":
		return collate(message.DecodeText(a.Name))
	}
	mailbox, host := envelopeParts(a)
	return collate(mailbox + "@" + host)
}

// collate is the form in which texts are compared. RFC 5051 2: that is title case, in which
// a letter comes before "_".
func collate(s string) string { return strings.ToUpper(message.Fold(s)) }
