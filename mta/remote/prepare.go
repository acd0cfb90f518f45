package remote

import (
	"bytes"
	"fmt"
	"io"

	"facteur/mta"
)

// needs is what a message asks of every server on its way.
type needs struct {
	octets
	utf8       bool // a header with UTF-8 from an SMTPUTF8 session, or a local-part that is not ASCII
	binary     bool // BODY=BINARYMIME: no rules for line ends and lengths
	requireTLS bool // REQUIRETLS
}

// study reads the message once.
func study(m *mta.Message, to []mta.Recipient) (needs, error) {
	n := needs{binary: m.Env.Encoding == mta.EncodingBinaryMIME, utf8: m.Env.MailFrom.NeedsUTF8(), requireTLS: m.Env.RequireTLS}
	for _, r := range to {
		n.utf8 = n.utf8 || r.Address.NeedsUTF8()
	}
	if m.Env.UTF8 && !n.utf8 {
		// RFC 6531 3.2: a message that had SMTPUTF8 but holds nothing that needs it goes
		// to any server.
		header, err := m.Body.Header()
		if err != nil {
			return n, err
		}
		n.utf8 = !ascii(header) || !ascii(m.Prefix)
	}
	if b, ok := m.Body.Bytes(); ok {
		n.add(b)
		return n, nil
	}
	buf := make([]byte, 32<<10)
	for r := m.Body.Reader(); ; {
		k, err := r.Read(buf)
		n.add(buf[:k])
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// prepare fits the message to what the session's server can take, or says with a
// permanent reply why that cannot be.
func (s *session) prepare(m *mta.Message, n needs) (*form, *mta.Reply) {
	f := &form{msg: m, size: m.Size(), utf8: n.utf8, dsn: s.has("DSN")}
	f.requireTLS = n.requireTLS && s.tls != "" && s.has("REQUIRETLS") // a report goes without, if it must
	if n.utf8 && !s.has("SMTPUTF8") {
		// RFC 6531 3.5, RFC 6533 4: no downgrade exists.
		return nil, mta.NewReply(553, [3]int{5, 6, 7},
			"The server %s takes no internationalised mail (SMTPUTF8), which this message needs", s.host)
	}
	if n.binary || n.eightBit && !s.has("8BITMIME") {
		body, reply := s.reencode(m)
		if reply != nil {
			return nil, reply
		}
		f.body, f.size = body, int64(len(body))
	} else {
		f.eightBit = n.eightBit
	}
	// A chunk goes as it is, so it is for messages without a line end to mend. To wait for the
	// replies to RCPT costs nothing with PIPELINING only.
	f.chunk = f.body == nil && n.lined() && s.has("CHUNKING") && s.has("PIPELINING")
	if limit := s.sizeLimit(); limit > 0 && f.size > limit {
		return nil, mta.NewReply(552, [3]int{5, 3, 4},
			"The message has %d octets, the server %s takes %d at most", f.size, s.host, limit)
	}
	f.mail = s.mailLine(f)
	return f, nil
}

// maxReencode is the largest message that is re-encoded in memory.
const maxReencode = 64 << 20

func (s *session) reencode(m *mta.Message) ([]byte, *mta.Reply) {
	refuse := func(why string) *mta.Reply {
		return mta.NewReply(554, [3]int{5, 6, 3},
			"The server %s takes no 8-bit mail (8BITMIME), and this message can't be re-encoded: %s", s.host, why)
	}
	if m.Size() > maxReencode {
		return nil, refuse("it is too large")
	}
	whole := make([]byte, 0, m.Size())
	whole = append(whole, m.Prefix...)
	buf := bytes.NewBuffer(whole)
	if _, err := io.Copy(buf, m.Body.Reader()); err != nil {
		return nil, mta.TempFail(fmt.Errorf("read the message to re-encode: %w", err))
	}
	out, err := to7Bit(buf.Bytes())
	if err != nil {
		return nil, refuse(err.Error())
	}
	return out, nil
}
