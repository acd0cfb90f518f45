package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

func TestStress(t *testing.T) {
	s := testStore(t, t.TempDir())
	s.openFS = openLazy
	defer s.Close()
	runStore(t, s)
	a := testAccount(t, s)
	inbox, archive := box(t, a, "INBOX"), box(t, a, "Archive")
	rounds := 150
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(n)))
			for i := range rounds {
				if err := anything(r, a, inbox, archive, n*rounds+i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	mustAgree(t, a)
	for _, m := range []*Mailbox{inbox, archive} {
		if snap := m.Snapshot(); !slices.IsSorted(snap.UIDs()) {
			t.Error("UIDs of", m.Name())
		}
	}
}

// anything does one thing at random.
func anything(r *rand.Rand, a *Account, inbox, archive *Mailbox, i int) error {
	ctx := context.Background()
	m, to := inbox, archive
	if r.IntN(2) == 0 {
		m, to = to, m
	}
	s := m.Snapshot()
	var some []UID
	for range r.IntN(4) {
		if s.Len() > 0 {
			some = append(some, s.UIDs()[r.IntN(s.Len())])
		}
	}
	switch r.IntN(10) {
	case 0, 1, 2:
		return deliverErr(a, text(i), "INBOX", "Archive")
	case 3:
		_, err := m.Append(ctx, []New{newMsg(text(i), Flags{System: Seen}), newMsg(text(i+1), Flags{})})
		return err
	case 4:
		_, err := m.Store(ctx, some, FlagsAdd, Flags{System: Deleted, Keywords: []string{fmt.Sprint("k", r.IntN(40))}}, nil)
		return err
	case 5:
		_, err := m.Expunge(ctx, nil)
		return err
	case 6:
		_, err := m.Copy(ctx, some, to)
		return err
	case 7:
		_, err := m.Move(ctx, some, to)
		return err
	case 8:
		_, _, err := m.ClaimRecent(ctx)
		return err
	default:
		for _, uid := range some {
			c, err := m.Open(uid)
			if errors.Is(err, ErrGone) {
				continue
			}
			if err != nil {
				return err
			}
			c.Close()
		}
		for _, err := range m.Details(ctx, some) {
			if err != nil {
				return err
			}
		}
		return nil
	}
}
