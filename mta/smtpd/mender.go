package smtpd

import "bytes"

// mender makes every CR and LF that stands alone a CRLF. It works on what the unstuffer hands on: what
// ends a message or is a stuffed dot has been decided on the octets as they came.
type mender struct {
	cr bool // the last octet was a CR, and its LF is still missing
}

var lf = []byte{'\n'}

// feed takes octets in any portions and hands them on to sink.
func (m *mender) feed(p []byte, sink func([]byte)) {
	run := 0 // start of what sink has not seen
	insert := func(at int, octet []byte) {
		if at > run {
			sink(p[run:at])
		}
		sink(octet)
		run = at
	}
	for i := 0; i < len(p); {
		if m.cr {
			m.cr = false
			if p[i] == '\n' {
				i++
				continue
			}
			insert(i, lf)
		}
		line := p[i:]
		end := bytes.IndexByte(line, '\n')
		if end >= 0 {
			line = line[:end]
		}
		switch j := bytes.IndexByte(line, '\r'); {
		case j >= 0:
			i += j + 1
			m.cr = true
		case end >= 0:
			insert(i+end, cr)
			i += end + 1
		default:
			i = len(p)
		}
	}
	if run < len(p) {
		sink(p[run:])
	}
}

// close ends the last line.
func (m *mender) close(sink func([]byte)) {
	if m.cr {
		m.cr = false
		sink(lf)
	}
}
