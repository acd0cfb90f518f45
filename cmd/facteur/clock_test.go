package main

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// TestClockJumps: whatever the clock does, UIDs and ModSeqs rise, and mail comes in and is read.
func TestClockJumps(t *testing.T) {
	var wrong atomic.Int64
	d := startDaemon(t, elsewhere, func(_ *Config, deps *Deps) {
		deps.Now = func() time.Time { return time.Now().Add(time.Duration(wrong.Load())).Round(0) }
	})
	c := d.IMAP("ann@example.org")
	if _, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	var lastUID imap.UID
	var lastModSeq uint64
	for i, jump := range []time.Duration{0, -24 * time.Hour, 365 * 24 * time.Hour, -365 * 24 * time.Hour, 0} {
		wrong.Store(int64(jump))
		in := d.SMTP(serviceMX)
		in.Send("EHLO mx.elsewhere.test")
		in.Want("250 ")
		in.mail("carol@elsewhere.test", []string{"ann@example.org"}, hello)
		if err := c.Noop().Wait(); err != nil {
			t.Fatal(err)
		}
		flagged := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}, Silent: true}
		for range 2 {
			msgs, err := c.Fetch(imap.SeqSetNum(uint32(i+1)), &imap.FetchOptions{UID: true, ModSeq: true}).Collect()
			if err != nil || len(msgs) != 1 {
				t.Fatalf("FETCH %d: %v, %d messages", i+1, err, len(msgs))
			}
			m := msgs[0]
			if m.UID < lastUID || m.ModSeq <= lastModSeq {
				t.Errorf("clock wrong by %v: UID %d after %d, MODSEQ %d after %d", jump, m.UID, lastUID, m.ModSeq, lastModSeq)
			}
			lastUID, lastModSeq = m.UID, m.ModSeq
			if err := c.Store(imap.SeqSetNum(uint32(i+1)), flagged, nil).Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
