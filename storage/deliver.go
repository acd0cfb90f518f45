package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"facteur/storage/maildir"
	"facteur/storage/message"
)

// Deliver stores a message durably in all its mailboxes (hard links of one file
// where there are several), and wakes the watchers. Quota is checked first. On error
// nothing is left on disk. It blocks on fsync.
//
// The steps are numbered in maildir/write.go.
func (a *Account) Deliver(ctx context.Context, d Delivery) ([]Stored, error) {
	size := int64(len(d.Prefix)) + d.BodySize
	to, release, err := a.deliverTo(ctx, d, size)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := a.s.Free(); err != nil {
		return nil, err
	}
	giveBack, err := a.claim(int64(len(to)), size*int64(len(to)), d.OverQuota)
	if err != nil {
		return nil, err
	}
	defer giveBack()

	msg := New{Body: io.MultiReader(bytes.NewReader(d.Prefix), io.NewSectionReader(d.Body, 0, d.BodySize)), Size: size, Flags: d.Flags, Internal: d.Internal}
	one, err := a.write(msg) // steps 1 and 2
	if err != nil {
		return nil, err
	}
	stored := make([]Stored, 0, len(to))
	for i, m := range to {
		arr := *one
		arr.link = i < len(to)-1
		if err := m.commit(ctx, &batch{arrivals: []*arrival{&arr}}); err != nil { // steps 3 and 4
			one.in.Abandon()
			for j := range stored {
				to[j].takeBack(stored[j].UID)
			}
			return nil, err
		}
		stored = append(stored, Stored{Mailbox: m.Name(), UIDValidity: m.validity, UID: arr.uid, Path: arr.path})
	}
	return stored, nil
}

// deliverTo opens the mailboxes of a delivery, each once, and makes those that are
// missing.
func (a *Account) deliverTo(ctx context.Context, d Delivery, size int64) (to []*Mailbox, release func(), err error) {
	release = func() {
		for _, m := range to {
			m.Release()
		}
	}
	if len(d.Mailboxes) == 0 {
		return nil, nil, fmt.Errorf("delivery to no mailbox: %w", ErrName)
	}
	if size > maxMessage {
		return nil, nil, fmt.Errorf("message of %d octets: %w", size, ErrLimit)
	}
	for _, name := range d.Mailboxes {
		m, err := a.mailboxForDelivery(ctx, name)
		if err != nil {
			release()
			return nil, nil, err
		}
		if containsMailbox(to, m) {
			m.Release()
			continue
		}
		to = append(to, m)
	}
	return to, release, nil
}

func containsMailbox(list []*Mailbox, m *Mailbox) bool {
	for _, o := range list {
		if o == m {
			return true
		}
	}
	return false
}

// arrival is a message between tmp and the table.
type arrival struct {
	in       *maildir.Incoming
	link     bool // it goes to another mailbox too
	flags    Flags
	size     int64
	internal int64
	saved    int64
	email    string
	summary  []byte
	refs     references

	uid  UID
	path string
}

// smallMessage is up to what size a message is read into memory before it is written.
const smallMessage = 1 << 20

// write does steps 1 and 2: the message is in tmp, and durable once renamed. Its summary is
// worked out on the way.
func (a *Account) write(msg New) (*arrival, error) {
	now := a.s.cfg.Now()
	internal := msg.Internal
	if internal.IsZero() {
		internal = now
	}
	internal = time.Unix(internal.Unix(), 0)
	base := maildir.NewBase(now, uniqueFor(msg.EmailID), a.s.host)
	in, err := maildir.Begin(a.fs, base)
	if err != nil {
		return nil, diskError(err)
	}
	sum, err := a.fill(in, msg)
	if err == nil {
		err = in.Sync(internal)
	}
	if err != nil {
		in.Abandon()
		return nil, diskError(err)
	}
	return &arrival{
		in: in, flags: msg.Flags, size: in.Size, internal: internal.Unix(), saved: now.Unix(),
		email: emailID(base), summary: sum.AppendBinary(nil), refs: referencesOf(&sum.Envelope),
	}, nil
}

// fill writes the message into tmp and summarizes it, from memory when it is small.
func (a *Account) fill(in *maildir.Incoming, msg New) (*message.Summary, error) {
	if msg.Size < 0 || msg.Size > smallMessage {
		if _, err := io.Copy(in, msg.Body); err != nil {
			return nil, err
		}
		if msg.Size >= 0 && in.Size != msg.Size {
			return nil, fmt.Errorf("message of %d octets has %d: %w", msg.Size, in.Size, io.ErrUnexpectedEOF)
		}
		if in.Size > maxMessage {
			return nil, fmt.Errorf("message of %d octets: %w", in.Size, ErrLimit)
		}
		return a.s.summarize(in, in.Size)
	}
	buf := a.s.buffers.Get().(*bytes.Buffer)
	defer a.s.buffers.Put(buf)
	buf.Reset()
	buf.Grow(int(msg.Size) + bytes.MinRead)
	n, err := buf.ReadFrom(msg.Body)
	if err != nil {
		return nil, err
	}
	if n != msg.Size {
		return nil, fmt.Errorf("message of %d octets has %d: %w", msg.Size, n, io.ErrUnexpectedEOF)
	}
	if _, err := in.Write(buf.Bytes()); err != nil {
		return nil, err
	}
	return a.s.summarize(bytes.NewReader(buf.Bytes()), n)
}

// Append stores messages durably in the order given, all or none, and returns their
// UIDs. Quota is checked. It blocks on fsync.
func (m *Mailbox) Append(ctx context.Context, msgs []New) ([]UID, error) {
	b, giveBack, err := m.writeAll(msgs, Usage{})
	if err != nil {
		return nil, err
	}
	defer giveBack()
	if err := m.commit(ctx, b); err != nil {
		b.abandon()
		return nil, err
	}
	return b.uids(), nil
}

// writeAll does steps 1 and 2 for messages that belong together. freed is what the account gets back by the
// same change.
func (m *Mailbox) writeAll(msgs []New, freed Usage) (b *batch, giveBack func(), err error) {
	if err := m.a.s.Free(); err != nil {
		return nil, nil, err
	}
	b = &batch{}
	var claims []func()
	giveBack = func() {
		for _, f := range claims {
			f()
		}
	}
	for _, msg := range msgs {
		var arr *arrival
		f, err := m.a.claim(1-freed.Messages, max(msg.Size-freed.Bytes, 0), false)
		if err == nil {
			claims = append(claims, f)
			arr, err = m.a.write(msg)
		}
		if err != nil {
			b.abandon()
			giveBack()
			return nil, nil, err
		}
		b.arrivals = append(b.arrivals, arr)
	}
	return b, giveBack, nil
}
