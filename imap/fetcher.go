package imap

import (
	"context"
	"errors"
	"slices"

	"facteur/imap/wire"
	"facteur/storage"
	"facteur/storage/message"
)

// fetcher answers one FETCH.
type fetcher struct {
	*session
	r         *request
	items     []fetchItem
	index     bool // some item needs the index
	body      bool // some item needs the message's octets
	seen      bool // \Seen is set on the way
	gone      bool // some messages have been expunged meanwhile
	undecoded bool // BINARY was asked of a part whose transfer encoding nobody knows
	// unreadable is why a message could not be read, whose file the disk or another user doesn't give: the others are
	// answered all the same, and then NO.
	unreadable error
	batch      []fetchMessage
	reads      message.SummaryReader
}

// fetchMessage is a message that is about to be answered.
type fetchMessage struct {
	pos     int
	entry   storage.Entry
	marked  bool // \Seen was set just now: FLAGS goes into the response
	details storage.Details
}

// batchSize is how many messages are read from the index at once, so that no transaction
// is open while a client is written to.
const batchSize = 128

func (f *fetcher) run(ctx context.Context, spans []span) error {
	for _, item := range f.items {
		index, content := item.needs()
		f.index, f.body = f.index || index, f.body || content
		f.seen = f.seen || item.setsSeen() && !f.view.readOnly
	}
	left := count(spans)
	var m fetchMessage
	for i, entry := range f.view.entries(spans) {
		if f.out.err != nil {
			return f.out.err
		}
		left--
		m.pos, m.entry = i, entry
		if !f.index && !f.body {
			f.write(&m, nil, nil)
			continue
		}
		if f.batch = append(f.batch, m); len(f.batch) == batchSize {
			if err := f.flush(ctx); err != nil {
				return err
			}
		}
	}
	f.gone = f.gone || left > 0
	if err := f.flush(ctx); err != nil {
		return err
	}
	if f.undecoded { // RFC 3516 4.3; the others have been answered, and have \Seen by now.
		return no("UNKNOWN-CTE", "Can't decode the transfer encoding of all parts")
	}
	return f.unreadable
}

// flush answers the batch.
func (f *fetcher) flush(ctx context.Context) error {
	if len(f.batch) == 0 {
		return nil
	}
	if f.seen {
		if err := f.markSeen(ctx); err != nil {
			return err
		}
	}
	if f.index {
		if err := f.readDetails(ctx); err != nil {
			return err
		}
	}
	for i := range f.batch {
		if err := f.message(&f.batch[i]); err != nil {
			return err
		}
	}
	f.batch = f.batch[:0]
	return nil
}

// markSeen sets \Seen in front of the answers, so that they tell of it (RFC 9051 6.4.5).
func (f *fetcher) markSeen(ctx context.Context) error {
	var unseen []storage.UID
	for _, m := range f.batch {
		if m.entry.Flags.System&storage.Seen == 0 {
			unseen = append(unseen, m.entry.UID)
		}
	}
	if len(unseen) == 0 {
		return nil
	}
	result, err := f.view.box.Store(ctx, unseen, storage.FlagsAdd, storage.Flags{System: storage.Seen}, nil)
	if err != nil {
		return err
	}
	f.r.own = append(f.r.own, result.Changed...)
	changed := result.Changed
	for i := range f.batch {
		m := &f.batch[i]
		for len(changed) > 0 && changed[0].UID < m.entry.UID {
			changed = changed[1:]
		}
		if len(changed) > 0 && changed[0].UID == m.entry.UID {
			m.entry, m.marked = changed[0], true
		}
	}
	return nil
}

// readDetails reads the index in one ascending pass; messages that are gone leave the batch.
func (f *fetcher) readDetails(ctx context.Context) error {
	uids := make([]storage.UID, len(f.batch))
	for i, m := range f.batch {
		uids[i] = m.entry.UID
	}
	next, kept := 0, 0
	for d, err := range f.view.box.Details(ctx, uids) {
		if err != nil {
			return err
		}
		for next < len(f.batch) && f.batch[next].entry.UID < d.UID {
			next++
		}
		if next == len(f.batch) {
			break
		}
		m := f.batch[next]
		m.details = *d
		f.batch[kept] = m
		kept++
		next++
	}
	f.gone = f.gone || kept < len(f.batch)
	f.batch = f.batch[:kept]
	return nil
}

