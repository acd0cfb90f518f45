package imap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"facteur/imap/wire"
	"facteur/storage"
)

// part reads one part of CATENATE: "TEXT literal" or "URL astring" (RFC 4469 5).
func (u *upload) part(ctx context.Context, body *spool) error {
	d := u.s.dec
	switch word := d.Keyword(); word {
	case "TEXT":
		d.SP()
		if d.Err() != nil {
			return nil
		}
		return u.literal(body)
	case "URL":
		d.SP()
		text := d.AString()
		if d.Err() != nil {
			return nil
		}
		err := u.copyURL(ctx, text, body)
		if err != nil && !errors.Is(err, errTooBig) {
			return no(fmt.Sprintf("BADURL \"%s\"", escapeURL(text)), "Can't resolve the URL")
		}
		return err
	default:
		d.Fail("expected TEXT or URL")
	}
	return nil
}

// escapeURL writes a URL as it fits into a response code, whatever a client has sent for one.
func escapeURL(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == ']' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

var errTooBig = no("TOOBIG", "Message is too big")

// messageURL is an IMAP URL relative to the account or the selected mailbox (RFC 5092 7.2).
type messageURL struct {
	mailbox  string // empty: the selected one
	validity uint32
	uid      storage.UID
	section  string
	partial  string // "0.100"
}

// parseURL reads "/INBOX;UIDVALIDITY=1/;UID=20/;SECTION=1.MIME/;PARTIAL=0.10".
func parseURL(text string) (messageURL, error) {
	var u messageURL
	bad := errors.New("not a message's URL")
	path, rest, ok := cutKey(text, ";UID=")
	if !ok {
		return u, bad
	}
	path = strings.TrimSuffix(path, "/")
	path, validity, hasValidity := cutKey(path, ";UIDVALIDITY=")
	if hasValidity {
		n, err := strconv.ParseUint(validity, 10, 32)
		if err != nil {
			return u, bad
		}
		u.validity = uint32(n)
	}
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return u, bad
	}
	u.mailbox = name
	uid, rest, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(uid, 10, 32)
	if err != nil || n == 0 {
		return u, bad
	}
	u.uid = storage.UID(n)
	for field := range strings.SplitSeq(rest, "/") {
		key, value, _ := strings.Cut(field, "=")
		if value, err = url.PathUnescape(value); err != nil {
			return u, bad
		}
		switch strings.ToUpper(key) {
		case "":
		case ";SECTION":
			u.section = value
		case ";PARTIAL":
			u.partial = value
		default:
			return u, bad
		}
	}
	return u, nil
}

// cutKey is strings.Cut at a key of a URL, which is written in upper or lower case: RFC 4469's examples
// have ";section=".
func cutKey(text, key string) (before, after string, found bool) {
	for i := range len(text) - len(key) + 1 {
		if strings.EqualFold(text[i:i+len(key)], key) {
			return text[:i], text[i+len(key):], true
		}
	}
	return text, "", false
}

// copyURL copies what a URL means into body.
func (u *upload) copyURL(ctx context.Context, text string, body *spool) error {
	link, err := parseURL(text)
	if err != nil {
		return err
	}
	box := (*storage.Mailbox)(nil)
	if link.mailbox == "" && u.s.view != nil {
		box = u.s.view.box
	} else {
		name := link.mailbox
		if strings.EqualFold(name, "INBOX") {
			name = "INBOX"
		}
		if box, err = u.s.open(ctx, name); err != nil {
			return err
		}
		defer box.Release()
	}
	if link.validity != 0 && link.validity != box.Snapshot().UIDValidity {
		return errors.New("UIDVALIDITY is another")
	}
	content, err := box.Open(link.uid)
	if err != nil {
		return err
	}
	defer content.Close()
	p, err := openLink(ctx, box, content, link)
	if err != nil {
		return err
	}
	if body.size+p.size > u.s.appendLimit() {
		return errTooBig
	}
	_, err = io.Copy(body, p.r)
	return err
}

// openLink opens the section that a URL names; it is written as FETCH writes it.
func openLink(ctx context.Context, box *storage.Mailbox, content storage.Content, link messageURL) (piece, error) {
	text := "[" + link.section + "]"
	if link.partial != "" {
		offset, length, ok := strings.Cut(link.partial, ".")
		if !ok {
			length = strconv.FormatInt(content.Size(), 10)
		}
		text += "<" + offset + "." + length + ">"
	}
	d := wire.NewDecoder(bufio.NewReader(strings.NewReader(text+"\r\n")), func() error { return errors.New("no literals in a URL") })
	d.Start(wire.Limits{Line: 8 << 10, Literal: 0, Depth: 5})
	item := fetchItem{attr: attrSection, section: parseSection(d)}
	item.partial = parsePartial(d)
	if d.End(); d.Err() != nil {
		return piece{}, d.Err()
	}
	for details, err := range box.Details(ctx, []storage.UID{link.uid}) {
		if err != nil {
			return piece{}, err
		}
		summary, err := box.Summary(details)
		if err != nil {
			return piece{}, err
		}
		if _, ok := item.section.extent(summary.Structure); !ok { // FETCH says "" of it, which nobody wants to send
			return piece{}, errors.New("no such part")
		}
		return openItem(item, summary.Structure, content)
	}
	return piece{}, storage.ErrGone
}
