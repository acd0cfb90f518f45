package sender

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"slices"
)

// bodySpec is what a signature says of the body it covers.
type bodySpec struct {
	relaxed bool
	length  int64 // l=; -1: all of it
}

// bodySum is the outcome for one bodySpec.
type bodySum struct {
	sum   [sha256.Size]byte
	total int64 // octets of the canonical body, whatever l= says
}

// hashBodies reads the body once and hashes it for each spec.
func hashBodies(body io.Reader, specs []bodySpec) (map[bodySpec]bodySum, error) {
	var simple, relaxed lineTrimmer
	sinks := make(map[bodySpec]*bodySink)
	for _, spec := range specs {
		if sinks[spec] != nil {
			continue
		}
		sink := &bodySink{h: sha256.New(), limit: spec.length}
		sinks[spec] = sink
		if spec.relaxed {
			relaxed.sinks = append(relaxed.sinks, sink)
		} else {
			simple.sinks = append(simple.sinks, sink)
		}
	}
	squeezer := wspSqueezer{out: &relaxed}
	buf := make([]byte, 16<<10)
	for len(sinks) > 0 {
		n, err := body.Read(buf)
		if len(simple.sinks) > 0 {
			simple.write(buf[:n])
		}
		if len(relaxed.sinks) > 0 {
			squeezer.write(buf[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	simple.close(false)
	squeezer.close()
	relaxed.close(true)
	sums := make(map[bodySpec]bodySum, len(sinks))
	for spec, sink := range sinks {
		s := bodySum{total: sink.total}
		sink.h.Sum(s.sum[:0])
		sums[spec] = s
	}
	return sums, nil
}

// bodySink hashes up to a limit and counts all.
type bodySink struct {
	h     hash.Hash
	limit int64 // -1: none
	total int64
}

func (s *bodySink) write(p []byte) {
	start := s.total
	s.total += int64(len(p))
	if s.limit >= 0 && s.total > s.limit {
		p = p[:max(0, s.limit-start)]
	}
	s.h.Write(p)
}

var crlf = []byte("\r\n")

// lineTrimmer turns the empty lines at the end of the body into one CRLF (RFC 6376 3.4.3); in
// between it passes all through.
type lineTrimmer struct {
	sinks   []*bodySink
	pending int  // CRLFs that may be the last
	cr      bool // and a CR after them that may begin one more
	written bool
}

func (t *lineTrimmer) write(p []byte) {
	if len(p) == 0 {
		return
	}
	if t.cr {
		p = append([]byte{'\r'}, p...)
		t.cr = false
	}
	if p[len(p)-1] == '\r' {
		t.cr = true
		p = p[:len(p)-1]
	}
	core := p
	for bytes.HasSuffix(core, crlf) {
		core = core[:len(core)-2]
	}
	if len(core) > 0 {
		t.flush()
		t.emit(core)
	}
	t.pending += (len(p) - len(core)) / 2
}

func (t *lineTrimmer) flush() {
	for ; t.pending > 0; t.pending-- {
		t.emit(crlf)
	}
}

func (t *lineTrimmer) emit(p []byte) {
	t.written = true
	for _, s := range t.sinks {
		s.write(p)
	}
}

// close ends the body. An empty one is a CRLF in the simple form and nothing in the relaxed (RFC
// 6376 3.4.3, 3.4.4).
func (t *lineTrimmer) close(emptyIsNothing bool) {
	if t.cr {
		t.flush()
		t.emit(crlf[:1])
	}
	if t.written || !emptyIsNothing {
		t.emit(crlf)
	}
}

// wspSqueezer makes runs of blanks one space and removes them at the ends of lines (RFC 6376 3.4.4).
type wspSqueezer struct {
	out   *lineTrimmer
	buf   []byte
	blank bool
	cr    bool
}

func (q *wspSqueezer) write(p []byte) {
	if n := bytes.LastIndex(p, crlf); n >= 0 && !q.cr && !q.blank && squeezed(p[:n+len(crlf)]) {
		q.out.write(p[:n+len(crlf)])
		p = p[n+len(crlf):]
	}
	buf := slices.Grow(q.buf[:0], len(p)+3)
	for i := 0; i < len(p); {
		c := p[i]
		if q.cr {
			q.cr = false
			if c == '\n' {
				q.blank = false
				buf = append(buf, '\r', '\n')
				i++
				continue
			}
			buf = q.text(buf, crlf[:1])
		}
		switch {
		case c == ' ' || c == '\t':
			q.blank = true
			i++
		case c == '\r':
			q.cr = true
			i++
		default:
			end := i + 1
			for end < len(p) && (p[end] > ' ' || p[end] == ' ' && end+1 < len(p) && p[end+1] > ' ') {
				end++ // a single blank between words stays
			}
			buf = q.text(buf, p[i:end])
			i = end
		}
	}
	q.buf = buf
	q.out.write(buf)
}

// squeezed reports whether p, whole lines, has nothing to squeeze: most mail hasn't, and to find that out takes a fraction
// of the time.
func squeezed(p []byte) bool {
	return bytes.IndexByte(p, '\t') < 0 && !bytes.Contains(p, []byte("  ")) && !bytes.Contains(p, []byte(" \r"))
}

func (q *wspSqueezer) text(buf, p []byte) []byte {
	if q.blank {
		buf = append(buf, ' ')
		q.blank = false
	}
	return append(buf, p...)
}

func (q *wspSqueezer) close() {
	if q.cr {
		q.out.write(q.text(nil, crlf[:1]))
	}
}
