package queue

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"facteur/mta"
	"facteur/storage/message"
)

// report is what a delivery status notification tells (RFC 3464).
type report struct {
	original *mta.Message
	lost     bool // the original's octets can't be read: nothing of it is returned
	fates    []Fate
	now      time.Time
	giveUp   time.Time // when a delayed message would be returned

	id         mta.ID // of the notification
	hostname   string
	postmaster message.AddrSpec
}

// Bounds of what is returned of the original.
const (
	maxReturned      = 1 << 20 // with RET=FULL
	maxReturnedUnset = 100 << 10
)

// compose makes the notification as a message for the queue: from the null
// reverse-path to the original's reverse-path (RFC 3464 2).
func (q *Queue) compose(ctx context.Context, r report) *mta.Message {
	r.id, r.hostname, r.postmaster = mta.NewID(), q.cfg.Hostname, q.cfg.Postmaster
	octets, err := r.bytes()
	if err != nil {
		q.cfg.Log.Error("original not readable, DSN goes out without it", "id", r.original.ID, "error", err)
		r.lost = true
		octets, _ = r.bytes() // reads nothing now
	}
	m := &mta.Message{ID: r.id, Arrived: r.now, Body: mta.BodyBytes(octets)}
	m.Env = mta.Envelope{
		To: []mta.Recipient{{Address: r.original.Env.MailFrom, Notify: mta.NotifyNever}}, // RFC 3461 6.1
		// A REQUIRETLS message's report quotes it, so it needs the same care (RFC 8689 5).
		RequireTLS: r.original.Env.RequireTLS,
		UTF8:       r.utf8(), Encoding: mta.Encoding8BitMIME, Size: int64(len(octets)),
	}
	if q.cfg.Sign != nil {
		// Unsigned it may be taken for junk; not sent, nobody would hear of the loss.
		if m.Prefix, err = q.cfg.Sign(ctx, q.cfg.Postmaster, m); err != nil {
			q.cfg.Log.Warn("DSN goes out unsigned", "id", r.original.ID, "error", err)
			m.Prefix = nil
		}
	}
	return m
}

// utf8: the original came over SMTPUTF8, so the sender's side reads RFC 6533's forms.
func (r *report) utf8() bool { return r.original.Env.UTF8 }

// has reports whether any fate is one of actions.
func (r *report) has(actions ...Action) bool {
	return slices.ContainsFunc(r.fates, func(f Fate) bool { return slices.Contains(actions, f.Action) })
}

