package smtpd

import (
	"bytes"
	"io"
	"mime"
	"net/mail"
	"strings"
	"time"

	"facteur/mta"
	"facteur/storage/message"
)

// authorsOf reads the From field of a submission, or says what is wrong with it. It is strict where
// message.ParseAddressList is kind: of what can be read in two ways, one reading may not be
// the login's.
func authorsOf(header []byte) (authors []message.AddrSpec, fault string) {
	var from []byte
	n := 0
	for f := range fields(header) {
		if f.is("From") {
			from = f.value()
			n++
		}
	}
	switch {
	case n == 0:
		return nil, "the message has no From field"
	case n > 1:
		return nil, "the message has more than one From field"
	}
	// Encoded words stay as they are: whatever their charset, they are no address.
	p := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}}
	list, err := p.ParseList(strings.TrimSpace(unfold(from)))
	if err != nil || len(list) == 0 {
		return nil, "the From field is malformed"
	}
	for _, a := range list {
		at := strings.LastIndexByte(a.Address, '@')
		if at < 0 {
			return nil, "the From field is malformed"
		}
		authors = append(authors, message.AddrSpec{Local: a.Address[:at], Domain: strings.ToLower(a.Address[at+1:])})
	}
	return authors, ""
}

func unfold(v []byte) string {
	return string(bytes.ReplaceAll(v, []byte("\r\n"), nil))
}

// fixUp does what RFC 6409 8 lets us do to a submission: a Date and a Message-ID are put in where they
// are missing, Bcc is taken out, and what only we may write too. It returns nil when there
// is nothing to do.
func (s *Server) fixUp(header []byte, m *mta.Message) []byte {
	var hasDate, hasID bool
	clean := without(header, func(f field) bool {
		hasDate = hasDate || f.is("Date")
		hasID = hasID || f.is("Message-ID")
		return f.is("Bcc") || f.is("Resent-Bcc") || s.forged(f)
	})
	if hasDate && hasID && len(clean) == len(header) {
		return nil
	}
	fixed := make([]byte, 0, len(clean)+128)
	if !hasDate {
		fixed = append(fixed, "Date: "...)
		fixed = m.Arrived.AppendFormat(fixed, time.RFC1123Z)
		fixed = append(fixed, "\r\n"...)
	}
	if !hasID {
		fixed = append(fixed, "Message-ID: <"...)
		fixed = append(fixed, m.ID...)
		fixed = append(fixed, '@')
		fixed = append(fixed, s.Hostname...)
		fixed = append(fixed, ">\r\n"...)
	}
	return append(fixed, clean...)
}
