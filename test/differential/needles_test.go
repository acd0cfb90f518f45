package differential

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"facteur/storage/message"
)

// searchesFor are searches after pieces of a message, as they are written and as a person reads them, and after its date.
func searchesFor(m *maker, s *message.Summary, text []byte) []string {
	var list []string
	add := func(key, text string) {
		words := strings.Fields(text)
		if len(words) == 0 {
			return
		}
		i := m.IntN(len(words))
		needle := words[i]
		if m.chance(3) && i+1 < len(words) {
			needle += " " + words[i+1]
		}
		if len(needle) < 60 && utf8.ValidString(needle) && !strings.ContainsAny(needle, "\x00\r\n") {
			list = append(list, fmt.Sprintf("SEARCH %s {%d+}\r\n%s", key, len(needle), needle))
		}
	}
	e := &s.Envelope
	for _, key := range []string{"SUBJECT", "HEADER Subject", "TEXT"} {
		add(key, message.DecodeText(e.Subject.Value))
		add(key, e.Subject.Value)
	}
	for _, f := range []struct {
		key  string
		list []message.Address
	}{{"FROM", e.From}, {"TO", e.To}, {"CC", e.Cc}, {"BCC", e.Bcc}, {"HEADER Reply-To", e.ReplyTo}} {
		for _, a := range f.list[:min(3, len(f.list))] {
			add(f.key, a.Text())
			add(f.key, a.Mailbox+" "+a.Host)
			add("TEXT", a.Text())
		}
	}
	add("HEADER Message-ID", e.MessageID.Value)
	add("HEADER References", e.References.Value)
	add("HEADER Date", e.Date.Value)
	var body strings.Builder
	_ = s.Structure.WriteText(&body, bytes.NewReader(text)) // neither fails
	lines := strings.Split(string(text), "\r\n")
	for range 3 {
		add("BODY", body.String())
		add("BODY", lines[m.IntN(len(lines))])
		add("TEXT", lines[m.IntN(len(lines))])
	}
	days := []string{"21-Nov-2026", "1-Jan-1970", "31-Dec-2040"}
	if t, ok := message.ParseDate(e.Date.Value); ok {
		for d := range 3 {
			days = append(days, t.AddDate(0, 0, d-1).Format("2-Jan-2006"))
		}
	}
	for _, day := range days {
		list = append(list, "SEARCH SENTON "+day, "SEARCH SENTSINCE "+day, "SEARCH SENTBEFORE "+day)
	}
	return list
}
