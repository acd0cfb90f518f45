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
		if err := cutPower(t.dir); err != nil {
			return fmt.Errorf("cut the power: %w", err)
		}
		t.kill() // after the disk: what it has answered until now it must have synced
		if err := syscall.Unmount(t.dir, 0); err != nil {
			return fmt.Errorf("unmount: %w", err)
		}
		// A copy of the disk: whoever has made a mount namespace meanwhile holds the dead one in it.
		if err := command(ctx, "cp", "--sparse=always", t.dir+".ext4", t.dir+".copy"); err != nil {
			return err
		}
		if err := os.Rename(t.dir+".copy", t.dir+".ext4"); err != nil {
			return err
		}
		return t.mountWith(ctx, options[round%2])
	})
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
