package storage

import (
	"sort"

	"facteur/storage/maildir"
)

// The table of a mailbox is made of chunks of up to chunkSize messages. A Snapshot
// is a list of chunks; all are immutable to readers. The one writer, who holds
// Mailbox.mu, makes the next Snapshot from the newest:
//
//   - to append, the last chunk's slices grow in place, beyond what older snapshots see;
//   - to change flags, the records of the chunks touched are copied, 32 octets each;
//   - to remove, the chunks touched and the list of UIDs are made anew.
//
// So only the newest Snapshot may be changed, and each only once.
const chunkSize = 256

// rec is a message in the table.
type rec struct {
	uid      UID
	set      uint32 // index in Snapshot.sets; with inNew when its file lies in new
	modseq   ModSeq
	size     uint32 // with CRLF line ends
	lf       uint32 // bare LFs in the file: it is that much smaller on disk
	internal int64  // Unix seconds
}

const inNew = 1 << 31

// maxMessage is the largest file that is taken for a message.
const maxMessage = 1<<32 - 1

func (r *rec) setID() uint32 { return r.set &^ inNew }

type chunk struct {
	id    UID // the first UID it ever held: its key in the index
	recs  []rec
	bases []byte   // the file names' BASEs, one after the other
	ends  []uint32 // where in bases each ends

	high  ModSeq
	inNew int
	totals
}

type totals struct {
	unseen, deleted    int
	size, deletedBytes int64
	disk               int64 // octets on disk: what quota counts
}

func (t *totals) add(r *rec, sets []flagSet, sign int) {
	system := sets[r.setID()].flags.System
	n := int64(r.size) * int64(sign)
	t.size += n
	t.disk += n - int64(r.lf)*int64(sign)
	if system&Seen == 0 {
		t.unseen += sign
	}
	if system&Deleted != 0 {
		t.deleted += sign
		t.deletedBytes += n
	}
}

func (t *totals) addAll(o totals, sign int) {
	t.unseen += o.unseen * sign
	t.deleted += o.deleted * sign
	t.size += o.size * int64(sign)
	t.deletedBytes += o.deletedBytes * int64(sign)
	t.disk += o.disk * int64(sign)
}

func (c *chunk) base(i int) string { return string(c.baseOctets(i)) }

// baseOctets is a part of the chunk: never change it.
func (c *chunk) baseOctets(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = c.ends[i-1]
	}
	return c.bases[from:c.ends[i]:c.ends[i]]
}

func (c *chunk) push(r rec, base string, sets []flagSet) {
	c.recs = append(c.recs, r)
	c.bases = append(c.bases, base...)
	c.ends = append(c.ends, uint32(len(c.bases)))
	c.count(&r, sets)
}

// count takes one record into the chunk's sums.
func (c *chunk) count(r *rec, sets []flagSet) {
	c.high = max(c.high, r.modseq)
	if r.set&inNew != 0 {
		c.inNew++
	}
	c.totals.add(r, sets, 1)
}

func (c *chunk) recount(sets []flagSet) {
	c.high, c.inNew, c.totals = 0, 0, totals{}
	for i := range c.recs {
		c.count(&c.recs[i], sets)
	}
}

// row is a message to be appended.
type row struct {
	rec
	base string
}

// next returns a copy of s to be changed into the next Snapshot.
func (s *Snapshot) next() *Snapshot {
	n := *s
	return &n
}

// with returns the next Snapshot with rows at its end. Their UIDs are higher than all
// in s.
func (s *Snapshot) with(rows []row) *Snapshot {
	n := s.next()
	n.chunks = append(make([]*chunk, 0, len(s.chunks)+1+len(rows)/chunkSize), s.chunks...)
	var open *chunk // the last chunk of n, if it has been copied
	for i := range rows {
		r := &rows[i]
		if last := len(n.chunks) - 1; open == nil && last >= 0 && len(n.chunks[last].recs) < chunkSize {
			c := *n.chunks[last]
			open, n.chunks[last] = &c, &c
		}
		if open == nil || len(open.recs) >= chunkSize {
			open = &chunk{id: r.uid}
			n.chunks = append(n.chunks, open)
		}
		open.push(r.rec, r.base, n.sets)
		n.totals.add(&r.rec, n.sets, 1)
		n.uids = append(n.uids, r.uid)
		n.HighestModSeq = max(n.HighestModSeq, r.modseq)
		n.UIDNext = max(n.UIDNext, r.uid+1)
	}
	n.index()
	return n
}

// index works out where each chunk starts. Chunks before the first changed one keep
// their places, but the list is short: one number for 256 messages.
func (s *Snapshot) index() {
	s.starts = make([]int32, len(s.chunks)+1)
	for i, c := range s.chunks {
		s.starts[i+1] = s.starts[i] + int32(len(c.recs))
	}
}

