package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// twoServers starts a second server on the folder of the first, which has to refuse and leave the
// first one alone.
func twoServers(ctx context.Context, t *trial) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	elsewhere, err := freeSite()
	if err != nil {
		return err
	}
	out, err := t.serverCommand(ctx, elsewhere).CombinedOutput()
	if err == nil {
		return errors.New("the second server started")
	}
	if !strings.Contains(string(out), t.dir) && !strings.Contains(string(out), fmt.Sprint(t.cmd.Process.Pid)) {
		return fmt.Errorf("the second server doesn't say who holds the folder: %s", out)
	}
	if _, err := t.login(bob); err != nil {
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
	l := newLoad(t.site)
	for range 5 {
		if err := l.mx(ctx, t.rnd); err != nil {
			return err
		}
		if err := l.append(ctx, t.rnd); err != nil {
			return err
		}
	}
	before, err := t.fingerprint(bob)
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
		after, err := t.fingerprint(bob)
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
	return errors.Join(t.damagedForGood(ctx, "server.db"), t.damagedForGood(ctx, "queue.db"))
}

// damagedForGood damages a database that can't be made up again: who has an account, and what was promised to
// others. The server must say what is wrong and not start, leave the file as it is, and run again on the
// whole one.
func (t *trial) damagedForGood(ctx context.Context, name string) error {
	path := filepath.Join(t.dir, name)
	whole, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, d := range damages[1:] {
		if err := d.do(path); err != nil {
			return err
		}
		damaged, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, 20*time.Second) // one that runs is no refusal
		out, err := t.serverCommand(limited, t.site).CombinedOutput()
		cancel()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !exit.Exited() {
			return fmt.Errorf("%s %s: the server ran: %v", name, d.name, err)
		}
		if !strings.Contains(string(out), name) || !strings.Contains(string(out), "backup") || strings.Contains(string(out), "goroutine ") {
			return fmt.Errorf("%s %s: not explained: %s", name, d.name, out)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, damaged) {
			return fmt.Errorf("%s %s: the server changed it (%v)", name, d.name, err)
		}
		removeWAL(path)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			return err
		}
	}
	if err := t.start(ctx); err != nil {
		return fmt.Errorf("with the whole %s again: %w", name, err)
	}
	return t.stop()
}

var damages = []struct {
	name string
	do   func(path string) error
}{
	{"missing", func(p string) error { removeWAL(p); return os.Remove(p) }},
	{"overwritten", func(p string) error { return overwrite(p, []byte(strings.Repeat("no database ", 1000)), 0) }},
	{"cut short", func(p string) error { removeWAL(p); return os.Truncate(p, 5000) }},
	{"of the future", func(p string) error { return overwrite(p, []byte{0, 0x7f, 0, 0}, 60) }}, // user_version, in the header
}

func overwrite(path string, octets []byte, at int64) error {
	removeWAL(path)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(octets, at)
	return errors.Join(err, f.Close())
}

func removeWAL(path string) {
	os.Remove(path + "-wal")
	os.Remove(path + "-shm")
}

// fingerprint writes down what a client can know of an account: names, UIDVALIDITY, UIDs, flags, sizes.
func (s site) fingerprint(user string) (string, error) {
	c, err := s.login(user)
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
