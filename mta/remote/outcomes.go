package remote

import (
	"cmp"
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

// saveOutcomes keeps the outcomes over a restart, whole or not at all.
func (s *Sender) saveOutcomes() error {
	s.mu.Lock()
	news := s.news
	s.mu.Unlock()
	if s.cfg.Outcomes == "" || !news {
		return nil
	}
	text, err := json.Marshal(s.Outcomes())
	if err == nil {
		err = os.WriteFile(s.cfg.Outcomes+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(s.cfg.Outcomes+".new", s.cfg.Outcomes)
	}
	if err != nil {
		return fmt.Errorf("keep what TLS with other servers came to: %w", err)
	}
	return nil
}
