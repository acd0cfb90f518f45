package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// metadataQuery is what GETMETADATA asks for (RFC 5464 4.2).
type metadataQuery struct {
	entries []string
	depth   int // 0, 1, -1: infinity
	limited bool
	maxSize int64
	longest int // of the values left out for their size
}

func (s *session) getMetadata(ctx context.Context, r *request) error {
	d := s.dec
	q := &metadataQuery{}
	d.SP()
	q.options(d)
	name := d.Mailbox()
	d.SP()
	q.options(d)
	if d.Peek() == '(' {
		d.List(func() { q.entries = append(q.entries, strings.ToLower(d.AString())) })
	} else {
		q.entries = []string{strings.ToLower(d.AString())}
	}
	if len(q.entries) == 0 {
		d.Fail("no entries")
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if err := checkEntries(q.entries); err != nil {
		return err
	}
	use, err := s.useOf(ctx, name)
	if err != nil {
		return err
	}
	if err := s.writeMetadata(ctx, name, use, q); err != nil {
		return err
	}
	if q.longest > 0 {
		r.okCode = fmt.Sprintf("METADATA LONGENTRIES %d", q.longest)
	}
	return nil
}

// useEntry is the special use of a mailbox (RFC 6154 4).
const useEntry = "/private/specialuse"

// useOf is the special use of a mailbox; empty: none.
func (s *session) useOf(ctx context.Context, mailbox string) (string, error) {
	if mailbox == "" {
		return "", nil
	}
	box, err := s.open(ctx, mailbox)
	if err != nil {
		return "", err
	}
	defer box.Release()
	boxes, err := s.acct.Mailboxes(ctx)
	for _, m := range boxes {
		if m.Name == box.Name() {
			return m.SpecialUse, nil
		}
	}
	return "", err
}

// options reads "(option ...) ", if it is there. The grammar of RFC 5464 has it in front of
// the mailbox, its examples behind it. Entries begin with "/", options with a letter.
func (q *metadataQuery) options(d *wire.Decoder) {
	if d.AtWords() {
		d.List(func() { q.option(d) })
		d.SP()
	}
}

func (q *metadataQuery) option(d *wire.Decoder) {
	switch option := d.Keyword(); option {
	case "MAXSIZE":
		d.SP()
		q.maxSize, q.limited = int64(d.Number()), true
	case "DEPTH":
		d.SP()
		switch depth := d.Keyword(); depth {
		case "0", "1":
			q.depth = int(depth[0] - '0')
		case "INFINITY":
			q.depth = -1
		default:
			d.Fail("unknown depth %s", depth)
		}
	default:
		d.Fail("unknown option %s", option)
	}
}

// writeMetadata answers with the entries that q asks for; one asked for by its name that
// doesn't exist is NIL. use is the mailbox's special use.
func (s *session) writeMetadata(ctx context.Context, mailbox, use string, q *metadataQuery) error {
	kept, err := s.acct.Metadata(ctx, mailbox)
	if err != nil {
		return err
	}
	have := map[string][]byte{}
	maps.Copy(have, kept)
	if mailbox != "" {
		delete(have, useEntry)
	}
	if use != "" {
		have[useEntry] = []byte(use)
	}
	b := fmt.Appendf(nil, "* METADATA %s (", s.mailboxText(mailbox))
	sep := ""
	put := func(name string, value []byte, ok bool) {
		if q.limited && int64(len(value)) > q.maxSize {
			q.longest = max(q.longest, len(value))
			return
		}
		b = append(b, sep...)
		b = wire.AppendAString(b, name, false)
		b = append(b, ' ')
		if bytes.IndexByte(value, 0) >= 0 { // RFC 5464 5: a literal8
			b = append(wire.AppendLiteralHeader(b, int64(len(value)), true), value...)
		} else {
			b = wire.AppendNString(b, value, ok, s.utf8 || s.rev2)
		}
		sep = " "
	}
	for _, entry := range q.entries {
		if value, ok := have[entry]; ok || q.depth == 0 {
			put(entry, value, ok)
		}
		for _, name := range slices.Sorted(maps.Keys(have)) {
			if below, ok := strings.CutPrefix(name, entry+"/"); ok && (q.depth < 0 || q.depth == 1 && !strings.Contains(below, "/")) {
				put(name, have[name], true)
			}
		}
	}
	if sep != "" {
		s.out.printf("%s)\r\n", b)
	}
	return nil
}

// maxMetadata is the size of one value: with its name it fits into a command (limits).
const maxMetadata = 60 << 10

// metadataTooLong: RFC 5464 4.3.
func metadataTooLong() error {
	return no(fmt.Sprintf("METADATA MAXSIZE %d", maxMetadata), "Value is too long")
}

func (s *session) setMetadata(ctx context.Context, _ *request) error {
	d := s.dec
	entries := make(map[string][]byte)
	d.SP()
	name := d.Mailbox()
	d.SP()
	tooLong := false
	d.List(func() {
		entry := strings.ToLower(d.AString())
		d.SP()
		value, ok := d.NString()
		entries[entry] = nil
		if ok {
			entries[entry] = []byte(value)
		}
		var tooBig *wire.TooBigError
		tooLong = errors.As(d.Err(), &tooBig)
	})
	if tooLong {
		return metadataTooLong()
	}
	if len(entries) == 0 {
		d.Fail("no entries")
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	for entry, value := range entries {
		if !isMetadataName(entry) {
			return bad("Not a metadata entry's name: " + entry)
		}
		if name == "" && entry == "/shared/admin" { // RFC 5464 6.2.2
			return no("NOPERM", "/shared/admin is the administrator's")
		}
		if name != "" && entry == useEntry { // RFC 6154 4: not to be accepted blindly
			return no("USEATTR", "A special use is given by CREATE")
		}
		if len(value) > maxMetadata {
			return metadataTooLong()
		}
	}
	err := s.acct.SetMetadata(ctx, name, entries)
	if errors.Is(err, storage.ErrLimit) {
		return no("METADATA TOOMANY", "Too many entries")
	}
	if err != nil {
		return err
	}
	return s.ownTreeChange(ctx, name)
}

// isMetadataName: RFC 5464 3.2.
func isMetadataName(name string) bool {
	if !strings.HasPrefix(name, "/private/") && !strings.HasPrefix(name, "/shared/") {
		return false
	}
	return !strings.Contains(name, "//") && !strings.HasSuffix(name, "/") && !strings.ContainsAny(name, "*%") &&
		strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f }) < 0
}

// checkEntries refuses names that no entry can have. Those of all entries below one of the two roots may be asked for.
func checkEntries(entries []string) error {
	for _, entry := range entries {
		if entry != "/private" && entry != "/shared" && !isMetadataName(entry) {
			return bad("Not a metadata entry's name: " + entry)
		}
	}
	return nil
}
