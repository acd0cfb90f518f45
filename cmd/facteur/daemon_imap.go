package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"facteur/imap"
)

// serveIMAP adds the IMAP engine, in the clear with STARTTLS and with TLS from the start.
func (d *Daemon) serveIMAP(deps Deps) error {
	config := d.parts.certs.Client("imap")
	all := d.listeners[serviceIMAP]
	for _, l := range d.listeners[serviceIMAPS] {
		all = append(all, tls.NewListener(l, config))
	}
	if len(all) == 0 {
		return nil
	}
	spool := filepath.Join(d.cfg.Data, incoming, "imap")
	// What a crash has left there is nobody's.
	if err := errors.Join(os.RemoveAll(spool), os.MkdirAll(spool, 0o700)); err != nil {
		return fmt.Errorf("spool folder: %w", err)
	}
	server := imap.New(imap.Config{
		Log: d.log, Now: deps.Now, Store: d.parts.store, Auth: d.parts.directory, TLS: config,
		NoCaps:    d.noCaps,
		Busy:      busy,
		PlainAuth: d.cfg.Submit.PlainAuth, Version: buildVersion(), SpoolDir: spool,
		MaxMessage: int64(d.cfg.Limits.MessageSize), MaxPerAddr: orNoLimit(d.cfg.Limits.IMAPPerAddress),
		MaxPerUser: orNoLimit(2 * d.cfg.Limits.IMAPPerAddress), Grace: shutdownGrace,
	})
	d.serving = append(d.serving, func(ctx context.Context) error { return server.Serve(ctx, all...) })
	return nil
}

// busy reports that for a minute more than twice as much wanted to run as there are processors for.
func busy() bool {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return false
	}
	const scale = 1 << 16 // the kernel's fixed point
	return info.Loads[0] > uint64(2*runtime.NumCPU()*scale)
}

// orNoLimit turns the configuration's 0, no limit, into a room's -1.
func orNoLimit(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// noCaps are the IMAP capabilities that an account isn't shown.
func (d *Daemon) noCaps(account string) []string {
	a, err := d.parts.directory.Account(context.Background(), account)
	if err != nil {
		return nil
	}
	return a.NoCaps
}
