package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// limits measures what the machine gives: synced files a second as a delivery has to write them, and
// round trips over loopback.
func limits(ctx context.Context, e *env) error {
	e.stop() // it has no part in this
	body := corpus{10 << 10}.message(1)
	for _, workers := range []int{1, 10, 50} {
		dir := filepath.Join(e.dir, fmt.Sprintf("disk-%d", workers))
		for _, d := range []string{"tmp", "new"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				return err
			}
		}
		const n = 2000
		begin := time.Now()
		if err := each(n, workers, func(i int) error { return syncedFile(dir, i, body) }); err != nil {
			return err
		}
		e.record(metric{name: fmt.Sprintf("write, fsync, rename, fsync folder; %d threads", workers), unit: "files/s",
			value: n / time.Since(begin).Seconds()})
	}
	return loopback(ctx, e)
}

func syncedFile(dir string, i int, body []byte) error {
	tmp := filepath.Join(dir, "tmp", fmt.Sprint(i))
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(body); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, "new", fmt.Sprint(i))); err != nil {
		return err
	}
	d, err := os.Open(filepath.Join(dir, "new"))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func loopback(ctx context.Context, e *env) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if _, err := c.Write(line); err != nil {
				return
			}
		}
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	const n = 20_000
	begin := time.Now()
	for range n {
		if _, err := c.Write([]byte("ping\n")); err != nil {
			return err
		}
		if _, err := r.ReadSlice('\n'); err != nil {
			return err
		}
	}
	e.record(metric{name: "loopback round trips, 1 connection", unit: "per s", value: n / time.Since(begin).Seconds()})
	return ctx.Err()
}
