package imap

import (
	"bytes"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"facteur/storage"
	"facteur/storage/message"
)

// indexedText is how many octets a message may have so that all of its text is certainly
// in the full-text index. The text of larger ones is looked at.
const indexedText = 200 << 10

// longText reports whether the full-text index may not hold all of the text that key looks
// into.
func (m *candidate) longText(key *searchKey) bool {
	if key.op < opHeader || m.entry.Size < indexedText {
		return false
	}
	if m.details == nil {
		return true // ask again with the index
	}
	if err := m.readSummary(); err != nil {
		return true
	}
	return m.summary.Structure.TextSize()+headerSize(m.summary.Structure) >= indexedText
}

// headerSize is how many octets the headers from p on have.
func headerSize(p *message.Part) int64 {
	n := p.BodyStart - p.Start
	for i := range p.Parts {
		n += headerSize(&p.Parts[i])
	}
	return n
}

func (m *candidate) readSummary() error {
	if m.summary != nil {
		return nil
	}
	var err error
	if m.summary, err = m.summaryOf(m.details); err != nil {
		return err
	}
	m.envelope = &m.summary.Envelope
	return nil
}

// readEnvelope reads the part of the summary that most keys ask for.
func (m *candidate) readEnvelope() (err error) {
	if m.envelope == nil {
		m.envelope, err = m.envelopeOf(m.details)
	}
	return err
}

// envelopeOf decodes no more than the envelope.
func (s *search) envelopeOf(d *storage.Details) (*message.Envelope, error) {
	if e, err := s.reads.Envelope(d.Summary); err == nil {
		return e, nil
	}
	m, err := s.summaryOf(d)
	if err != nil {
		return nil, err
	}
	return &m.Envelope, nil
}

// summaryOf decodes what the index has; of another version's form the message is read
// again.
func (s *search) summaryOf(d *storage.Details) (*message.Summary, error) {
	if m, err := s.reads.Summary(d.Summary); err == nil {
		return m, nil
	}
	c, err := s.box.Open(d.UID)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return message.Summarize(c, c.Size())
}

// askRead answers from the index and, where that is not enough, from the message.
func (m *candidate) askRead(key *searchKey) (answer, error) {
	switch key.op {
	case opEmailID:
		return verdict(m.details.EmailID() == key.text), nil
	case opThreadID:
		return verdict(m.details.ThreadID() == key.text), nil
	case opSavedBefore, opSavedOn, opSavedSince:
		return verdict(compareDay(key.op-opSavedBefore, m.details.Saved, key.day)), nil
	}
	if err := m.readEnvelope(); err != nil {
		return nope, err
	}
	e := m.envelope
	switch key.op {
	case opSentBefore, opSentOn, opSentSince:
		sent, ok := message.ParseDate(e.Date.Value)
		return verdict(ok && compareDay(key.op-opSentBefore, sent, key.day)), nil
	case opSubject:
		return verdict(m.subjectContains(e, key.text)), nil
	case opEnvelope:
		t := envelopeText(e, key.name)
		return verdict(t.Present && m.contains(message.DecodeText(t.Value), key.text)), nil
	case opAddress:
		return verdict(m.addressesContain(envelopeAddresses(e, key.name), key.text)), nil
	}
	return m.askContent(key)
}

// compareDay: 0 is BEFORE, 1 ON, 2 SINCE.
func compareDay(how searchOp, t time.Time, day int64) bool {
	switch how {
	case 0:
		return dayOf(t) < day
	case 1:
		return dayOf(t) == day
	}
	return dayOf(t) >= day
}

// subjectContains: there is a Subject, and it holds the needle, which may be empty.
func (s *search) subjectContains(e *message.Envelope, needle string) bool {
	return e.Subject.Present && s.contains(e.SubjectText(), needle)
}

// contains looks for the folded needle in text.
func (s *search) contains(text, needle string) bool {
	s.folded = message.AppendFold(s.folded[:0], text)
	return bytes.Contains(s.folded, []byte(needle))
}