// bytes writes the notification: header, text for people, fields for programs, the
// original (RFC 6522 3).
func (r *report) bytes() ([]byte, error) {
	var returned []byte
	var kind string
	if !r.lost {
		var err error
		if returned, kind, err = r.returned(); err != nil {
			return nil, err
		}
	}
	status := "message/delivery-status"
	if r.utf8() {
		status = "message/global-delivery-status" // RFC 6533 4
	}
	boundary := "=_" + string(r.id)
	var b bytes.Buffer
	r.header(&b, boundary)
	part := func(contentType string, body []byte) {
		encoding := "7bit"
		if !isASCII(string(body)) {
			encoding = "8bit"
		}
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", boundary, contentType, encoding)
		b.Write(body)
		if !bytes.HasSuffix(body, []byte("\r\n")) {
			b.WriteString("\r\n")
		}
		b.WriteString("\r\n")
	}
	part("text/plain; charset=utf-8", []byte(r.text()))
	part(status, []byte(r.fields()))
	if !r.lost {
		part(kind, returned) // RFC 6522 3 leaves the choice
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes(), nil
}

func (r *report) header(b *bytes.Buffer, boundary string) {
	field := func(name, format string, args ...any) { b.WriteString(foldField(name, fmt.Sprintf(format, args...))) }
	field("From", "Mail delivery at %s <%s>", r.hostname, r.postmaster)
	field("To", "<%s>", headerAddress(r.original.Env.MailFrom, r.utf8()))
	field("Subject", "%s", r.subject())
	field("Date", "%s", r.now.Format(time.RFC1123Z))
	field("Message-ID", "<%s@%s>", r.id, r.hostname)
	if id := r.originalMessageID(); id != "" {
		field("In-Reply-To", "%s", id)
		field("References", "%s", id)
	}
	field("Auto-Submitted", "auto-replied") // RFC 3834 5
	field("MIME-Version", "1.0")
	field("Content-Type", "multipart/report; report-type=delivery-status; boundary=\"%s\"", boundary)
	b.WriteString("\r\n")
}

func (r *report) subject() string {
	switch {
	case r.has(ActionFailed):
		return "Your message could not be delivered"
	case r.has(ActionDelayed):
		return "Your message is delayed, delivery is still being tried"
	case r.has(ActionRelayed, ActionExpanded):
		return "Your message has been passed on"
	}
	return "Your message has been delivered"
}

// originalMessageID is the original's Message-ID when it looks like one.
func (r *report) originalMessageID() string {
	header, err := r.original.Body.Header()
	if err != nil || r.lost {
		return ""
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(string(header), "\r\n ", " "), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if strings.EqualFold(strings.TrimSpace(name), "Message-ID") && strings.HasPrefix(value, "<") && strings.HasSuffix(value, ">") &&
			!strings.ContainsAny(value, " \t") && isASCII(value) && len(value) < 900 {
			return value
		}
	}
	return ""
}

// fields writes the machine's part (RFC 3464 2.2, 2.3).
func (r *report) fields() string {
	var b strings.Builder
	field := func(name, value string) { b.WriteString(foldField(name, r.plain(value))) }
	if id := r.original.Env.ENVID; id != "" {
		field("Original-Envelope-Id", id)
	}
	field("Reporting-MTA", "dns; "+r.hostname)
	if hello := r.original.Peer.Hello; hello != "" && r.original.Peer.Login == "" {
		field("Received-From-MTA", "dns; "+hello)
	}
	field("Arrival-Date", r.original.Arrived.Format(time.RFC1123Z))
	for _, f := range r.fates {
		b.WriteString("\r\n")
		if f.recipient.ORCPT != "" {
			field("Original-Recipient", r.originalRecipient(f.recipient.ORCPT))
		}
		field("Final-Recipient", r.finalRecipient(f.recipient.Address))
		field("Action", string(f.Action))
		field("Status", f.status())
		if f.quoted() {
			field("Remote-MTA", "dns; "+f.Remote)
		}
		switch {
		case f.Reply == "":
		case f.quoted():
			field("Diagnostic-Code", "smtp; "+f.Reply)
		default:
			field("Diagnostic-Code", "x-facteur; "+f.Reply)
		}
		field("Last-Attempt-Date", r.now.Format(time.RFC1123Z))
		if f.Action == ActionDelayed {
			field("Will-Retry-Until", r.giveUp.Format(time.RFC1123Z))
		}
	}
	return b.String()
}

// status is the code of RFC 3463 for a fate.
func (f *Fate) status() string {
	switch {
	case f.given:
		return "5.4.7" // delivery time expired
	case f.Action.good():
		return "2.0.0"
	case f.reply == nil:
		return "4.0.0"
	case f.reply.Enhanced == [3]int{}:
		return fmt.Sprintf("%d.0.0", f.reply.Code/100)
	}
	return f.reply.Status()
}

// returned is the original, or its header, and the type of the part that holds it
// (RFC 3461 4.3, RFC 6522 2, RFC 6533 4). Only a failure returns the whole, and none of a message with REQUIRETLS
// (RFC 8689 5).
func (r *report) returned() (octets []byte, kind string, err error) {
	m := r.original
	limit := int64(maxReturnedUnset)
	if m.Env.Return == mta.ReturnFull {
		limit = maxReturned
	}
	whole := m.Env.Return != mta.ReturnHeaders && !m.Env.RequireTLS && m.Env.Encoding != mta.EncodingBinaryMIME
	if r.has(ActionFailed) && whole && m.Size() <= limit {
		octets = make([]byte, m.Size())
		n := copy(octets, m.Prefix)
		if _, err := m.Body.Reader().ReadAt(octets[n:], 0); err != nil {
			return nil, "", err
		}
		kind = "message/rfc822"
		if r.utf8() {
			kind = "message/global"
		}
		return octets, kind, nil
	}
	header, err := m.Body.Header()
	if err != nil {
		return nil, "", err
	}
	kind = "text/rfc822-headers"
	if r.utf8() {
		kind = "message/global-headers"
	}
	return append(bytes.Clone(m.Prefix), header...), kind, nil
}
