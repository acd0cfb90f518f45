package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"
)

// twoServers starts a second server on the folder of the first, which has to refuse and leave the
// first one alone.
func twoServers(ctx context.Context, t *trial) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	second := t.serverCommand(ctx)
	second.Args = append(second.Args, "--shift", "31000")
	out, err := second.CombinedOutput()
	if err == nil {
		return errors.New("the second server started")
	}
	if !strings.Contains(string(out), t.dir) && !strings.Contains(string(out), fmt.Sprint(t.cmd.Process.Pid)) {
		return fmt.Errorf("the second server doesn't say who holds the folder: %s", out)
	}
	if _, err := login(bob); err != nil {
		return fmt.Errorf("the first server after that: %w", err)
	}
	return t.stop()
}

// damagedDatabases takes away, cuts short and overwrites the databases of a stopped server. An index comes back by
// itself with the same UIDs; a damaged server.db or queue.db is explained and left as it is.
func damagedDatabases(ctx context.Context, t *trial) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	l := &load{ledger: newLedger()}
	for range 5 {
		if err := l.mx(ctx, t.rnd); err != nil {
			return err
		}
		if err := l.append(ctx, t.rnd); err != nil {
			return err
		}
	}
	before, err := fingerprint(bob)
	if err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	index := filepath.Join(t.dir, "mail/demo.test/bob/index.db")
	for _, d := range damages {
		if err := d.do(index); err != nil {
			return err
		}
		if err := t.start(ctx); err != nil {
			return fmt.Errorf("index.db %s: %w", d.name, err)
		}
		after, err := fingerprint(bob)
		if err != nil {
			return fmt.Errorf("index.db %s: %w", d.name, err)
		}
		if after != before {
			return fmt.Errorf("index.db %s: mailboxes changed:\n%s\nwas\n%s", d.name, after, before)
		}
		if err := t.stop(); err != nil {
			return err
		}
		if err := t.verify(ctx); err != nil {
			return fmt.Errorf("index.db %s: %w", d.name, err)
		}
	}
	return t.damagedServerDB(ctx)
}

// damagedServerDB: the accounts can't be made up again, so the server must say what is wrong, and not
// start with nobody in it.
func (t *trial) damagedServerDB(ctx context.Context) error {
	path := filepath.Join(t.dir, "server.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, d := range damages[1:] {
		if err := d.do(path); err != nil {
			return err
		}
		damaged, _ := os.ReadFile(path)
		out, err := t.serverCommand(ctx).CombinedOutput()
		if err == nil {
			return fmt.Errorf("server.db %s: the server ran", d.name)
		}
		if !strings.Contains(string(out), "server.db") || strings.Contains(string(out), "goroutine ") {
			return fmt.Errorf("server.db %s: not explained: %s", d.name, out)
		}
		if now, _ := os.ReadFile(path); string(now) != string(damaged) {
			return fmt.Errorf("server.db %s: the server changed it", d.name)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			return err
		}
	}
	return nil
}

var damages = []struct {
	name string
	do   func(path string) error
}{
	{"missing", func(p string) error { removeWAL(p); return os.Remove(p) }},
	{"overwritten", func(p string) error {
		removeWAL(p)
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(strings.Repeat("no database ", 1000)), 0)
		return errors.Join(err, f.Close())
	}},
	{"cut short", func(p string) error { removeWAL(p); return os.Truncate(p, 5000) }},
	{"of the future", func(p string) error { // user_version is at offset 60 of the header
		removeWAL(p)
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte{0, 0x7f, 0, 0}, 60)
		return errors.Join(err, f.Close())
	}},
}

func removeWAL(path string) {
	os.Remove(path + "-wal")
	os.Remove(path + "-shm")
}

// fingerprint writes down what a client can know of an account: names, UIDVALIDITY, UIDs, flags, sizes.
func fingerprint(user string) (string, error) {
	c, err := login(user)
	if err != nil {
		return "", err
	}
	defer c.Close()
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, box := range boxes {
		data, err := c.Select(box.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %d %d\n", box.Mailbox, data.UIDValidity, data.UIDNext)
		if data.NumMessages == 0 {
			continue
		}
		var all imap.SeqSet
		all.AddRange(1, 0)
		msgs, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, RFC822Size: true, InternalDate: true, Envelope: true}).Collect()
		if err != nil {
			return "", err
		}
		for _, m := range msgs {
			// Whom \Recent was shown to is known to the index alone (RFC 3501 2.3.2 lets a server be unsure).
			m.Flags = slices.DeleteFunc(m.Flags, func(f imap.Flag) bool { return f == "\\Recent" })
			fmt.Fprintf(&b, "  %d %v %d %s %s\n", m.UID, m.Flags, m.RFC822Size, m.InternalDate.UTC(), m.Envelope.Subject)
		}
	}
	return b.String(), nil
}

