package dns

import (
	"sync"
	"time"
)

const (
	maxTTL         = 24 * time.Hour
	maxNegativeTTL = time.Hour // RFC 2308 5 recommends one to three hours
	maxEntries     = 20_000
	maxEntryOctets = 8 << 20 // of all entries together
)

// cache remembers outcomes for as long as their records say. Strangers choose the names we ask for,
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
		c.drop(q, e)
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
	f.size += len(q.name) + 100 // what an entry costs beside its records
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[q]; ok {
		c.drop(q, old)
	}
	for old, e := range c.entries { // Go's maps begin at random
		if len(c.entries) < maxEntries && c.octets+f.size <= maxEntryOctets {
			break
		}
		c.drop(old, e)
	}
	c.entries[q] = entry{f, c.now().Add(f.ttl)}
	c.octets += f.size
}

func (c *cache) drop(q question, e entry) {
	delete(c.entries, q)
	c.octets -= e.size
}
