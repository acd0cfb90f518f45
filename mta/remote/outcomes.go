package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"
)

// TLSOutcome is what TLS with one host came to the last time.
type TLSOutcome struct {
	Host   string    `json:"host"`
	At     time.Time `json:"at"`
	TLS    string    `json:"tls,omitempty"`    // as Result.TLS; empty: in the clear
	Policy string    `json:"policy,omitempty"` // who demanded what; empty: nobody
	Fault  string    `json:"fault,omitempty"`  // why there was no TLS, or an unverified one
}

// maxOutcomes bounds the memory of outcomes; the oldest go.
const maxOutcomes = 5000

func (s *Sender) remember(o TLSOutcome) {
	o.At = s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = true
	if len(s.outcomes) >= maxOutcomes {
		limit := o.At.Add(-time.Hour)
		maps.DeleteFunc(s.outcomes, func(_ string, old TLSOutcome) bool { return old.At.Before(limit) })
		if len(s.outcomes) >= maxOutcomes {
			clear(s.outcomes)
		}
	}
	s.outcomes[o.Host] = o
}

// Outcomes returns what TLS came to, sorted by host name.
func (s *Sender) Outcomes() []TLSOutcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.outcomes), func(a, b TLSOutcome) int { return cmp.Compare(a.Host, b.Host) })
}

// loadOutcomes reads what saveOutcomes has kept. Nothing depends on it: without the file the memory is empty.
func (s *Sender) loadOutcomes() {
	text, err := os.ReadFile(s.cfg.Outcomes)
	if s.cfg.Outcomes == "" || errors.Is(err, fs.ErrNotExist) {
		return
	}
	var list []TLSOutcome
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		s.cfg.Log.Warn("what TLS with other servers came to is not readable, and forgotten", "file", s.cfg.Outcomes, "error", err)
	}
	for _, o := range list {
		s.outcomes[o.Host] = o
	}
}

// saveEvery is how often Run looks for news: what a kill takes is no older.
const saveEvery = 2 * time.Minute

// Run keeps the outcomes while there are new ones, so that a kill loses little of them; Close keeps the last. Nothing
// depends on them, so a fault is told and no more.
func (s *Sender) Run(ctx context.Context) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.saveOutcomes(); err != nil {
			s.cfg.Log.Warn("outcomes of TLS not saved", "error", err)
		}
	}
}

// saveOutcomes keeps the outcomes over a restart, whole or not at all. Run and Close call it one after the other.
func (s *Sender) saveOutcomes() error {
	s.mu.Lock()
	news := s.news
	s.news = false
	s.mu.Unlock()
	if s.cfg.Outcomes == "" || !news {
		return nil
	}
	if err := s.writeOutcomes(); err != nil {
		s.mu.Lock()
		s.news = true
		s.mu.Unlock()
		return fmt.Errorf("keep what TLS with other servers came to: %w", err)
	}
	return nil
}

func (s *Sender) writeOutcomes() error {
	text, err := json.Marshal(s.Outcomes())
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.cfg.Outcomes+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := writeSynced(f, text); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.cfg.Outcomes)
}

// writeSynced writes a new file and closes it. It is synced before it is renamed: a power cut could leave the name
// without the octets otherwise.
func writeSynced(f *os.File, text []byte) error {
	_, err := f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
