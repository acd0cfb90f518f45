package imap

import (
	"context"
	"fmt"

	"facteur/imap/wire"
)

// Limits of UIDBATCHES: the smallest batch, and how many messages the batches of one answer
// may hold (RFC 10022).
const (
	minBatch       = 500
	maxBatchesSpan = 10000000
)

// uidBatches tells ranges of UIDs that hold SIZE messages each, from the highest UID to 1.
func (s *session) uidBatches(_ context.Context, r *request) error {
	d := s.dec
	d.SP()
	size := d.Number()
	first, last := uint32(1), uint32(0)
	if d.Take(' ') && !d.AtEnd() {
		set := d.Partial()
		first, last = set.First, set.Last
		if set.FromEnd {
			d.Fail("batches are counted from 1")
		}
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if size < minBatch {
		return no("TOOFEW", fmt.Sprintf("A batch has %d messages at least", minBatch))
	}
	if last > 0 && uint64(last-first+1)*uint64(size) > maxBatchesSpan {
		return no("TOOMANY", "Too many batches")
	}
	s.out.hold()
	b := fmt.Appendf(s.out.buf, "* UIDBATCHES (TAG %s)", wire.AppendString(nil, r.tag, false))
	sep := byte(' ')
	uids := s.view.uids
	high := uint32(s.view.lastUID())
	for n := uint32(1); len(uids) > 0 && (last == 0 || n <= last); n++ {
		low := uint32(1)
		if cut := len(uids) - int(size); cut > 0 {
			low = uint32(uids[cut-1]) + 1
			uids = uids[:cut]
		} else {
			uids = nil
		}
		if n >= first {
			b = append(b, sep)
			b = fmt.Appendf(b, "%d:%d", high, low)
			sep = ','
		}
		high = low - 1
	}
	s.out.buf = append(b, "\r\n"...)
	s.out.spill()
	return nil
}
