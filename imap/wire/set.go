package wire

import (
	"cmp"
	"slices"
	"strconv"
)

// Range is a range of sequence numbers or UIDs, First to Last, both included. In a Set
// as it was sent, 0 stands for "*" and the two may stand in either order.
type Range struct{ First, Last uint32 }

// Set is a sequence set or UID set as the client sent it (RFC 9051 9, sequence-set).
type Set struct {
	Ranges []Range
	Saved  bool // "$": the result of the last SEARCH (RFC 5182)
}

// Set reads a set.
func (d *Decoder) Set() Set {
	if d.Take('$') {
		return Set{Saved: true}
	}
	var s Set
	for {
		r := Range{First: d.seqNumber()}
		r.Last = r.First
		if d.Take(':') {
			r.Last = d.seqNumber()
		}
		s.Ranges = append(s.Ranges, r)
		if d.err != nil || !d.Take(',') {
			return s
		}
	}
}

// KnownSet reads a set without "*" and "$", as QRESYNC wants it (RFC 7162 3.2.5), and
// returns it in order.
func (d *Decoder) KnownSet() Ranges {
	s := d.Set()
	if s.Saved || s.HasStar() {
		d.Fail(`"*" is not allowed here`)
	}
	return s.Resolve(0)
}

func (d *Decoder) seqNumber() uint32 {
	if d.Take('*') {
		return 0
	}
	n := d.Number()
	if n == 0 {
		d.Fail("0 is not a message number")
	}
	return n
}

// HasStar reports whether "*" is in the set.
func (s Set) HasStar() bool {
	return slices.ContainsFunc(s.Ranges, func(r Range) bool { return r.First == 0 || r.Last == 0 })
}

// Resolve puts last in the place of "*" and returns the set as Ranges. With last 0, in
// an empty mailbox, a lone "*" matches nothing.
func (s Set) Resolve(last uint32) Ranges {
	out := make(Ranges, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		if r.First == 0 {
			r.First = last
		}
		if r.Last == 0 {
			r.Last = last
		}
		if r.First > r.Last {
			r.First, r.Last = r.Last, r.First
		}
		if r.First == 0 {
			r.First = 1
		}
		if r.Last > 0 {
			out = append(out, r)
		}
	}
	return out.normalise()
}

// Ranges is a set of numbers: ascending, disjoint and not touching, no 0.
type Ranges []Range

func (s Ranges) normalise() Ranges {
	slices.SortFunc(s, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Add appends n, which is not lower than any number in s.
func (s Ranges) Add(n uint32) Ranges {
	if last := len(s) - 1; last >= 0 && uint64(n) <= uint64(s[last].Last)+1 {
		s[last].Last = max(s[last].Last, n)
		return s
	}
	return append(s, Range{n, n})
}

// RangesOf turns ascending numbers into Ranges.
func RangesOf[T ~uint32](ascending []T) Ranges {
	var s Ranges
	for _, n := range ascending {
		s = s.Add(uint32(n))
	}
	return s
}

// Contains reports whether n is in the set.
func (s Ranges) Contains(n uint32) bool {
	i, found := slices.BinarySearchFunc(s, n, func(r Range, n uint32) int { return cmp.Compare(r.Last, n) })
	return found || i < len(s) && s[i].First <= n
}

// AppendRanges appends a set: "1:3,7". An empty one has no form.
func AppendRanges(b []byte, s Ranges) []byte {
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.First), 10)
		if r.Last != r.First {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.Last), 10)
		}
	}
	return b
}

// Partial is a partial range of results (RFC 9394): from the First to the Last of them,
// counted from the end where FromEnd is set. First is never larger than Last.
type Partial struct {
	First, Last uint32
	FromEnd     bool
}

// Partial reads "1:500" or "-1:-100".
func (d *Decoder) Partial() Partial {
	var p Partial
	p.FromEnd = d.Take('-')
	p.First = d.seqNumber()
	d.Expect(':')
	if d.Take('-') != p.FromEnd {
		d.Fail("both ends of a partial range count from the same side")
	}
	p.Last = d.seqNumber()
	if p.First == 0 || p.Last == 0 {
		d.Fail(`"*" is not allowed here`)
	}
	if p.First > p.Last {
		p.First, p.Last = p.Last, p.First
	}
	return p
}

// Of returns the positions from up to, not including, to that p means of n results.
func (p Partial) Of(n int) (from, to int) {
	from, to = min(int(p.First)-1, n), min(int(p.Last), n)
	if p.FromEnd {
		from, to = n-to, n-from
	}
	return from, to
}

// AppendPartial appends a partial range as it was asked for.
func AppendPartial(b []byte, p Partial) []byte {
	sign := ""
	if p.FromEnd {
		sign = "-"
	}
	b = append(b, sign...)
	b = strconv.AppendUint(b, uint64(p.First), 10)
	b = append(b, ':')
	b = append(b, sign...)
	return strconv.AppendUint(b, uint64(p.Last), 10)
}

// And returns what is in both sets.
func (s Ranges) And(t Ranges) Ranges {
	var out Ranges
	for i, j := 0, 0; i < len(s) && j < len(t); {
		first, last := max(s[i].First, t[j].First), min(s[i].Last, t[j].Last)
		if first <= last {
			out = append(out, Range{first, last})
		}
		if s[i].Last < t[j].Last {
			i++
		} else {
			j++
		}
	}
	return out
}
