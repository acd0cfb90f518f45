package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mend plants what other programs and bad disks do to a Maildir. "facteur verify" has to find each, beside a running
// server and without one, and "facteur mailbox rebuild" has to put right what can be: nothing else changes.
func mend(ctx context.Context, t *trial) error {
	for _, running := range []bool{true, false} {
		if err := t.start(ctx); err != nil {
			return err
		}
		l := newLoad(t.site)
		for range 3 {
			if err := l.append(ctx, t.rnd); err != nil {
				return err
			}
		}
		if !running {
			if err := t.stop(); err != nil {
				return err
			}
		}
		if err := t.verify(ctx); err != nil {
			return err
		}
		if err := t.plant(ctx); err != nil {
			return fmt.Errorf("server running: %t: %w", running, err)
		}
		if err := t.stop(); err != nil {
			return err
		}
		if err := t.verify(ctx); err != nil {
			return fmt.Errorf("after a restart: %w", err)
		}
	}
	return nil
}

// plant cuts off, removes and adds a file in bob's INBOX, and has that found and mended.
func (t *trial) plant(ctx context.Context) error {
	cur := filepath.Join(t.dir, "mail/demo.test/bob/cur")
	files, err := os.ReadDir(cur)
	if err != nil {
		return err
	}
	if len(files) < 2 {
		return errors.New("too few messages to hurt any")
	}
	whole, err := files[0].Info()
	if err != nil {
		return err
	}
	if err := os.Truncate(filepath.Join(cur, files[0].Name()), whole.Size()-1); err != nil {
		return err
	}
	if out, err := t.facteur(ctx, "verify", bob); err == nil || strings.Count(out, "UID ") != 1 || !strings.Contains(out, "cut it off") {
		return fmt.Errorf("verify about a file that was cut off: %v\n%s", err, out)
	}
	// What comes and goes in a folder a server may see for itself before anybody asks.
	if err := errors.Join(
		os.Remove(filepath.Join(cur, files[1].Name())),
		os.WriteFile(filepath.Join(cur, "from-another-program"), []byte("Subject: stray\r\n\r\n"), 0o600),
	); err != nil {
		return err
	}
	if out, err := t.facteur(ctx, "mailbox", "rebuild", bob); err != nil {
		return fmt.Errorf("rebuild: %w: %s", err, out)
	}
	return t.verify(ctx)
}
