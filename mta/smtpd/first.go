package smtpd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"sync"
	"time"

	"facteur/mta"
)

// FirstContact asks unknown senders to come again in a while, which programs that only throw mail at
// us never do. It is asked for nobody whose domain vouches for the message (one-time
// codes come from those). What it knows is in memory, and in File seconds later: a
// crash costs strangers of the last ten seconds one more delay.
type FirstContact struct {
	Wait time.Duration // before the second try counts: 5 min
	Keep time.Duration // how long a network that came again is known: 30 days
	Max  int           // entries
	File string        // see Load and Run; empty: nothing is kept

	mu    sync.Mutex
	dirty bool                       // something is not in File yet
	asked map[contact]time.Time      // when a sender first came
	known map[netip.Prefix]time.Time // networks that came again, until
}

// contact is a network, a sender and its recipients, hashed: it has a fixed size whatever they are.
type contact [16]byte

const giveUp = 48 * time.Hour // then a second try is a first one again

// Ask returns nil when the message may come in, and 451 when its sender is to come again.
func (f *FirstContact) Ask(peer netip.Addr, env *mta.Envelope, now time.Time) *mta.Reply {
	if !peer.IsValid() {
		return nil
	}
	network := networks(peer)[1] // large senders try again from a neighbour
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty = true
	if now.Before(f.known[network]) {
		f.known[network] = now.Add(f.Keep)
		return nil
	}
	k := contactOf(network, env)
	first, ok := f.asked[k]
	switch {
	case !ok || now.Sub(first) > giveUp || now.Before(first): // the last: the clock was ahead
		f.makeRoom(now)
		f.asked[k] = now
		return comeAgain(f.Wait)
	case now.Sub(first) < f.Wait:
		return comeAgain(f.Wait - now.Sub(first))
	}
	delete(f.asked, k)
	f.known[network] = now.Add(f.Keep)
	return nil
}

// makeRoom forgets when there is no room for one more: what has run out, then those who came once, and the networks
// that we know only when they alone are too many, so that a flood of strangers costs these nothing.
func (f *FirstContact) makeRoom(now time.Time) {
	if f.asked == nil || f.known == nil {
		f.asked, f.known = make(map[contact]time.Time), make(map[netip.Prefix]time.Time)
	}
	if len(f.asked)+len(f.known) < f.Max {
		return
	}
	maps.DeleteFunc(f.asked, func(_ contact, first time.Time) bool { return now.Sub(first) > giveUp })
	maps.DeleteFunc(f.known, func(_ netip.Prefix, until time.Time) bool { return !now.Before(until) })
	enough := f.Max * 3 / 4 // or the next one would have us look through all of it again
	if len(f.asked)+len(f.known) > enough {
		clear(f.asked)
	}
	if len(f.known) > enough {
		clear(f.known)
	}
}

func comeAgain(in time.Duration) *mta.Reply {
	return mta.NewReply(451, [3]int{4, 7, 1}, "We don't know you yet, please come again in %d seconds", int(in.Seconds()+1))
}

func contactOf(network netip.Prefix, env *mta.Envelope) contact {
	h := sha256.New()
	h.Write([]byte(network.String()))
	h.Write([]byte{0})
	h.Write([]byte(env.MailFrom.Key()))
	for _, to := range env.To {
		h.Write([]byte{0})
		h.Write([]byte(to.Address.Key()))
	}
	return contact(h.Sum(nil)[:16])
}

// remembered is what File holds.
type remembered struct {
	Asked map[contact]time.Time      `json:"asked"`
	Known map[netip.Prefix]time.Time `json:"known"`
}

// MarshalText and UnmarshalText write a contact in hexadecimal.
func (c contact) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, c[:]), nil }

func (c *contact) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err == nil && len(b) != len(c) {
		err = errors.New("not the length of a contact")
	}
	copy(c[:], b)
	return err
}

// Load remembers what File holds. A missing file is none to remember; after an error nothing is.
func (f *FirstContact) Load() error {
	text, err := os.ReadFile(f.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var r remembered
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", f.File, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.known = r.Asked, r.Known
	return nil
}

// Run keeps File as new as ten seconds ago, and writes it when ctx ends.
func (f *FirstContact) Run(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return f.save()
		case <-tick.C:
			_ = f.save() // what fails now is tried again, and told at the end
		}
	}
}

func (f *FirstContact) save() error {
	f.mu.Lock()
	r, dirty := remembered{maps.Clone(f.asked), maps.Clone(f.known)}, f.dirty
	f.dirty = false
	f.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := f.write(r); err != nil {
		f.mu.Lock()
		f.dirty = true
		f.mu.Unlock()
		return err
	}
	return nil
}

func (f *FirstContact) write(r remembered) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	// Whole or not at all; that it may be the old one after a power cut does no harm.
	next := f.File + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.File)
}
