package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"facteur/admin"
	"facteur/storage/message"
)

// migration copies mailboxes one after the other. What must stay true: the old server is only read (EXAMINE, BODY.PEEK);
// a message is in memory only in pieces; what of a message is compared is the same on both sides, so that a
// second run copies nothing twice, and in doubt a message is copied, not left out; the old server's names and words are
// quoted where a person reads them, since they may hold what moves a terminal's cursor.
type migration struct {
	service  admin.Service
	old      *oldConn
	account  string
	known    []admin.Mailbox // of the account, as it was
	progress io.Writer
	seen     map[fingerprint]bool // in the mailboxes that are done; nil: nobody will ask
	done     migrated
}

// migrated is what "migrate --json" prints.
type migrated struct {
	Account   string            `json:"account"`
	Copied    int               `json:"copied"`
	Present   int               `json:"present"` // here already
	Bytes     int64             `json:"bytes"`   // of those copied
	Mailboxes []migratedMailbox `json:"mailboxes"`
	Refused   []refusedMessage  `json:"refused"`
}

type migratedMailbox struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Copied  int    `json:"copied"`
	Present int    `json:"present"`
}

// refusedMessage stays behind; so does a whole mailbox where the UID is 0.
type refusedMessage struct {
	Mailbox string   `json:"mailbox"`
	UID     imap.UID `json:"uid,omitempty"`
	Size    int64    `json:"size,omitempty"`
	Why     string   `json:"why"`
}

// oldMessage is a message of the old server.
type oldMessage struct {
	uid      imap.UID
	flags    []string
	internal time.Time
	size     int64 // RFC822.SIZE: what the server says, which may be wrong
	id       string
}

// batch is how many messages are looked at, and then copied, in one command.
const batch = 500

func (m *migration) run(ctx context.Context, list []oldMailbox) error {
	m.done.Mailboxes, m.done.Refused = []migratedMailbox{}, []refusedMessage{}
	if slices.ContainsFunc(list, func(box oldMailbox) bool { return box.all }) {
		m.seen = make(map[fingerprint]bool)
	}
	for _, box := range list {
		if err := m.mailbox(ctx, box); err != nil {
			return fmt.Errorf("mailbox %q: %w", box.name, err)
		}
	}
	return nil
}

// mailbox copies what is missing here, in the order of UIDs.
func (m *migration) mailbox(ctx context.Context, box oldMailbox) error {
	count := migratedMailbox{From: box.name, To: box.to}
	_, err := m.old.Select(box.name, &imap.SelectOptions{ReadOnly: true}).Wait()
	var refused *imap.Error
	if errors.As(err, &refused) {
		m.refuse(refusedMessage{Mailbox: box.name, Why: fmt.Sprintf("the old server does not open it: %q", refused.Text)})
		return nil
	}
	if err != nil {
		return m.old.failed("open it", err)
	}
	if ok, err := m.makeMailbox(ctx, box); !ok {
		return err
	}
	held, err := m.held(ctx, box.to)
	if err != nil {
		return err
	}
	all, err := m.old.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		return m.old.failed("list its messages", err)
	}
	uids := all.AllUIDs()
	slices.Sort(uids)
	for part := range slices.Chunk(uids, batch) {
		missing, err := m.missing(part, held, box)
		if err != nil {
			return err
		}
		copied, err := m.copy(ctx, missing, box)
		count.Copied += copied
		count.Present += len(part) - len(missing)
		m.done.Copied += copied
		m.done.Present += len(part) - len(missing)
		if err != nil {
			m.done.Mailboxes = append(m.done.Mailboxes, count)
			return err
		}
		if last := part[len(part)-1]; last != uids[len(uids)-1] {
			fmt.Fprintf(m.progress, "%q: %d of %d messages done\n", box.name, count.Copied+count.Present, len(uids))
		}
	}
	m.done.Mailboxes = append(m.done.Mailboxes, count)
	fmt.Fprintf(m.progress, "%q -> %q: %d copied, %d here already\n", box.name, box.to, count.Copied, count.Present)
	return nil
}

// makeMailbox makes the mailbox that messages go to, if it is missing; ok says that it is there.
func (m *migration) makeMailbox(ctx context.Context, box oldMailbox) (ok bool, err error) {
	if slices.ContainsFunc(m.known, func(known admin.Mailbox) bool { return known.Name == box.to }) {
		return true, nil
	}
	_, err = m.service.CreateMailbox(ctx, admin.NewMailbox{Account: m.account, Name: box.to})
	switch admin.Kind(err) {
	case admin.ErrInvalid, admin.ErrRefused:
		m.refuse(refusedMessage{Mailbox: box.name, Why: err.Error()})
		return false, nil
	case admin.ErrExists: // by another mailbox that goes there, or somebody's mail program
		err = nil
	}
	return err == nil, err
}

// fingerprint is what a message is known again by: Message-ID and arrival, or size and arrival where it has no ID. The
// size of others is not asked: some servers are wrong about it.
type fingerprint [16]byte

func fingerprintOf(id string, internal time.Time, size int64) fingerprint {
	if ids := message.MessageIDs(id); len(ids) > 0 {
		id = ids[0]
	}
	if id = strings.TrimSpace(id); id == "" {
		id = fmt.Sprint(" ", size) // no ID begins with a space
	}
	sum := sha256.Sum256(fmt.Append(nil, internal.Unix(), " ", id))
	return fingerprint(sum[:16])
}

