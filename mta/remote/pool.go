package remote

import (
	"sync"
	"time"
)

// Limits of one connection's reuse, since peers drop those that overstay, and of
// idle connections all together.
const (
	maxUses = 100
	maxAge  = 5 * time.Minute
	maxIdle = 500

	idlePerHost = 20 // kept for each destination: as many as the queue opens
	idleTime    = 5 * time.Second
)

// pool keeps idle sessions for the next message to the same destination. The key
// names the destination and what was demanded of TLS, so a session is never used
// for a message that demands more than it was opened with.
type pool struct {
	perKey int
	ttl    time.Duration

	mu     sync.Mutex
	idle   map[string][]*idleSession // the last is the freshest
	count  int
	closed bool
}

type idleSession struct {
	s     *session
	timer *time.Timer
}

func newPool(perKey int, ttl time.Duration) *pool {
	return &pool{perKey: perKey, ttl: ttl, idle: map[string][]*idleSession{}}
}

// take returns an idle session, or nil.
func (p *pool) take(key string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[key]
	if len(list) == 0 {
		return nil
	}
	last := list[len(list)-1]
	p.drop(key, last)
	last.timer.Stop()
	return last.s
}

// put keeps a session, or closes it.
func (p *pool) put(key string, s *session, now time.Time) {
	p.mu.Lock()
	if s.broken || p.closed || s.usedUp() || now.Sub(s.started) > maxAge ||
		len(p.idle[key]) >= p.perKey || p.count >= maxIdle {
		p.mu.Unlock()
		s.close()
		return
	}
	i := &idleSession{s: s}
	i.timer = time.AfterFunc(p.ttl, func() {
		p.mu.Lock()
		mine := p.drop(key, i)
		p.mu.Unlock()
		if mine {
			s.close()
		}
	})
	p.idle[key] = append(p.idle[key], i)
	p.count++
	p.mu.Unlock()
}

// drop removes i from the list and reports whether it was there.
func (p *pool) drop(key string, i *idleSession) bool {
	list := p.idle[key]
	for n := range list {
		if list[n] == i {
			p.count--
			list = append(list[:n], list[n+1:]...)
			if p.idle[key] = list; len(list) == 0 {
				delete(p.idle, key)
			}
			return true
		}
	}
	return false
}

// close ends the idle sessions all at once, since a dead peer keeps each waiting for its QUIT.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	all := p.idle
	p.idle = map[string][]*idleSession{}
	p.mu.Unlock()
	var ends sync.WaitGroup
	for _, list := range all {
		for _, i := range list {
			i.timer.Stop()
			ends.Go(i.s.close)
		}
	}
	ends.Wait()
}
