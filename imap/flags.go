package imap

import (
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// systemFlags are the flags of RFC 9051 2.3.2 in the order Dovecot lists them.
var systemFlags = []struct {
	name string
	bit  uint8
}{
	{`\Answered`, storage.Answered},
	{`\Flagged`, storage.Flagged},
	{`\Deleted`, storage.Deleted},
	{`\Seen`, storage.Seen},
	{`\Draft`, storage.Draft},
}

// parseFlags turns flags as a client wrote them into storage's.
func parseFlags(names []string) (storage.Flags, error) {
	var f storage.Flags
	for _, name := range names {
		if strings.HasPrefix(name, `\`) {
			bit := systemFlag(name)
			if bit == 0 {
				return f, bad("Invalid system flag " + name)
			}
			f.System |= bit
			continue
		}
		if !wire.IsKeyword(name) {
			return f, no("LIMIT", "Keyword is too long")
		}
		f.Keywords = append(f.Keywords, name)
	}
	return f, nil
}

func systemFlag(name string) uint8 {
	for _, f := range systemFlags {
		if strings.EqualFold(f.name, name) {
			return f.bit
		}
	}
	return 0
}

// appendFlagList appends flags in parentheses.
func appendFlagList(b []byte, f storage.Flags, recent bool) []byte {
	b = append(b, '(')
	start := len(b)
	for _, sys := range systemFlags {
		if f.System&sys.bit != 0 {
			b = append(append(b, sys.name...), ' ')
		}
	}
	if recent {
		b = append(b, `\Recent `...)
	}
	for _, k := range f.Keywords {
		b = append(append(b, k...), ' ')
	}
	if len(b) > start {
		b = b[:len(b)-1]
	}
	return append(b, ')')
}

// appendFlags appends a message's flags as this session sees them.
func (s *session) appendFlags(b []byte, e storage.Entry) []byte {
	return appendFlagList(b, e.Flags, s.view.isRecent(e.UID))
}

// writeFlagLists writes FLAGS and PERMANENTFLAGS. A client may make keywords ("\*").
func (s *session) writeFlagLists(keywords []string) {
	known := storage.Flags{System: 0xff, Keywords: keywords}
	s.view.keywords = len(known.Keywords)
	list := string(appendFlagList(nil, known, false))
	s.out.printf("* FLAGS %s\r\n", list)
	if s.view.readOnly {
		s.out.printf("* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n")
		return
	}
	s.out.printf("* OK [PERMANENTFLAGS %s \\*)] Flags permitted.\r\n", strings.TrimSuffix(list, ")"))
}