// held counts the messages that are here. Of those with the same fingerprint as many are copied as there are
// more on the old server.
func (m *migration) held(ctx context.Context, mailbox string) (map[fingerprint]int, error) {
	held := make(map[fingerprint]int)
	for q := (admin.HeldQuery{Account: m.account, Mailbox: mailbox}); ; {
		list, err := m.service.Held(ctx, q)
		if err != nil || len(list) == 0 {
			return held, err
		}
		for _, h := range list {
			held[fingerprintOf(h.MessageID, h.Internal, h.Size)]++
		}
		q.After = list[len(list)-1].UID
	}
}

// missing looks at messages of the old server and returns those that are not here, by ascending UID.
func (m *migration) missing(uids []imap.UID, held map[fingerprint]int, box oldMailbox) ([]oldMessage, error) {
	fetch := m.old.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, RFC822Size: true,
		BodySection: []*imap.FetchItemBodySection{{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Message-ID"}, Peek: true}},
	})
	var found []oldMessage
	for data := fetch.Next(); data != nil; data = fetch.Next() {
		found = append(found, readOldMessage(data))
	}
	if err := fetch.Close(); err != nil {
		return nil, m.old.failed("look at its messages", err)
	}
	slices.SortFunc(found, func(a, b oldMessage) int { return cmp.Compare(a.uid, b.uid) })
	return slices.DeleteFunc(found, func(msg oldMessage) bool {
		f := fingerprintOf(msg.id, msg.internal, msg.size)
		switch {
		case box.all && m.seen[f]:
			return true
		case !box.all && m.seen != nil:
			m.seen[f] = true
		}
		if held[f] > 0 {
			held[f]--
			return true
		}
		return false
	}), nil
}

func readOldMessage(data *imapclient.FetchMessageData) (msg oldMessage) {
	for item := data.Next(); item != nil; item = data.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			msg.uid = item.UID
		case imapclient.FetchItemDataFlags:
			for _, f := range item.Flags {
				msg.flags = append(msg.flags, string(f))
			}
		case imapclient.FetchItemDataInternalDate:
			msg.internal = item.Time
		case imapclient.FetchItemDataRFC822Size:
			msg.size = item.Size
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				continue
			}
			// An error ends the whole FETCH, and is seen there.
			header, _ := io.ReadAll(io.LimitReader(item.Literal, 64<<10))
			if ids := message.Values(header, "Message-ID"); len(ids) > 0 {
				msg.id = ids[len(ids)-1] // the last counts here too
			}
		}
	}
	return msg
}

// copy fetches messages and stores them one by one as they come.
func (m *migration) copy(ctx context.Context, list []oldMessage, box oldMailbox) (copied int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	var set imap.UIDSet
	waiting := make(map[imap.UID]oldMessage)
	for _, msg := range list {
		set.AddNum(msg.uid)
		waiting[msg.uid] = msg
	}
	fetch := m.old.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	for data := fetch.Next(); data != nil; data = fetch.Next() {
		uid, stored, err := m.copyOne(ctx, data, waiting, box)
		if err != nil {
			m.old.hangUp() // or Close would fetch all the others first
			_ = fetch.Close()
			return copied, err
		}
		if stored {
			copied++
		}
		delete(waiting, uid)
	}
	if err := fetch.Close(); err != nil {
		return copied, m.old.failed("fetch its messages", err)
	}
	for _, msg := range waiting {
		m.refuse(refusedMessage{box.name, msg.uid, msg.size, "the old server did not send it: it may have been deleted meanwhile"})
	}
	return copied, nil
}

// copyOne stores the message of one FETCH response. The UID comes before the octets: the client asks so, and
// passes over what comes otherwise.
func (m *migration) copyOne(ctx context.Context, data *imapclient.FetchMessageData, waiting map[imap.UID]oldMessage, box oldMailbox) (uid imap.UID, stored bool, err error) {
	for item := data.Next(); item != nil; item = data.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = item.UID
		case imapclient.FetchItemDataBodySection:
			msg, ok := waiting[uid]
			if !ok || item.Literal == nil {
				continue
			}
			body := &countingReader{r: item.Literal}
			size := item.Literal.Size()
			_, err := m.service.Append(ctx, admin.NewMessage{Account: m.account, Mailbox: box.to, Flags: msg.flags, Internal: msg.internal, Size: size, Body: body})
			switch {
			case err == nil:
				stored = true
				m.done.Bytes += size
			case admin.Kind(err) == admin.ErrRefused:
				m.refuse(refusedMessage{box.name, uid, size, err.Error()})
			case admin.Kind(err) == admin.ErrOverQuota:
				return uid, false, fmt.Errorf("UID %d: %w; \"facteur account quota\" changes it, then run the same command again", uid, err)
			case body.err != nil && body.n < size:
				return uid, false, m.old.failed(fmt.Sprintf("fetch UID %d", uid), body.err)
			default:
				return uid, false, fmt.Errorf("store UID %d: %w", uid, err)
			}
			return uid, stored, nil
		}
	}
	return uid, stored, nil
}

func (m *migration) refuse(r refusedMessage) {
	m.done.Refused = append(m.done.Refused, r)
	if r.UID == 0 {
		fmt.Fprintf(m.progress, "%q left out: %s\n", r.Mailbox, r.Why)
		return
	}
	fmt.Fprintf(m.progress, "%q: UID %d (%s) left out: %s\n", r.Mailbox, r.UID, humanSize(r.Size), r.Why)
}

// countingReader remembers how far it was read, and why not further.
type countingReader struct {
	r   io.Reader
	n   int64
	err error
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}
