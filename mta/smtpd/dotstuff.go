package smtpd

import "bytes"

// unstuffer takes the octets after DATA and finds their end. Only CRLF.CRLF is the end (RFC 5321
// 4.1.1.4), and only a dot after CRLF is taken out (4.5.2): whoever reads line ends more
// kindly sees messages where the sender sent none.
type unstuffer struct {
	state dotState
	crs   int // CRs in a row at the end of what was read
	// doubtful: the last line ended with CR CR LF. An end that follows is one to us and not to
	// everybody, so what comes after it can't be trusted.
	doubtful bool
}

type dotState uint8

const (
	atLine   dotState = iota // after CRLF, or at the start
	inLine                   //
	afterCR                  // in a line, after its CR
	afterDot                 // after CRLF and a dot
	dotCR                    // after CRLF, a dot and CR
)

var cr = []byte{'\r'}

// feed takes octets in any portions and hands the message's to sink. It returns how many it has
// used, and whether that was the end.
func (u *unstuffer) feed(p []byte, sink func([]byte)) (n int, end bool) {
	run := 0 // start of what sink has not seen
	emit := func(to int) {
		if to > run {
			sink(p[run:to])
		}
	}
	for i := 0; i < len(p); {
		switch u.state {
		case atLine:
			if p[i] != '.' {
				u.state, u.crs = inLine, 0
				continue
			}
			emit(i)
			i++
			run, u.state = i, afterDot
		case afterDot:
			if p[i] != '\r' {
				u.state, u.crs = inLine, 0
				continue
			}
			i++
			run, u.state = i, dotCR // the CR is held back
		case dotCR:
			if p[i] == '\n' {
				return i + 1, true
			}
			sink(cr)
			u.state, u.crs = afterCR, 1
		case afterCR:
			if p[i] == '\n' {
				u.state, u.doubtful = atLine, u.crs > 1
				i++
				continue
			}
			u.state = inLine
			if p[i] != '\r' {
				u.crs = 0
			}
		case inLine:
			i = u.line(p, i)
		}
	}
	emit(len(p))
	return len(p), false
}

// line goes on from i to the end of a line, or of p.
func (u *unstuffer) line(p []byte, i int) int {
	end := len(p)
	if j := bytes.IndexByte(p[i:], '\n'); j >= 0 {
		end = i + j
	}
	n := end
	for n > i && p[n-1] == '\r' {
		n--
	}
	if n > i {
		u.crs = 0
	}
	u.crs += end - n
	if end == len(p) {
		if u.crs > 0 {
			u.state = afterCR
		}
		return end
	}
	if u.crs > 0 {
		u.state, u.doubtful = atLine, u.crs > 1
	}
	u.crs = 0
	return end + 1 // after a bare LF the line goes on
}
