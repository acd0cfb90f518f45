package imap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"facteur/imap/wire"
	"facteur/storage"
)

// appendMessages is APPEND with MULTIAPPEND (RFC 3502), CATENATE (RFC 4469), BINARY (RFC
// 3516) and UTF8 (RFC 9755 4). Nothing is stored before the command's end has been read:
// all messages or none.
func (s *session) appendMessages(ctx context.Context, r *request) error {
	s.dec.SP()
	name := s.dec.Mailbox()
	s.dec.SP()
	if s.dec.Err() != nil {
		return s.dec.Err()
	}
	// Checked before a literal is asked for: it may be 50 MB.
	box, err := s.open(ctx, name)
	if err != nil {
		return tryCreate(err)
	}
	defer box.Release()
	up := &upload{s: s}
	defer up.discard()
	s.dec.Extend(appendLine)
	for {
		if err := up.message(ctx); err != nil {
			return err
		}
		if s.dec.Err() != nil {
			return s.dec.Err()
		}
		if len(up.msgs) > s.srv.cfg.MessageLimit {
			return s.overMessageLimit()
		}
		if !s.dec.Take(' ') || s.dec.AtEnd() {
			break
		}
	}
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	uids, err := box.Append(ctx, up.msgs)
	if err != nil {
		return err
	}
	r.hasMade(s, box, uids...)
	r.okCode = fmt.Sprintf("APPENDUID %d %s", box.Snapshot().UIDValidity, wire.AppendRanges(nil, wire.RangesOf(uids)))
	return nil
}

// appendLine is how much longer than other commands an APPEND may be, besides its messages: each has flags and
// a date of its own.
const appendLine = 1 << 20

// upload gathers the messages of an APPEND or REPLACE.
type upload struct {
	s      *session
	msgs   []storage.New
	total  int64    // octets of literals
	freed  int64    // octets of the message that REPLACE removes
	memory int      // octets of messages that are kept in memory
	file   *os.File // the other messages, one behind the other; it has no name any more
	end    int64    // where in file the next one begins
}

// message reads "[flags SP] [date-time SP] data" (RFC 4466 append-message).
func (u *upload) message(ctx context.Context) error {
	d := u.s.dec
	var msg storage.New
	if d.Peek() == '(' {
		flags, err := parseFlags(d.Flags())
		if err != nil {
			return err
		}
		msg.Flags = flags
		d.SP()
	}
	if d.Peek() == '"' {
		msg.Internal = d.DateTime()
		d.SP()
	}
	if msg.Internal.IsZero() {
		msg.Internal = u.s.srv.cfg.Now().Truncate(time.Second)
	}
	body := &spool{u: u}
	if err := u.data(ctx, body); err != nil || d.Err() != nil {
		return err
	}
	if body.size == 0 {
		return no("CANNOT", "Can't save an empty message") // RFC 3502 4: cancels the command
	}
	msg.Body, msg.Size = body.done(), body.size
	u.msgs = append(u.msgs, msg)
	return nil
}

// data reads a literal, "UTF8 (literal8)", or "CATENATE (...)".
func (u *upload) data(ctx context.Context, body *spool) error {
	d := u.s.dec
	if d.AtLiteral() {
		return u.literal(body)
	}
	switch word := d.Keyword(); word {
	case "UTF8":
		if !u.s.utf8 && !u.s.rev2 {
			return bad("UTF8 is not enabled")
		}
		d.SP()
		d.Open()
		if err := u.literal(body); err != nil {
			return err
		}
	case "CATENATE":
		d.SP()
		d.Open()
		for d.Err() == nil {
			if err := u.part(ctx, body); err != nil {
				return err
			}
			if !d.Take(' ') {
				break
			}
		}
	default:
		d.Fail("expected a literal")
	}
	if !d.Close() {
		d.Fail("expected a parenthesis")
	}
	return nil
}

// literal streams a literal into body, unless it is more than a message may be.
func (u *upload) literal(body *spool) error {
	d := u.s.dec
	h := d.Header()
	if d.Err() != nil {
		return nil
	}
	if h.Size > u.s.appendLimit()-body.size { // their sum may be more than 2^63-1
		// RFC 7889 4: not asked for, so that nothing is sent in vain.
		return no("TOOBIG", "Message is too big")
	}
	if err := u.s.mayGrow(u.total + h.Size - u.freed); err != nil {
		return err
	}
	u.total += h.Size
	var nul nulFinder
	if _, err := io.Copy(io.MultiWriter(body, &nul), d.Literal(h)); err != nil {
		if d.Err() != nil {
			return d.Err()
		}
		return fmt.Errorf("spool an appended message: %w", err)
	}
	if nul.found && !h.Binary {
		return no("CANNOT", "Message has NUL in it: use literal8")
	}
	return nil
}

func (u *upload) discard() {
	if u.file != nil {
		u.file.Close()
	}
}

// open makes the file, unless it is there.
func (u *upload) open() error {
	if u.file != nil {
		return nil
	}
	f, err := os.CreateTemp(u.s.srv.cfg.SpoolDir, "facteur-append-")
	if err != nil {
		return err
	}
	u.file = f
	return os.Remove(f.Name())
}

// nulFinder looks for NUL octets.
type nulFinder struct{ found bool }

func (n *nulFinder) Write(p []byte) (int, error) {
	n.found = n.found || bytes.IndexByte(p, 0) >= 0
	return len(p), nil
}

// mayGrow refuses in advance what would be over quota.
func (s *session) mayGrow(by int64) error {
	quota := s.acct.Quota()
	if quota.Bytes == 0 {
		return nil
	}
	usage, err := s.acct.Usage(context.Background())
	if err != nil {
		return err
	}
	if usage.Bytes+by > quota.Bytes {
		return storage.ErrOverQuota
	}
	return nil
}

// spool is a message on its way in: in memory, as long as all messages of the command have
// no more than spoolAt octets there, and then in the upload's file.
type spool struct {
	u     *upload
	mem   []byte
	filed bool
	size  int64
}

const spoolAt = 1 << 20

func (b *spool) Write(p []byte) (int, error) {
	if !b.filed && b.u.memory+len(b.mem)+len(p) > spoolAt {
		if err := b.u.open(); err != nil {
			return 0, err
		}
		if _, err := b.u.file.Write(b.mem); err != nil {
			return 0, err
		}
		b.mem, b.filed = nil, true
	}
	b.size += int64(len(p))
	if b.filed {
		return b.u.file.Write(p)
	}
	b.mem = append(b.mem, p...)
	return len(p), nil
}

// done returns the message, which is complete.
func (b *spool) done() io.Reader {
	if !b.filed {
		b.u.memory += len(b.mem)
		return bytes.NewReader(b.mem)
	}
	start := b.u.end
	b.u.end += b.size
	return io.NewSectionReader(b.u.file, start, b.size)
}
