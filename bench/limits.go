package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// limits measures what the machine gives: synced files a second as a delivery has to write them, and
// loopback's round trips and octets.
func limits(ctx context.Context, e *env) error {
	e.stop() // it has no part in this
	body := corpus{10 << 10}.message(1)
	for _, workers := range []int{1, 10, 50} {
		rate, err := e.disk(workers, body)
		if err != nil {
			return err
		}
		e.record(metric{name: fmt.Sprintf("disk: write, fsync, rename, fsync folder; %d threads", workers), unit: "files/s", value: rate})
	}
	for _, conns := range []int{1, 10} {
		rate, err := roundTrips(conns)
		if err != nil {
			return err
		}
		e.record(metric{name: fmt.Sprintf("loopback: round trips, %d connections", conns), unit: "per s", value: rate})
	}
	for _, conns := range []int{1, 4} {
		rate, err := stream(conns)
		if err != nil {
			return err
		}
		e.record(metric{name: fmt.Sprintf("loopback: octets, %d connections", conns), unit: "MB/s", value: rate})
	}
	return ctx.Err()
}

// disk measures how many files like body the disk takes each second from so many threads, each file as durable as
// a delivery has to be. Nothing is removed: that would slow down what is measured next.
func (e *env) disk(threads int, body []byte) (float64, error) {
	e.disks++
	dir := filepath.Join(e.dir, fmt.Sprintf("disk-%d", e.disks))
	for _, d := range []string{"tmp", "new"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return 0, err
		}
	}
	const n = 600
	begin := time.Now()
	err := each(n, threads, func(i int) error { return syncedFile(dir, i, body) })
	return n / time.Since(begin).Seconds(), err
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

// roundTrips sends a line and waits for it to come back, on each connection.
func roundTrips(conns int) (float64, error) {
	const n = 20_000
	echo := func(c net.Conn) {
		var b [64]byte
		for {
			k, err := c.Read(b[:])
			if err != nil {
				return
			}
			if _, err := c.Write(b[:k]); err != nil {
				return
			}
		}
	}
	took, err := loopback(conns, echo, func(c net.Conn) error {
		var b [64]byte
		for range n / conns {
			if _, err := c.Write([]byte("ping\n")); err != nil {
				return err
			}
			if _, err := c.Read(b[:]); err != nil {
				return err
			}
		}
		return nil
	})
	return n / took.Seconds(), err
}

// stream reads octets as fast as they come, on each connection.
func stream(conns int) (float64, error) {
	const total = 1 << 30
	pour := func(c net.Conn) {
		b := make([]byte, 64<<10)
		for range total / conns / len(b) {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	took, err := loopback(conns, pour, func(c net.Conn) error {
		b := make([]byte, 256<<10)
		for {
			if _, err := c.Read(b); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
	return total / 1e6 / took.Seconds(), err
}

// loopback runs both ends of some connections and returns how long the clients took.
func loopback(conns int, serve func(net.Conn), client func(net.Conn) error) (time.Duration, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { serve(c); c.Close() }()
		}
	}()
	begin := time.Now()
	err = each(conns, conns, func(int) error {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		return client(c)
	})
	return time.Since(begin), err
}
