package message

import (
	"bytes"
	"strings"
)

// Caps of one message's structure. What is beyond is one opaque part.
const (
	maxDepth    = 100
	maxParts    = 10000
	maxBoundary = 998     // a line's length; RFC 2046 5.1.1 says 70
	maxText     = 1 << 20 // octets of header text kept for one summary
)

// structureParser reads the MIME tree in one pass. Its stack is as deep as the tree,
// which maxDepth bounds; a line is compared with at most maxDepth boundaries.
type structureParser struct {
	in         *lineReader
	boundaries []string // "--boundary" of the open multiparts, the outermost first
	parts      int
	blank      int    // length of the blank line that ended the last header
	budget     int    // what is left of maxText
	header     []byte // the header being read; one buffer for all
}

// stop says what ended a part: the boundary of an open multipart, or the end of the
// message (level -1). end and lf are where the part ends, without the line end
// that belongs to the boundary (RFC 2046 5.1.1).
type stop struct {
	level   int
	final   bool // "--boundary--"
	cut     bool // that line has not been read to its end
	end, lf int64
	ending  int // length of that line end
}

// withEnding gives the line end before the boundary to what it ends. Dovecot does so with
// an embedded message that is only a header, so that the header is whole.
func (s stop) withEnding() stop {
	if s.ending > 0 {
		s.end, s.lf, s.ending = s.end+int64(s.ending), s.lf+1, 0
	}
	return s
}

// part reads a header and its body. envelope is where the fields of IMAP's ENVELOPE
// go, nil for a part that is no message. typ and subtype are those of a part
// without Content-Type.
func (p *structureParser) part(envelope *Envelope, typ, subtype string, depth int) (Part, stop) {
	p.parts++
	part := Part{Start: p.in.pos}
	by, ended := p.readHeader()
	part.BodyStart = p.in.pos
	if ended {
		// The boundary follows the header without a blank line: the body is empty.
		if envelope != nil && by.end >= part.Start {
			by = by.withEnding()
		}
		part.BodyStart = max(by.end, part.Start)
	}
	lf := p.in.lf
	p.interpret(&part, envelope, typ, subtype)

	opaque := depth >= maxDepth || p.parts >= maxParts
	switch {
	case part.IsMultipart() && !opaque && !ended:
		by = p.multipart(&part, depth)
	case isMessageType(&part):
		part.Envelope = new(Envelope)
		if opaque {
			if !ended {
				by = p.body()
			}
			break
		}
		child := Part{Start: part.BodyStart, BodyStart: part.BodyStart, End: part.BodyStart}
		if ended {
			child.setDefaults("text", "plain")
		} else {
			child, by = p.part(part.Envelope, "text", "plain", depth+1)
		}
		part.Parts = []Part{child}
	case !ended:
		by = p.body()
	}
	switch {
	case by.end >= part.BodyStart:
	case envelope != nil && by.end >= part.Start:
		by = by.withEnding()
	default:
		// The blank line after the header was the line end that belongs to the boundary.
		part.BodyStart = max(by.end, part.Start)
		for i := range part.Parts { // an embedded message of no octets
			part.Parts[i].Start, part.Parts[i].BodyStart, part.Parts[i].End = part.BodyStart, part.BodyStart, part.BodyStart
		}
	}
	part.End = max(by.end, part.BodyStart)
	part.Lines = max(by.lf-lf, 0)
	return part, by
}

// multipart reads a multipart's preamble, children and epilogue.
func (p *structureParser) multipart(part *Part, depth int) stop {
	boundary := strings.TrimRight(DecodeParam(part.Params, "boundary"), " \t")
	if boundary == "" || len(boundary) > maxBoundary {
		return p.body()
	}
	typ, subtype := "text", "plain"
	if asciiEqualFold(part.Subtype, "digest") {
		typ, subtype = "message", "rfc822" // RFC 2046 5.1.5
	}
	level := len(p.boundaries)
	p.boundaries = append(p.boundaries, "--"+boundary)
	by := p.body()
	for by.level == level && !by.final && p.skipLine(by) {
		if p.parts >= maxParts {
			p.boundaries = p.boundaries[:level] // the next child takes all that is left
		}
		var child Part
		child, by = p.part(nil, typ, subtype, depth+1)
		part.Parts = append(part.Parts, child)
	}
	p.boundaries = p.boundaries[:level]
	if by.level == level {
		by = p.body() // the epilogue
	}
	return by
}

// skipLine reads what is left of the boundary line. It is false when the message ends there: as with Dovecot a line
// that was cut off begins no part.
func (p *structureParser) skipLine(by stop) bool {
	for by.cut {
		line := p.in.next()
		if line == nil {
			return false
		}
		by.cut = lineEnd(line) == 0
	}
	return true
}

// body reads up to the next boundary of an open multipart, or to the end.
func (p *structureParser) body() stop {
	ending := p.blank // length of the line end before the present line
	p.blank = 0
	atStart := true
	for {
		line := p.in.next()
		if line == nil {
			return stop{level: -1, end: p.in.pos, lf: p.in.lf}
		}
		if atStart {
			if by, ok := p.boundary(line, ending); ok {
				return by
			}
		}
		ending = lineEnd(line)
		atStart = ending > 0
	}
}

// readHeader reads a header with its blank line into p.header. ended is true when a
// boundary came before the blank line.
func (p *structureParser) readHeader() (by stop, ended bool) {
	ending := p.blank // of a message inside, that of the header around it
	p.header, p.blank = p.header[:0], 0
	atStart := true
	for {
		line := p.in.next()
		if line == nil {
			return stop{level: -1, end: p.in.pos, lf: p.in.lf}, false
		}
		if atStart {
			if isBlank(line) {
				p.blank = len(line)
				return stop{}, false
			}
			if by, ok := p.boundary(line, ending); ok {
				return by, true
			}
		}
		if len(p.header)+len(line) <= maxHeader {
			p.header = append(p.header, line...)
		}
		ending = lineEnd(line)
		atStart = ending > 0
	}
}

// boundary says whether line, just read, is a boundary line. The longest boundary
// that the line begins with is meant, of equal ones the innermost: RFC 2046 5.1.1
// lets anything follow the boundary, and 5.1.2 wants outer boundaries to be seen
// inside inner parts.
func (p *structureParser) boundary(line []byte, ending int) (by stop, ok bool) {
	if len(p.boundaries) == 0 || len(line) < 3 || line[0] != '-' || line[1] != '-' {
		return stop{}, false
	}
	best := -1
	for i, b := range p.boundaries {
		if len(line) >= len(b) && (best < 0 || len(b) >= len(p.boundaries[best])) && string(line[:len(b)]) == b {
			best = i
		}
	}
	if best < 0 {
		return stop{}, false
	}
	by = stop{level: best, end: p.in.pos - int64(len(line)) - int64(ending), lf: p.in.lf, ending: ending}
	by.final = bytes.HasPrefix(line[len(p.boundaries[best]):], []byte("--"))
	by.cut = lineEnd(line) == 0
	if lineEnd(line) > 0 {
		by.lf--
	}
	if ending > 0 {
		by.lf--
	}
	return by, true
}
