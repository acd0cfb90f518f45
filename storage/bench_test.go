package storage

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"facteur/storage/maildir"
)

// benchRoot holds the benchmarks' folders until all have run: on ext4 making files is slow
// for seconds where others have been removed (recently_deleted in the kernel), which would be
// measured instead.
var benchRoot string

func TestMain(m *testing.M) {
	code := m.Run()
	if benchRoot != "" {
		os.RemoveAll(benchRoot)
	}
	os.Exit(code)
}

func benchDir(b *testing.B) string {
	b.Helper()
	var err error
	if benchRoot == "" {
		benchRoot, err = os.MkdirTemp("", "storage-bench-")
	}
	dir := filepath.Join(benchRoot, maildir.NewUnique())
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		b.Fatal(err)
	}
	return dir
}

func benchAccount(b *testing.B) *Account {
	b.Helper()
	s, err := Open(benchDir(b), Config{Hostname: "mail.example.org", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.CreateAccount(b.Context(), alice); err != nil {
		b.Fatal(err)
	}
	a, err := s.Account(b.Context(), alice)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; a.Release(); s.Close() })
	return a
}

// body10k is a plain message of 10 KiB.
func body10k() string {
	head := "Message-ID: <%d@example.org>\r\nFrom: Bob <bob@example.org>\r\nTo: alice@example.org\r\nSubject: bench\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
	line := "The quick brown fox jumps over the lazy dog and back again, twice.\r\n"
	return head + strings.Repeat(line, (10<<10-len(head))/len(line))
}

func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 10, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := benchAccount(b)
			body := body10k()
			b.SetParallelism((n + 1) / 2) // times GOMAXPROCS
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					deliver(b, a, body)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkDiskLimit is what the disk allows: write and sync a file, rename it, sync the
// folder.
func BenchmarkDiskLimit(b *testing.B) {
	for _, n := range []int{1, 10, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := benchDir(b)
			for _, sub := range []string{"tmp", "new"} {
				os.Mkdir(filepath.Join(dir, sub), 0o700)
			}
			data := bytes.Repeat([]byte("x"), 10<<10)
			var seq atomic.Int64
			b.SetParallelism((n + 1) / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					name := fmt.Sprint(seq.Add(1))
					f, err := os.Create(filepath.Join(dir, "tmp", name))
					if err != nil {
						b.Fatal(err)
					}
					f.Write(data)
					f.Sync()
					f.Close()
					os.Rename(filepath.Join(dir, "tmp", name), filepath.Join(dir, "new", name))
					d, _ := os.Open(filepath.Join(dir, "new"))
					d.Sync()
					d.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	m := box(b, benchAccount(b), "INBOX")
	body := body10k()
	for b.Loop() {
		appendTo(b, m, newMsg(body, Flags{System: Seen}))
	}
}

// bigMailbox makes a mailbox of n messages without their files being written
// one by one: all are links to a few.
func bigMailbox(b testing.TB, a *Account, n int) *Mailbox {
	b.Helper()
	m := box(b, a, "INBOX")
	appendTo(b, m, newMsg(text(1), Flags{System: Seen}), newMsg(text(2), Flags{System: Seen}))
	for m.Snapshot().Len() < n {
		uids := m.Snapshot().UIDs()
		uids = uids[:min(len(uids), n-len(uids), 20000)]
		if _, err := m.Copy(b.Context(), uids, m); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

func BenchmarkOpen100k(b *testing.B) {
	dir := benchDir(b)
	s := testStore(b, dir)
	a := testAccount(b, s)
	bigMailbox(b, a, 100000)
	s.Close()
	for b.Loop() {
		s := testStore(b, dir)
		a, err := s.Account(b.Context(), alice)
		if err != nil {
			b.Fatal(err)
		}
		m, err := a.Mailbox(b.Context(), "INBOX")
		if err != nil || m.Snapshot().Len() != 100000 {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}

func BenchmarkBulk10k(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		a := benchAccount(b)
		m, archive := bigMailbox(b, a, 10000), box(b, a, "Archive")
		b.StartTimer()
		timed := func(what string, f func() error) {
			start := time.Now()
			if err := f(); err != nil {
				b.Fatal(what, err)
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, what+"-ms")
		}
		all := m.Snapshot().UIDs()
		timed("store", func() error { _, err := m.Store(b.Context(), all, FlagsAdd, Flags{System: Flagged}, nil); return err })
		timed("copy", func() error { _, err := m.Copy(b.Context(), all, archive); return err })
		timed("move1000", func() error { _, err := m.Move(b.Context(), all[:1000], archive); return err })
		timed("delete", func() error {
			_, err := m.Store(b.Context(), all[1000:5500], FlagsAdd, Flags{System: Deleted}, nil)
			return err
		})
		timed("expunge4500", func() error { _, err := m.Expunge(b.Context(), nil); return err })
		timed("flush", func() error { return a.flush(b.Context()) })
	}
}

// BenchmarkDeliverAndFetch is what a session in IDLE makes of each delivery: the index is
// flushed for it.
func BenchmarkDeliverAndFetch(b *testing.B) {
	a := benchAccount(b)
	m, body := box(b, a, "INBOX"), body10k()
	for b.Loop() {
		st := deliver(b, a, body)
		for _, err := range m.Details(b.Context(), []UID{st[0].UID}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDetails10k(b *testing.B) {
	a := benchAccount(b)
	m := bigMailbox(b, a, 10000)
	for b.Loop() {
		n := 0
		for _, err := range m.Details(b.Context(), m.Snapshot().UIDs()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 10000 {
			b.Fatal(n)
		}
	}
}

func BenchmarkSnapshotAll100k(b *testing.B) {
	s := tableOf(100000)
	for b.Loop() {
		n := 0
		for _, e := range s.All(0) {
			n += int(e.Flags.System)
		}
	}
}

// tableOf makes a table without files.
func tableOf(n int) *Snapshot {
	s := &Snapshot{UIDValidity: 7, UIDNext: 1, sets: []flagSet{{}, {flags: Flags{System: Seen}, letters: "S"}}}
	s.index()
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{rec{uid: UID(i + 1), set: uint32(i % 2), modseq: ModSeq(i + 1), size: 100, internal: 5}, "1700000000.fabcdefghijklmnop.host"}
	}
	return s.with(rows)
}

func BenchmarkTableAppendTo100k(b *testing.B) {
	s := tableOf(100000)
	one := []row{{rec{size: 100}, "1700000000.fabcdefghijklmnop.host"}}
	for b.Loop() {
		one[0].uid = s.UIDNext
		s = s.with(one)
	}
}