// changed returns the next Snapshot with the records at the positions, ascending,
// changed by f.
func (s *Snapshot) changed(positions []int, f func(k int, r *rec)) *Snapshot {
	n := s.next()
	n.chunks = append([]*chunk(nil), s.chunks...)
	at := -1
	var touched []int
	for k, pos := range positions {
		if at < 0 || pos >= int(s.starts[at+1]) {
			at = s.chunkOf(pos)
			c := *n.chunks[at]
			c.recs = append(make([]rec, 0, len(c.recs)), c.recs...)
			// The names stay shared; the limit keeps a later push off an older chunk's room.
			c.bases, c.ends = c.bases[:len(c.bases):len(c.bases)], c.ends[:len(c.ends):len(c.ends)]
			n.chunks[at] = &c
			touched = append(touched, at)
		}
		f(k, &n.chunks[at].recs[pos-int(s.starts[at])])
	}
	for _, i := range touched {
		n.totals.addAll(n.chunks[i].totals, -1)
		n.chunks[i].recount(n.sets)
		n.totals.addAll(n.chunks[i].totals, 1)
		n.HighestModSeq = max(n.HighestModSeq, n.chunks[i].high)
	}
	return n
}

// rebased returns the next Snapshot with other BASEs at some positions.
func (s *Snapshot) rebased(bases map[int]string) *Snapshot {
	n := s.next()
	n.chunks = append([]*chunk(nil), s.chunks...)
	done := map[int]bool{}
	for pos := range bases {
		i := s.chunkOf(pos)
		if done[i] {
			continue
		}
		done[i] = true
		c := &chunk{id: s.chunks[i].id}
		for k := range s.chunks[i].recs {
			base, ok := bases[int(s.starts[i])+k]
			if !ok {
				base = s.chunks[i].base(k)
			}
			c.push(s.chunks[i].recs[k], base, s.sets)
		}
		n.chunks[i] = c
	}
	return n
}

// without returns the next Snapshot without the messages at the positions, ascending.
// A chunk that became small joins the one before it.
func (s *Snapshot) without(positions []int) *Snapshot {
	n := s.next()
	n.chunks = make([]*chunk, 0, len(s.chunks))
	n.uids = make([]UID, 0, max(len(s.uids)-len(positions), 16)+chunkSize)
	n.totals = totals{}
	for i, c := range s.chunks {
		start, end := int(s.starts[i]), int(s.starts[i+1])
		k := sort.SearchInts(positions, end)
		drop := positions[:k]
		positions = positions[k:]
		if len(drop) > 0 {
			c = c.drop(drop, start, s.sets)
		}
		if len(c.recs) == 0 {
			continue
		}
		if last := len(n.chunks) - 1; last >= 0 && len(n.chunks[last].recs)+len(c.recs) <= chunkSize/2 {
			n.chunks[last] = n.chunks[last].joined(c, s.sets)
		} else {
			n.chunks = append(n.chunks, c)
		}
	}
	for _, c := range n.chunks {
		n.totals.addAll(c.totals, 1)
		for i := range c.recs {
			n.uids = append(n.uids, c.recs[i].uid)
		}
	}
	n.index()
	return n
}

func (c *chunk) drop(positions []int, start int, sets []flagSet) *chunk {
	n := &chunk{id: c.id}
	for i := range c.recs {
		if len(positions) > 0 && positions[0] == start+i {
			positions = positions[1:]
			continue
		}
		n.push(c.recs[i], c.base(i), sets)
	}
	return n
}

func (c *chunk) joined(o *chunk, sets []flagSet) *chunk {
	n := &chunk{id: c.id}
	for _, from := range []*chunk{c, o} {
		for i := range from.recs {
			n.push(from.recs[i], from.base(i), sets)
		}
	}
	return n
}

// chunkOf returns the chunk that position pos is in.
func (s *Snapshot) chunkOf(pos int) int {
	lo, hi := 0, len(s.chunks)-1
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if int(s.starts[mid]) <= pos {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// at returns the record at position pos, its chunk and its place there.
func (s *Snapshot) at(pos int) (*rec, *chunk, int) {
	i := s.chunkOf(pos)
	c := s.chunks[i]
	k := pos - int(s.starts[i])
	return &c.recs[k], c, k
}

// fileName returns the name of the file at position pos, as it has to be.
func (s *Snapshot) fileName(pos int) (maildir.Sub, string) {
	r, c, k := s.at(pos)
	return s.nameOf(r, c.base(k))
}

// nameOf builds the file name of a record.
func (s *Snapshot) nameOf(r *rec, base string) (maildir.Sub, string) {
	var room [256]byte
	return r.sub(), string(s.appendName(room[:0], r, base))
}

func (r *rec) sub() maildir.Sub { return subOf(r.set) }

func (s *Snapshot) appendName(b []byte, r *rec, base string) []byte {
	set := &s.sets[r.setID()]
	name := maildir.FileName{
		Base: base, Size: int64(r.size - r.lf), Virtual: int64(r.size),
		UIDValidity: s.UIDValidity, UID: uint32(r.uid),
		Keywords: set.extra, Flags: set.letters,
	}
	return name.Append(b, r.set&inNew == 0)
}
