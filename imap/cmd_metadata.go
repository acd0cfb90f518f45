package imap

import (
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
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if err := s.writeMetadata(ctx, name, q); err != nil {
		return err
	}
	if q.longest > 0 {
		r.okCode = fmt.Sprintf("METADATA LONGENTRIES %d", q.longest)
	}
	return nil
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
// doesn't exist is NIL.
func (s *session) writeMetadata(ctx context.Context, mailbox string, q *metadataQuery) error {
	have, err := s.acct.Metadata(ctx, mailbox)
	if err != nil {
		return err
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
		b = wire.AppendNString(b, value, ok, s.utf8 || s.rev2)
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

// maxMetadata is the size of one value.
const maxMetadata = 64 << 10

func (s *session) setMetadata(ctx context.Context, _ *request) error {
	d := s.dec
	entries := make(map[string][]byte)
	d.SP()
	name := d.Mailbox()
	d.SP()
	d.List(func() {
		entry := strings.ToLower(d.AString())
		d.SP()
		value, ok := d.NString()
		entries[entry] = nil
		if ok {
			entries[entry] = []byte(value)
		}
	})
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
		if len(value) > maxMetadata {
			return no(fmt.Sprintf("METADATA MAXSIZE %d", maxMetadata), "Value is too long")
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
