package remote

import (
	"bufio"
	"bytes"
	"encoding/binary"
)

// stuffer writes message octets as DATA wants them (RFC 5321 4.5.2): every line
// ends with CRLF and a line that starts with a dot gets a second one. It works on
// whole lines found with IndexByte, not on single octets.
//
// A bare CR or a bare LF would let a peer with other ideas about line ends read
// a second message out of ours (SMTP smuggling), so each becomes CRLF, and the
// stuffing is done on the lines that result.
type stuffer struct {
	w      *bufio.Writer
	inLine bool // something of the current line has been written
	cr     bool // the last octet was a CR, not written yet
}

func (s *stuffer) Write(p []byte) (int, error) {
	n := len(p)
	if s.cr && len(p) > 0 {
		s.cr = false
		if p[0] == '\n' {
			p = p[1:]
		}
		s.endLine()
	}
	for len(p) > 0 {
		lf := bytes.IndexByte(p, '\n')
		line := p
		if lf >= 0 {
			line = p[:lf]
		}
		if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
			s.text(line[:cr])
			p = p[cr+1:]
			if len(p) == 0 {
				s.cr = true // the LF may come with the next Write
				break
			}
			if p[0] == '\n' {
				p = p[1:]
			}
			s.endLine()
			continue
		}
		s.text(line)
		if lf < 0 {
			break
		}
		s.endLine()
		p = p[lf+1:]
	}
	return n, nil // a bufio.Writer keeps its error for Flush
}

func (s *stuffer) text(b []byte) {
	if len(b) == 0 {
		return
	}
	if !s.inLine && b[0] == '.' {
		s.w.WriteByte('.')
	}
	s.inLine = true
	s.w.Write(b)
}

func (s *stuffer) endLine() {
	s.w.WriteString("\r\n")
	s.inLine = false
}

// end closes the last line and writes the final dot.
func (s *stuffer) end() {
	if s.cr || s.inLine {
		s.cr = false
		s.endLine()
	}
	s.w.WriteString(".\r\n")
}

// octets is what study finds in those of a message.
type octets struct {
	eightBit bool // one over 127
	bare     bool // a CR or LF that stands alone
	last     byte
}

// add goes through the next octets.
func (o *octets) add(p []byte) {
	if len(p) == 0 {
		return
	}
	o.eightBit = o.eightBit || !ascii(p)
	if !o.bare {
		o.bare = o.last == '\r' && p[0] != '\n' || o.last != '\r' && p[0] == '\n' || bareInside(p)
	}
	o.last = p[len(p)-1]
}

// bareInside reports a bare CR or LF in p, but for an LF at its start and a CR at its end.
func bareInside(p []byte) bool {
	for at := 1; at < len(p); {
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			break
		}
		if p[at+i-1] != '\r' {
			return true
		}
		at += i + 1
	}
	pairs := bytes.Count(p, []byte{'\n'})
	if p[0] == '\n' {
		pairs-- // its CR came before
	}
	if p[len(p)-1] == '\r' {
		pairs++ // its LF comes next
	}
	return bytes.Count(p, []byte{'\r'}) != pairs
}

// lined reports that all lines end with CRLF, the last one too.
func (o *octets) lined() bool { return !o.bare && o.last == '\n' }

func ascii(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
