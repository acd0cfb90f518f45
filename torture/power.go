package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// powerCuts takes the power from a server's disk at a random moment under load, again and again. What the file
// system had not been made to write is lost with it: messages, names, and the pages of all databases.
func powerCuts(ctx context.Context, t *trial) error {
	rounds := 25
	if t.opt.quick {
		rounds = 3
	}
	if err := t.mountDisk(ctx, 800); err != nil {
		return err
	}
	defer t.unmount()
	// The second lets names become durable before what they name, and nothing by the passing of time.
	options := []string{"errors=remount-ro", "data=writeback,noauto_da_alloc,commit=300"}
	return t.rounds(ctx, rounds, func(round int) error {
		// It is stopped first, since ext4 may end an fsync well that is under way when its journal is taken away: a
		// server without power would not have heard of that. What it has answered until now it must have synced.
		if err := t.freeze(); err != nil {
			return fmt.Errorf("stop the server: %w", err)
		}
		if err := cutPower(t.dir); err != nil {
			return fmt.Errorf("cut the power: %w", err)
		}
		t.kill()
		return t.remount(ctx, options[round%2])
	})
}

// freeze returns when no thread of the server does anything any more.
func (t *trial) freeze() error {
	pid := t.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	_, err := syscall.Wait4(pid, nil, syscall.WUNTRACED, nil)
	return err
}

// cutPower makes ext4 write nothing any more, its journal neither: EXT4_IOC_SHUTDOWN with NOLOGFLUSH, as
// the tests of file systems use it. The next mount finds what a power cut leaves.
func cutPower(dir string) error {
	const shutdown, noLogFlush = 0x8004587d, 2
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush), f.Close())
}
