package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// alwaysCaps are shown before and after login. LITERAL+ allows all that LITERAL- does, and only
// one of the two may be shown (RFC 7888 5).
var alwaysCaps = []string{
	"IMAP4rev1", "IMAP4rev2", "LITERAL+", "SASL-IR", "ENABLE", "ID", "IDLE",
}

// loggedInCaps are shown after login. Each stands for code and a dialogue in testdata.
var loggedInCaps = []string{
	"NAMESPACE", "UNSELECT", "CHILDREN", "UIDPLUS", "MULTIAPPEND", "CATENATE", "BINARY",
	"ESEARCH", "SEARCHRES", "WITHIN", "PARTIAL", "MULTISEARCH",
	"CONTEXT=SEARCH", "SORT", "SORT=DISPLAY", "ESORT",
	"THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES",
	"MOVE", "REPLACE", "CONDSTORE", "QRESYNC", "UIDONLY", "UIDBATCHES",
	"LIST-EXTENDED", "LIST-STATUS", "LIST-METADATA", "SPECIAL-USE", "CREATE-SPECIAL-USE",
	"STATUS=SIZE", "QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE",
	"METADATA", "SAVEDATE", "PREVIEW", "OBJECTID", "NOTIFY", "INPROGRESS",
	"UTF8=ACCEPT", "UNAUTHENTICATE",
}

// Optional lists the capabilities that can be switched off for an account (Config.NoCaps).
func Optional() []string {
	return append([]string{"IMAP4rev2", "ENABLE", "ID", "IDLE", "COMPRESS=DEFLATE"}, loggedInCaps...)
}

// capabilities lists what this session may use now.
func (s *session) capabilities() []string {
	caps := slices.Clone(alwaysCaps)
	if s.state == notAuthenticated {
		if s.tls == nil && s.srv.cfg.TLS != nil {
			caps = append(caps, "STARTTLS")
		}
		for _, m := range s.srv.cfg.Auth.Mechanisms(s.client(), s.srv.cfg.PlainAuth) {
			caps = append(caps, "AUTH="+m)
		}
		if !s.mayLogIn() {
			caps = append(caps, "LOGINDISABLED")
		}
		return caps
	}
	caps = append(caps, loggedInCaps...)
	caps = append(caps, fmt.Sprintf("APPENDLIMIT=%d", s.appendLimit()))
	caps = append(caps, fmt.Sprintf("MESSAGELIMIT=%d", s.srv.cfg.MessageLimit))
	if s.inflater == nil { // RFC 4978 3: not twice
		caps = append(caps, "COMPRESS=DEFLATE")
	}
	return slices.DeleteFunc(caps, s.switchedOff)
}

// switchedOff reports whether this account doesn't get a capability: it isn't shown, and its
// commands are unknown.
func (s *session) switchedOff(capability string) bool {
	return slices.ContainsFunc(s.noCaps, func(off string) bool { return strings.EqualFold(capability, off) })
}

// appendLimit stays below 2^53: imapflow reads more as 0 and refuses to append.
func (s *session) appendLimit() int64 { return min(s.srv.cfg.MaxMessage, 1<<53-1) }

func (s *session) capability(_ context.Context, _ *request) error {
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	s.out.printf("* CAPABILITY %s\r\n", strings.Join(s.capabilities(), " "))
	return nil
}

func (s *session) noop(_ context.Context, _ *request) error {
	s.dec.End()
	return s.dec.Err()
}

// enable is RFC 5161: what is unknown is passed over. ENABLED is sent always, and with what was on already:
// what it doesn't list was not enabled (3.2), and CONDSTORE goes on by itself.
func (s *session) enable(_ context.Context, _ *request) error {
	var names []string
	for len(names) == 0 || s.dec.Take(' ') {
		if len(names) == 0 {
			s.dec.SP()
		}
		names = append(names, s.dec.Keyword())
		if s.dec.Err() != nil {
			return s.dec.Err()
		}
	}
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	enabled := "* ENABLED"
	for _, name := range names {
		if s.enableOne(name) {
			enabled += " " + canonical(name)
		}
	}
	s.out.printf("%s\r\n", enabled)
	return nil
}

func (s *session) enableOne(name string) bool {
	var on *bool
	switch name {
	case "CONDSTORE":
		on = &s.condstore
	case "QRESYNC":
		on = &s.qresync
	case "UTF8=ACCEPT":
		on = &s.utf8
	case "IMAP4REV2":
		on = &s.rev2
	case "UIDONLY":
		on = &s.uidOnly
	default:
		return false
	}
	if s.switchedOff(name) {
		return false
	}
	if *on {
		return true
	}
	*on = true
	if name == "QRESYNC" && !s.condstore { // RFC 7162 3.2.3
		s.useCondstore()
	}
	if name == "CONDSTORE" {
		s.tellHighest()
	}
	return true
}

// canonical spells a capability as CAPABILITY does.
func canonical(name string) string {
	if name == "IMAP4REV2" {
		return "IMAP4rev2"
	}
	return name
}

// useCondstore switches CONDSTORE on at its first use (RFC 7162 3.1).
func (s *session) useCondstore() {
	if s.condstore {
		return
	}
	s.condstore = true
	s.tellHighest()
}

// tellHighest: a client that switches CONDSTORE on with a mailbox selected has to be told
// where that one stands (RFC 7162 3.1.2.1).
func (s *session) tellHighest() {
	if s.view != nil {
		s.out.printf("* OK [HIGHESTMODSEQ %d] Highest\r\n", s.view.snap.HighestModSeq)
	}
}
