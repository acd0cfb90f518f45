package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"facteur/mta/dns"
)

// STS knows the MTA-STS policies of other domains (RFC 8461). What it has learnt
// stays until max_age is over, whatever DNS or the web server say meanwhile: who
// can silence those must not be able to switch the policy off (RFC 8461 10.2).
type STS struct {
	cfg STSConfig

	mu      sync.Mutex
	domains map[string]*stsEntry
}

// STSConfig of an STS.
type STSConfig struct {
	Log      *slog.Logger
	Now      func() time.Time
	Resolver Resolver
	Fetch    FetchFunc // see HTTPSFetch
	Dir      string    // policies are kept here over a restart; empty: they are not
}

// FetchFunc gets the policy file of a domain.
type FetchFunc func(ctx context.Context, domain string) (string, error)

// stsEntry is what is known of one domain. Its lock is held during a fetch, so
// that a hundred messages for one domain fetch once.
type stsEntry struct {
	mu      sync.Mutex
	ID      string
	Text    string // the policy file; empty: none, and known until Expires
	Fetched time.Time
	Expires time.Time

	policy STSPolicy
	failed time.Time // of the last fetch
	gone   bool      // forgotten: there may be another for the domain
}

// holds reports whether there is a policy that asks for something.
func (e *stsEntry) holds(now time.Time) bool {
	return e.Text != "" && now.Before(e.Expires) && e.policy.Mode != STSNone
}

// How long things are left alone.
const (
	stsRetry   = 5 * time.Minute // after a fetch that failed (RFC 8461 3.3)
	stsRefresh = 24 * time.Hour  // a policy in use is fetched anew, id changed or not; at half its max_age if that is less
)

// NewSTS returns an STS with the policies kept in cfg.Dir.
func NewSTS(cfg STSConfig) (*STS, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t := &STS{cfg: cfg, domains: map[string]*stsEntry{}}
	if cfg.Dir == "" {
		return t, nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("MTA-STS policies: %w", err)
	}
	files, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("MTA-STS policies: %w", err)
	}
	for _, f := range files {
		if domain, ok := strings.CutSuffix(f.Name(), ".json"); ok {
			if err := t.load(domain); err != nil {
				cfg.Log.Warn("kept MTA-STS policy not readable, it will be fetched anew", "domain", domain, "error", err)
			}
		}
	}
	return t, nil
}

// Policy returns the policy that holds for a domain now. It may fetch it. No
// policy, and mode none, are false.
func (t *STS) Policy(ctx context.Context, domain string) (STSPolicy, bool) {
	e := t.entry(domain)
	defer e.mu.Unlock()
	t.update(ctx, domain, e)
	return e.policy, e.holds(t.cfg.Now())
}

// entry returns the entry of a domain, locked.
func (t *STS) entry(domain string) *stsEntry {
	for {
		t.mu.Lock()
		e := t.domains[domain]
		if e == nil {
			e = &stsEntry{}
			t.domains[domain] = e
		}
		t.mu.Unlock()
		e.mu.Lock()
		if !e.gone {
			return e
		}
		e.mu.Unlock()
	}
}

// update fetches the policy when DNS announces one that we don't have, or ours
// is old.
func (t *STS) update(ctx context.Context, domain string, e *stsEntry) {
	now := t.cfg.Now()
	if now.Before(e.Fetched) { // the clock was ahead: the policy holds from now, and is old
		e.Fetched, e.Expires = now.Add(-stsRefresh), now.Add(e.policy.MaxAge)
	}
	answer, err := t.cfg.Resolver.TXT(ctx, "_mta-sts."+domain)
	if err != nil && !dns.IsNotFound(err) {
		return // nobody knows: what we have stays
	}
	id, announced := parseSTSRecords(answer.Records)
	current := e.Text != "" && now.Sub(e.Fetched) < min(stsRefresh, e.policy.MaxAge/2)
	if !announced || current && id == e.ID || now.Sub(e.failed) < stsRetry {
		return
	}
	text, err := t.cfg.Fetch(ctx, domain)
	var policy STSPolicy
	if err == nil {
		policy, err = parseSTSPolicy(text)
	}
	if err != nil {
		e.failed = now
		t.cfg.Log.Warn("MTA-STS policy not to be had", "domain", domain, "error", err)
		return
	}
	e.ID, e.Text, e.policy, e.Fetched, e.Expires, e.failed = id, text, policy, now, now.Add(policy.MaxAge), time.Time{}
	if err := t.save(domain, e); err != nil {
		t.cfg.Log.Warn("MTA-STS policy not kept", "domain", domain, "error", err)
	}
}

// Run fetches the policies we have anew ahead of their end, once a day, and
// forgets those that have ended, until ctx ends.
func (t *STS) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			t.refresh(ctx)
		}
	}
}

func (t *STS) refresh(ctx context.Context) {
	t.mu.Lock()
	names := slices.Collect(maps.Keys(t.domains))
	t.mu.Unlock()
	for _, domain := range names {
		if ctx.Err() != nil {
			return
		}
		if _, ok := t.Policy(ctx, domain); !ok {
			t.forget(domain)
		}
	}
}

// forget forgets a domain without a policy, unless a delivery has fetched one meanwhile.
func (t *STS) forget(domain string) {
	e := t.entry(domain)
	defer e.mu.Unlock()
	if e.holds(t.cfg.Now()) {
		return
	}
	t.remove(domain) // before anybody can make a new entry and keep it
	e.gone = true
	t.mu.Lock()
	delete(t.domains, domain)
	t.mu.Unlock()
}

// remove removes a domain's file, if there is one.
func (t *STS) remove(domain string) {
	if t.cfg.Dir == "" || !safeName(domain) {
		return
	}
	if root, err := os.OpenRoot(t.cfg.Dir); err == nil {
		root.Remove(domain + ".json")
		root.Close()
	}
}

func (t *STS) load(domain string) error {
	root, err := os.OpenRoot(t.cfg.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	b, err := root.ReadFile(domain + ".json")
	if err != nil {
		return err
	}
	e := &stsEntry{}
	if err := json.Unmarshal(b, e); err != nil {
		return err
	}
	if e.policy, err = parseSTSPolicy(e.Text); err != nil {
		return err
	}
	t.domains[domain] = e
	return nil
}

// save keeps a policy over a restart. A rename makes it whole or not at all.
func (t *STS) save(domain string, e *stsEntry) error {
	if t.cfg.Dir == "" || !safeName(domain) {
		return nil
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(t.cfg.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.OpenFile(domain+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := writeSynced(f, b); err != nil {
		return err
	}
	return root.Rename(domain+".tmp", domain+".json")
}

// safeName: domains in A-labels name their own files.
func safeName(domain string) bool {
	for i := range len(domain) {
		c := domain[i]
		if !isDigit(c) && (c < 'a' || c > 'z') && c != '-' && c != '_' && (c != '.' || i == 0) {
			return false
		}
	}
	return domain != "" && len(domain) < 250
}
