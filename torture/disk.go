package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
)

// errSkip: the machine doesn't let the scenario do what it does.
var errSkip = errors.New("not possible here")

// mountDisk makes an ext4 of its own out of a file, and mounts it as the data folder. unmount it after.
func (t *trial) mountDisk(ctx context.Context, mib int64) error {
	image := t.dir + ".ext4"
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(mib<<20), f.Close(), os.MkdirAll(t.dir, 0o755)); err != nil {
		return err
	}
	if err := command(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", image); err != nil {
		return fmt.Errorf("%w: %w", errSkip, err)
	}
	if err := command(ctx, "mount", "-o", "loop,errors=remount-ro", image, t.dir); err != nil { // a container's root may not
		return fmt.Errorf("%w: %w", errSkip, err)
	}
	return nil
}

// remount takes a dead disk away and puts a copy of it in: whoever has made a mount namespace meanwhile holds the
// dead one in it, and a second mount of the same file would be that one.
func (t *trial) remount(ctx context.Context, options string) error {
	if err := syscall.Unmount(t.dir, 0); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	if err := command(ctx, "cp", "--sparse=always", t.dir+".ext4", t.dir+".copy"); err != nil {
		return err
	}
	if err := os.Rename(t.dir+".copy", t.dir+".ext4"); err != nil {
		return err
	}
	if err := command(ctx, "e2fsck", "-p", "-f", t.dir+".ext4"); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 { // 1: errors, and now there are none
			return err
		}
	}
	return command(ctx, "mount", "-o", "loop,"+options, t.dir+".ext4", t.dir)
}