// fullDisk fills a small disk with mail. The server must say so with 452 and NO, still expunge, and take mail
// again without a restart once there is room.
func fullDisk(ctx context.Context, t *trial) error {
	if err := t.smallDisk("size=170m"); err != nil { // the low-water mark is 100 MiB
		return err
	}
	defer func() { t.kill(); _ = syscall.Unmount(t.dir, 0) }()
	if err := t.start(ctx); err != nil {
		return err
	}
	l := &load{ledger: newLedger()}
	big := strings.Repeat("x", 70) + "\r\n"
	big = strings.Repeat(big, (1<<20)/len(big))
	deliver := func() error {
		c, err := smtp.Dial(mxAddr)
		if err != nil {
			return err
		}
		defer c.Close()
		subject := l.ledger.offer(bob, "big")
		err = c.SendMail("friend@elsewhere.test", []string{bob}, strings.NewReader("Subject: "+subject+"\r\n\r\n"+big))
		if err == nil {
			l.ledger.stored(subject)
		}
		return err
	}
	var refused error
	for range 200 {
		if refused = deliver(); refused != nil {
			break
		}
	}
	var smtpErr *smtp.SMTPError
	if !errors.As(refused, &smtpErr) || smtpErr.Code != 452 {
		return fmt.Errorf("a full disk was answered with %v, not 452", refused)
	}
	if err := appendBig(big); err == nil || !strings.Contains(err.Error(), "OVERQUOTA") && !strings.Contains(err.Error(), "LIMIT") {
		return fmt.Errorf("APPEND on a full disk was answered with %v", err)
	}
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := expungeAll(l); err != nil {
		return fmt.Errorf("EXPUNGE on a full disk: %w", err)
	}
	if err := deliver(); err != nil {
		return fmt.Errorf("after room was made: %w", err)
	}
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	return t.verify(ctx)
}

func appendBig(text string) error {
	c, err := login(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	return appendTo(c, "INBOX", text)
}

func expungeAll(l *load) error {
	c, err := login(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	if err := c.Store(all, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		return err
	}
	if _, err := c.Expunge().Collect(); err != nil {
		return err
	}
	l.ledger.mu.Lock()
	defer l.ledger.mu.Unlock()
	for _, f := range l.ledger.state {
		f.gone = removed
	}
	return nil
}

// smallDisk mounts a tmpfs as the data folder.
func (t *trial) smallDisk(options string) error {
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", t.dir, "tmpfs", 0, options)
}

// readOnlyDisk turns the disk read-only under a running server: it must refuse with a 4xx, keep serving what
// can be read, and work again when the disk does.
func readOnlyDisk(ctx context.Context, t *trial) error {
	if err := t.smallDisk("size=400m"); err != nil {
		return err
	}
	defer func() { t.kill(); _ = syscall.Unmount(t.dir, syscall.MNT_DETACH) }()
	if err := t.start(ctx); err != nil {
		return err
	}
	l := &load{ledger: newLedger()}
	if err := l.mx(ctx, t.rnd); err != nil {
		return err
	}
	// A tmpfs with files open for writing can't be made read-only; one whose limit is what it holds now can't be written.
	if err := t.noRoom(); err != nil {
		return err
	}
	err := l.mx(ctx, t.rnd)
	var smtpErr *smtp.SMTPError
	if !errors.As(err, &smtpErr) || smtpErr.Code/100 != 4 {
		return fmt.Errorf("a disk that takes nothing was answered with %v, not a 4xx", err)
	}
	if err := l.ledger.check(bob); err != nil {
		return fmt.Errorf("reading from a disk that takes nothing: %w", err)
	}
	if err := syscall.Mount("tmpfs", t.dir, "tmpfs", syscall.MS_REMOUNT, "size=400m"); err != nil {
		return err
	}
	if err := l.mx(ctx, t.rnd); err != nil {
		return fmt.Errorf("after the disk works again: %w", err)
	}
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	return t.verify(ctx)
}

// noRoom shrinks the tmpfs to what it holds.
func (t *trial) noRoom() error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(t.dir, &s); err != nil {
		return err
	}
	used := int64(s.Blocks-s.Bfree) * s.Bsize
	return syscall.Mount("tmpfs", t.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", used))
}
