package dns

import (
	"sync"
	"time"
)

const (
	maxTTL         = 24 * time.Hour
	maxNegativeTTL = time.Hour       // RFC 2308 5 recommends one to three hours
	firstFailure   = 5 * time.Second // RFC 9520 3.2, which allows one second to five minutes
	maxFailure     = time.Minute
	maxEntries     = 20_000
	maxEntryOctets = 8 << 20 // of all entries together
)

// cache remembers outcomes for as long as their records say, and failures for a moment. Strangers choose the names we ask for,
// so when it is full, entries picked at random make room: nobody can choose what is forgotten.
type cache struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[question]entry
	octets  int
}

type entry struct {
	found
	until time.Time
	kept  time.Duration // how long a failure was to be remembered; it outlives until, to be doubled
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, entries: make(map[question]entry)}
}

// get returns an outcome with the rest of its time to live.
func (c *cache) get(q question) (found, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	if !ok {
		return found{}, false
	}
	left := e.until.Sub(c.now())
	if left <= 0 {
		if e.err == nil {
			c.drop(q, e)
		}
		return found{}, false
	}
	f := e.found
	f.ttl = left
	return f, true
}

func (c *cache) put(q question, f found) {
	if f.ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(q, entry{found: f, until: c.now().Add(f.ttl)})
}

// fail remembers that there was no answer, twice as long as the last time when that was not long ago:
// servers in trouble are not to be asked again and again (RFC 9520 3.2).
func (c *cache) fail(q question, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keep, now := firstFailure, c.now()
	if old := c.entries[q]; old.err != nil && now.Sub(old.until) < maxFailure {
		keep = min(2*old.kept, maxFailure)
	}
	c.add(q, entry{found: found{err: err, size: len(err.Error())}, until: now.Add(keep), kept: keep})
}

// add makes room for an entry; c.mu is held.
func (c *cache) add(q question, e entry) {
	e.size += len(q.name) + 100 // what an entry costs beside its records
	if old, ok := c.entries[q]; ok {
		c.drop(q, old)
	}
	for old, o := range c.entries { // Go's maps begin at random
		if len(c.entries) < maxEntries && c.octets+e.size <= maxEntryOctets {
			break
		}
		c.drop(old, o)
	}
	c.entries[q] = e
	c.octets += e.size
}

func (c *cache) drop(q question, e entry) {
	delete(c.entries, q)
	c.octets -= e.size
}
