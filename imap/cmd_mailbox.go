package imap

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"facteur/storage"
)

// mailboxArgument reads SP mailbox CRLF.
func (s *session) mailboxArgument() (string, error) {
	s.dec.SP()
	name := s.dec.Mailbox()
	s.dec.End()
	return name, s.dec.Err()
}

func (s *session) create(ctx context.Context, r *request) error {
	s.dec.SP()
	name := s.dec.Mailbox()
	uses := s.createUses()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if len(uses) > 1 {
		return no("USEATTR", "A mailbox has one special use at most")
	}
	use := ""
	if len(uses) == 1 {
		if use = specialUse(uses[0]); use == "" {
			return no("USEATTR", "Unknown special use")
		}
	}
	name, err := s.newName(name)
	if err != nil {
		return err
	}
	if err := s.acct.CreateMailbox(ctx, name, use); err != nil {
		return err
	}
	box, err := s.open(ctx, name)
	if err != nil {
		return err
	}
	defer box.Release()
	if id := box.Status().ID; id != "" { // RFC 8474 4.2
		r.okCode = "MAILBOXID (" + id + ")"
	}
	return s.ownTreeChange(ctx, name)
}

// newName is the name that a mailbox is to get. A separator at its end only announces children, and in UTF-8 it has
// to be Net-Unicode (RFC 9051 6.3.4): otherwise two names would look the same. Modified UTF-7 knows no such rule.
func (s *session) newName(name string) (string, error) {
	if (s.utf8 || s.rev2) && !norm.NFC.IsNormalString(name) {
		return "", no("CANNOT", "Mailbox name is not in Normalization Form C")
	}
	return strings.TrimSuffix(name, "/"), nil
}

// createUses reads "(USE (\Archive))" (RFC 6154 3).
func (s *session) createUses() []string {
	d := s.dec
	var uses []string
	if !d.Take(' ') || d.AtEnd() {
		return nil
	}
	d.List(func() {
		if word := d.Keyword(); word != "USE" {
			d.Fail("unknown parameter %s", word)
		}
		d.SP()
		uses = append(uses, d.Flags()...)
	})
	return uses
}

// specialUse returns a special-use attribute in its usual spelling, or "" for one that
// a mailbox can't be given.
func specialUse(name string) string {
	for _, use := range []string{`\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`} {
		if strings.EqualFold(use, name) {
			return use
		}
	}
	return ""
}

func (s *session) deleteMailbox(ctx context.Context, _ *request) error {
	name, err := s.mailboxArgument()
	if err != nil {
		return err
	}
	name = strings.TrimSuffix(name, "/")
	if err := s.acct.DeleteMailbox(ctx, name); err != nil {
		return err
	}
	if s.view != nil && s.view.box.Gone() {
		// The one who deleted it stays; others who have it selected are sent away.
		s.leaveMailbox()
		s.out.printf("* OK [CLOSED] Mailbox closed.\r\n")
	}
	return s.ownTreeChange(ctx, name)
}

func (s *session) rename(ctx context.Context, _ *request) error {
	s.dec.SP()
	from := s.dec.Mailbox()
	s.dec.SP()
	to := s.dec.Mailbox()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	from = strings.TrimSuffix(from, "/")
	to, err := s.newName(to)
	if err != nil {
		return err
	}
	if err := s.acct.RenameMailbox(ctx, from, to); err != nil {
		return err
	}
	return s.ownTreeChange(ctx, from, to)
}

func (s *session) subscribe(ctx context.Context, _ *request) error {
	return s.setSubscribed(ctx, true)
}

func (s *session) unsubscribe(ctx context.Context, _ *request) error {
	return s.setSubscribed(ctx, false)
}

func (s *session) setSubscribed(ctx context.Context, on bool) error {
	name, err := s.mailboxArgument()
	if err != nil {
		return err
	}
	name = strings.TrimSuffix(name, "/")
	if err := s.acct.Subscribe(ctx, name, on); err != nil {
		return err
	}
	return s.ownTreeChange(ctx, name)
}

// namespace: all mailboxes are the user's own (RFC 2342).
func (s *session) namespace(_ context.Context, _ *request) error {
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	s.out.printf("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")
	return nil
}

func (s *session) status(ctx context.Context, _ *request) error {
	s.dec.SP()
	name := s.dec.Mailbox()
	s.dec.SP()
	items := s.statusItems()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	return s.writeStatus(ctx, name, items)
}

// statusItems reads a list of STATUS items.
func (s *session) statusItems() []string {
	var items []string
	s.dec.List(func() {
		item := s.dec.Keyword()
		if !isStatusItem(item) {
			s.dec.Fail("unknown status item %s", item)
		}
		items = append(items, item)
	})
	if len(items) == 0 {
		s.dec.Fail("no status items")
	}
	return items
}

func isStatusItem(name string) bool {
	switch name {
	case "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE",
		"HIGHESTMODSEQ", "MAILBOXID", "APPENDLIMIT", "DELETED-STORAGE":
		return true
	}
	return false
}

// writeStatus answers STATUS for one mailbox.
func (s *session) writeStatus(ctx context.Context, name string, items []string) error {
	box, err := s.open(ctx, name)
	if err != nil {
		return err
	}
	defer box.Release()
	if slices.Contains(items, "HIGHESTMODSEQ") { // RFC 7162 3.1: a CONDSTORE enabling command
		s.useCondstore()
	}
	status := box.Status()
	if s.view != nil && s.view.box.Name() == box.Name() && !s.view.readOnly {
		status.Recent = uint32(s.view.countRecent()) // those that this session has claimed
	}
	s.putStatus(box.Name(), status, items)
	return nil
}

// putStatus writes a STATUS response.
func (s *session) putStatus(name string, st storage.Status, items []string) {
	values := make([]string, 0, len(items))
	for _, item := range items {
		values = append(values, item+" "+s.statusValue(st, item))
	}
	s.out.printf("* STATUS %s (%s)\r\n", s.mailboxText(name), strings.Join(values, " "))
}

func (s *session) statusValue(st storage.Status, item string) string {
	switch item {
	case "MESSAGES":
		return decimal(st.Messages)
	case "RECENT":
		return decimal(st.Recent)
	case "UIDNEXT":
		return decimal(st.UIDNext)
	case "UIDVALIDITY":
		return decimal(st.UIDValidity)
	case "UNSEEN":
		return decimal(st.Unseen)
	case "DELETED":
		return decimal(st.Deleted)
	case "SIZE":
		return decimal(st.Size)
	case "DELETED-STORAGE": // RFC 9208 4.1.4: in units of 1024 octets
		return decimal((st.DeletedSize + 1023) / 1024)
	case "HIGHESTMODSEQ":
		return decimal(st.HighestModSeq)
	case "MAILBOXID":
		return "(" + st.ID + ")"
	default: // APPENDLIMIT
		return decimal(s.appendLimit())
	}
}

// isMissing reports that a mailbox went away between a listing and its opening.
func isMissing(err error) bool { return errors.Is(err, storage.ErrNoMailbox) }