func envelopeText(e *message.Envelope, field string) message.Text {
	switch field {
	case "date":
		return e.Date
	case "message-id":
		return e.MessageID
	case "in-reply-to":
		return e.InReplyTo
	}
	return e.References
}

func envelopeAddresses(e *message.Envelope, field string) []message.Address {
	switch field {
	case "from":
		return e.From
	case "to":
		return e.To
	case "cc":
		return e.Cc
	case "bcc":
		return e.Bcc
	case "sender":
		return e.Sender
	}
	return e.ReplyTo
}

// addressesContain looks into each address by itself, as a person reads it.
func (s *search) addressesContain(list []message.Address, needle string) bool {
	for i := range list {
		if list[i].Kind == message.GroupEnd {
			continue
		}
		s.text = list[i].AppendText(s.text[:0])
		s.folded = message.AppendFold(s.folded[:0], s.text)
		if bytes.Contains(s.folded, []byte(needle)) {
			return true
		}
	}
	return false
}

// askContent reads the message. Subject and addresses, which are at hand, are asked
// first.
func (m *candidate) askContent(key *searchKey) (answer, error) {
	if err := m.readSummary(); err != nil {
		return nope, err
	}
	if key.op == opText {
		e := m.envelope
		if m.subjectContains(e, key.text) || strings.Contains(message.Fold(e.AddressText()), key.text) {
			return yes, nil
		}
	}
	if err := m.openContent(); err != nil {
		return nope, err
	}
	if key.op == opHeader {
		return verdict(fieldContains(m.header, key.name, key.text)), nil
	}
	f := finder{needle: key.text}
	if key.op == opText {
		if err := m.summary.Structure.WriteHeaderText(&f, m.content); err != nil && err != errFound {
			return nope, err
		}
		if f.found {
			return yes, nil
		}
		f.tail = f.tail[:0]
	}
	if err := m.summary.Structure.WriteText(&f, m.content); err != nil && err != errFound {
		return nope, err
	}
	return verdict(f.found), nil
}

// maxHeaderSearched bounds the header that is read to be searched.
const maxHeaderSearched = 1 << 20

func (m *candidate) openContent() error {
	if m.content != nil {
		return nil
	}
	c, err := m.box.Open(m.entry.UID)
	if err != nil {
		return err
	}
	m.content = c
	end := min(m.summary.Structure.BodyStart, maxHeaderSearched, c.Size())
	m.header, err = readExtent(c, extent{0, end})
	return err
}

// fieldContains looks for the needle in the fields of that name; an empty one is in any.
func fieldContains(header []byte, name, needle string) bool {
	for f := range message.Fields(header) {
		if f.Is(name) && strings.Contains(message.Fold(message.DecodeText(f.Value())), needle) {
			return true
		}
	}
	return false
}

func hasKeyword(keywords []string, name string) bool {
	for _, k := range keywords {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}

// errFound ends the reading of a text in which the needle has been found.
var errFound = errors.New("found")

// finder looks for a folded needle in the text written to it, across the borders of
// what is written at once.
type finder struct {
	needle string
	tail   []byte // folded end of what came before, shorter than the needle
	rest   []byte // a character that has not come whole
	found  bool
}

func (f *finder) Write(p []byte) (int, error) {
	n := len(p)
	if len(f.rest) > 0 {
		p = append(f.rest, p...)
	}
	whole := wholeRunes(p)
	f.tail = message.AppendFold(f.tail, p[:whole])
	f.rest = append([]byte(nil), p[whole:]...)
	if bytes.Contains(f.tail, []byte(f.needle)) {
		f.found = true
		return n, errFound
	}
	if keep := len(f.needle) - 1; len(f.tail) > keep {
		f.tail = append(f.tail[:0], f.tail[len(f.tail)-keep:]...)
	}
	return n, nil
}

// wholeRunes is the length of p without a character at its end that is not complete.
func wholeRunes(p []byte) int {
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				return len(p)
			}
			return i
		}
	}
	return len(p)
}