// unmount ends the server and takes its disk away.
func (t *trial) unmount() {
	t.kill()
	_ = syscall.Unmount(t.dir, syscall.MNT_DETACH)
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// fullDisk fills a small disk with mail until the server takes no more, then with somebody else's file until
// nothing fits at all. The server must say so with 452 4.3.1 and NO [LIMIT], let mail be read and expunged, and
// take mail again without a restart once there is room.
func fullDisk(ctx context.Context, t *trial) error {
	if err := t.mountDisk(ctx, 180); err != nil { // the low-water mark is 100 MiB
		return err
	}
	defer t.unmount()
	if err := t.start(ctx); err != nil {
		return err
	}
	l := newLoad(t.site)
	big := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 14000)
	var err error
	for range 200 {
		if err = l.big(big); err != nil {
			break
		}
	}
	if err := noRoom("a message", err); err != nil {
		return err
	}
	if err := t.refusing(l, big); err != nil {
		return err
	}
	if err := t.inBox(bob, deleteAll); err != nil {
		return fmt.Errorf("STORE below the low-water mark: %w", err)
	}
	stranger := filepath.Join(t.dir, "stranger")
	if err := fill(stranger); err != nil {
		return err
	}
	if err := t.refusing(l, big); err != nil {
		return fmt.Errorf("with no octet left: %w", err)
	}
	if err := t.inBox(bob, expunge); err != nil {
		return fmt.Errorf("EXPUNGE with no octet left: %w", err)
	}
	l.ledger.forget(bob)
	if err := os.Remove(stranger); err != nil {
		return err
	}
	if err := l.big(big); err != nil {
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

// refusing checks that nothing new is taken by any door and what is there is served.
func (t *trial) refusing(l *load, big string) error {
	for _, port := range []int{demoPorts.mx, demoPorts.submission} {
		c, err := l.dial(port)
		if err != nil {
			return err
		}
		err = noRoom(fmt.Sprintf("MAIL at port %d", port), c.Mail(bob, nil))
		c.Close()
		if err != nil {
			return err
		}
	}
	c, err := t.login(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	var no *imap.Error
	if err := appendTo(c, "INBOX", big); !errors.As(err, &no) || no.Type != imap.StatusResponseTypeNo || no.Code != imap.ResponseCodeLimit {
		return fmt.Errorf("APPEND was answered with %v, not NO [LIMIT]", err)
	}
	return l.ledger.check(bob)
}

// noRoom says whether err is the answer of RFC 5321 4.5.3.1.10 and RFC 3463 3.4 for "system full".
func noRoom(what string, err error) error {
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || reply.Code != 452 || reply.EnhancedCode != (smtp.EnhancedCode{4, 3, 1}) {
		return fmt.Errorf("%s was answered with %v, not 452 4.3.1", what, err)
	}
	return nil
}

// fill writes a file until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, piece := range []int64{1 << 20, 1} {
		for err == nil {
			_, err = io.CopyN(f, zeros{}, piece)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return errors.Join(err, f.Close())
		}
		err = nil
	}
	return f.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// big delivers one large message to bob.
func (l *load) big(text string) error {
	c, err := l.dial(demoPorts.mx)
	if err != nil {
		return err
	}
	defer c.Close()
	subject := l.ledger.offer(bob, "big")
	err = c.SendMail("friend@elsewhere.test", []string{bob}, strings.NewReader("Subject: "+subject+"\r\n\r\n"+text))
	if err == nil {
		l.ledger.stored(subject)
	}
	return err
}

// inBox does something with a session that has INBOX selected.
func (t *trial) inBox(user string, do func(*imapclient.Client) error) error {
	c, err := t.login(user)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	return do(c)
}

func deleteAll(c *imapclient.Client) error {
	var all imap.SeqSet
	all.AddRange(1, 0)
	return c.Store(all, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close()
}

func expunge(c *imapclient.Client) error {
	_, err := c.Expunge().Collect()
	return err
}

// readOnlyDisk lets the disk of a running server turn read-only, as ext4 does when it finds an error. New mail has to
// be refused with a 4xx, what is there stays readable. Such a disk doesn't come back by itself: it is checked
// and mounted again, and then all is as before.
func readOnlyDisk(ctx context.Context, t *trial) error {
	if err := t.mountDisk(ctx, 400); err != nil {
		return err
	}
	defer t.unmount()
	if err := t.start(ctx); err != nil {
		return err
	}
	l := newLoad(t.site)
	for _, work := range []func() error{func() error { return l.mx(ctx, t.rnd) }, func() error { return l.append(ctx, t.rnd) }} {
		if err := work(); err != nil {
			return err
		}
	}
	before, err := t.fingerprint(bob)
	if err != nil {
		return err
	}
	if err := t.diskError(); err != nil {
		return err
	}
	if err := t.readable(ctx, l, before); err != nil {
		return err
	}
	_ = t.stop() // it can't write what it would like to, and says so
	if err := t.remount(ctx, "errors=remount-ro"); err != nil {
		return err
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	if err := l.ledger.check(bob); err != nil {
		return fmt.Errorf("after the disk was mended: %w", err)
	}
	if err := l.mx(ctx, t.rnd); err != nil {
		return fmt.Errorf("after the disk was mended: %w", err)
	}
	if err := l.ledger.check(bob); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	return t.verify(ctx)
}

// diskError tells ext4 to believe that it has found an error.
func (t *trial) diskError() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[1] == t.dir {
			if err := os.WriteFile("/sys/fs/ext4/"+filepath.Base(f[0])+"/trigger_fs_error", []byte("1"), 0); err != nil {
				return err
			}
		}
	}
	err = os.WriteFile(filepath.Join(t.dir, "probe"), nil, 0o600)
	if !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("the disk has not become read-only: %v", err)
	}
	return nil
}

// readable checks what a server does whose disk has become read-only.
func (t *trial) readable(ctx context.Context, l *load, before string) error {
	err := l.mx(ctx, t.rnd)
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || reply.Code/100 != 4 {
		return fmt.Errorf("a message for a read-only disk was answered with %v, not a 4xx", err)
	}
	c, err := t.login(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	var no *imap.Error
	if err := appendTo(c, "INBOX", "Subject: x\r\n\r\n"); !errors.As(err, &no) || no.Type != imap.StatusResponseTypeNo {
		return fmt.Errorf("APPEND on a read-only disk was answered with %v, not NO", err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close(); !errors.As(err, &no) {
		return fmt.Errorf("STORE on a read-only disk was answered with %v, not NO", err)
	}
	if now, err := t.fingerprint(bob); err != nil || now != before {
		return fmt.Errorf("mail is not read as before: %v\n%s\nwas\n%s", err, now, before)
	}
	return l.ledger.check(bob)
}