// message answers one message of the batch.
func (f *fetcher) message(m *fetchMessage) error {
	var content storage.Content
	var err error
	if f.body {
		if content, err = f.view.box.Open(m.entry.UID); errors.Is(err, storage.ErrGone) {
			f.gone = true
			return nil
		} else if err != nil {
			f.unreadable = err
			return nil
		}
		defer content.Close()
	}
	var summary *message.Summary
	if f.index {
		if summary, err = f.summary(m, content); err != nil {
			return err
		}
	}
	pieces, err := f.open(summary, content)
	if errors.Is(err, errUnknownCTE) {
		f.undecoded = true
		return nil
	} else if err != nil {
		return err
	}
	f.write(m, summary, pieces)
	return f.out.err
}

// summary decodes what the index has; of another version's form the message is read again.
func (f *fetcher) summary(m *fetchMessage, content storage.Content) (*message.Summary, error) {
	s, err := f.reads.Summary(m.details.Summary)
	if err == nil {
		return s, nil
	}
	if content == nil {
		if content, err = f.view.box.Open(m.entry.UID); err != nil {
			return nil, err
		}
		defer content.Close()
	}
	return message.Summarize(content, content.Size())
}

// open opens all that is to be streamed, so that an error comes before the response.
func (f *fetcher) open(summary *message.Summary, content storage.Content) ([]piece, error) {
	if content == nil {
		return nil, nil
	}
	var root *message.Part
	if summary != nil {
		root = summary.Structure
	}
	pieces := make([]piece, len(f.items))
	for i, item := range f.items {
		_, streamed := item.needs()
		var err error
		switch {
		case item.attr == attrBinarySize:
			pieces[i].size, err = binarySize(root, content, item.section.path)
		case streamed:
			pieces[i], err = openItem(item, root, content)
		}
		if err != nil {
			return nil, err
		}
	}
	return pieces, nil
}

// write writes the FETCH response of one message.
func (f *fetcher) write(m *fetchMessage, summary *message.Summary, pieces []piece) {
	utf8OK := f.utf8 || f.rev2
	f.out.hold()
	b := f.openFetch(f.out.buf, m.pos, m.entry.UID)
	for i, item := range f.items {
		if i > 0 {
			b = append(b, ' ')
		}
		if m.marked && item.attr != attrUID {
			b = f.appendMark(b, m.entry)
			m.marked = false
		}
		if index, streamed := item.needs(); streamed {
			b = appendContentName(b, item, utf8OK)
			b = append(b, ' ')
			b = f.stream(b, item, pieces[i])
		} else if index {
			b = appendIndexItem(b, item, &m.details, summary, utf8OK)
		} else {
			b = f.appendTableItem(b, item, m.entry)
		}
	}
	f.out.buf = append(b, ")\r\n"...)
	f.out.spill()
}

// appendMark appends FLAGS in front of the first octets of a message that has been given
// \Seen, unless the client asks for them anyway.
func (f *fetcher) appendMark(b []byte, e storage.Entry) []byte {
	if !f.asks(attrFlags) {
		b = append(f.appendFlags(append(b, "FLAGS "...), e), ' ')
	}
	if f.condstore && !f.asks(attrModSeq) { // RFC 7162 3.1
		b = append(appendModSeq(b, e.ModSeq), ' ')
	}
	return b
}

// asks reports whether the client wants an item.
func (f *fetcher) asks(attr fetchAttr) bool {
	return slices.ContainsFunc(f.items, func(i fetchItem) bool { return i.attr == attr })
}

// appendTableItem appends name and value of an item that is kept in memory.
func (f *fetcher) appendTableItem(b []byte, item fetchItem, e storage.Entry) []byte {
	switch item.attr {
	case attrUID:
		return wire.AppendNumber(append(b, "UID "...), uint32(e.UID))
	case attrFlags:
		return f.appendFlags(append(b, "FLAGS "...), e)
	case attrInternalDate:
		return wire.AppendDateTime(append(b, "INTERNALDATE "...), e.Internal)
	case attrSize:
		return wire.AppendNumber(append(b, "RFC822.SIZE "...), e.Size)
	}
	b = wire.AppendNumber(append(b, "MODSEQ ("...), uint64(e.ModSeq))
	return append(b, ')')
}

// stream sends the value of an item, past b when it is octets of the message, and returns
// the buffer to go on with.
func (f *fetcher) stream(b []byte, item fetchItem, p piece) []byte {
	if item.attr == attrBinarySize {
		return wire.AppendNumber(b, p.size)
	}
	f.out.buf = wire.AppendLiteralHeader(b, p.size, p.literal8)
	f.out.stream(p.r, p.size)
	return f.out.buf
}
