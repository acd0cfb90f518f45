package imap

import (
	"context"
	"strings"

	"facteur/imap/wire"
)

// id is RFC 2971. What a client says of itself goes into the log, nothing else depends on
// it, with one exception: Apple's mail programs mark the connections of their background
// work (TN3189), which a busy server may turn away.
func (s *session) id(_ context.Context, _ *request) error {
	s.dec.SP()
	fields := s.idFields()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	event := fields["event"]
	if (event == "indexer" || event == "back-fill") && s.srv.cfg.Busy() {
		return no("UNAVAILABLE", "Busy, try again later")
	}
	if fields["name"] != "" {
		s.log.Info("imap: client", "account", s.account, "name", fields["name"], "version", fields["version"])
	}
	b := []byte(`("name" "Facteur"`)
	if v := s.srv.cfg.Version; v != "" {
		b = append(b, ` "version" `...)
		b = wire.AppendString(b, v, false)
	}
	s.out.printf("* ID %s)\r\n", b)
	return nil
}

// idFields reads NIL or a list of pairs, at most 30 (RFC 2971 3.3).
func (s *session) idFields() map[string]string {
	d := s.dec
	fields := make(map[string]string)
	if d.Peek() != '(' {
		if _, ok := d.NString(); ok {
			d.Fail("expected a list")
		}
		return fields
	}
	d.List(func() {
		key := strings.ToLower(d.String())
		d.SP()
		value, _ := d.NString()
		if len(fields) >= 30 || len(key) > 30 || len(value) > 1024 {
			d.Fail("too much in ID")
		}
		fields[key] = value
	})
	return fields
}
