package imap

import (
	"context"
	"fmt"

	"facteur/imap/wire"
)

// Limits of UIDBATCHES (RFC 10022 3.1): batches of 500 messages have to be possible, and an answer about
// 100,000 messages.
const (
	minBatch       = 500
	maxBatchesSpan = 10000000
)

// uidBatches tells ranges of UIDs that hold SIZE messages each, from the highest UID to 1. No UID is between
// two of them: what a client asks of all batches it asks of the whole mailbox.
func (s *session) uidBatches(ctx context.Context, r *request) error {
	d := s.dec
	d.SP()
	size := d.Number()
	if size == 0 {
		d.Fail("a batch of no messages")
	}
	first, last := uint32(1), uint32(0)
	if d.Take(' ') && !d.AtEnd() {
		first = d.Number()
		d.Expect(':')
		if last = d.Number(); first == 0 || last < first {
			d.Fail("batches are counted upwards from 1")
		}
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if size < minBatch {
		return no("TOOFEW", fmt.Sprintf("A batch has %d messages at least", minBatch))
	}
	if err := s.report(ctx, r, true); err != nil { // the batches are of the mailbox as it is now
		return err
	}
	uids := s.view.uids
	span := uint64(len(uids))
	if last > 0 {
		span = uint64(last-first+1) * uint64(size)
	}
	if span > maxBatchesSpan {
		return no("TOOMANY", fmt.Sprintf("Batches of %d messages in all at most", maxBatchesSpan))
	}
	s.out.printf("* UIDBATCHES (TAG %s)", wire.AppendString(nil, r.tag, false))
	sep := ' '
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
			s.out.printf("%c%d:%d", sep, high, low)
			sep = ','
		}
		high = low - 1
	}
	s.out.printf("\r\n")
	return nil
}
