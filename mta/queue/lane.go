package queue

import (
	"time"

	"facteur/mta"
)

// lane is one destination as the scheduler sees it: what waits for it in memory, and
// how much of it may be under way. Each lane learns from its own results only, so a
// destination that fails never delays another.
type lane struct {
	key     string
	waiting []*job
	active  int
	more    bool // jobs are due that are only in the database
	ready   bool // stands in scheduler.ready

	limit     float64       // deliveries at a time
	pause     time.Duration // between deliveries, after the peer asked us to slow down
	notBefore time.Time
	down      *mta.Reply // why nobody there could be reached
	downUntil time.Time  // until then whatever is due fails with that, untried
	used      time.Time
}

// How a lane adapts.
const (
	firstLimit = 4
	mostLimit  = 20
	laneWindow = 64          // jobs of one lane in memory
	downTime   = time.Minute // less than the first retry: one job probes, the others learn from it
	firstPause = time.Second
)

// startable reports whether the lane may start a job now.
func (l *lane) startable(now time.Time) bool {
	if len(l.waiting) == 0 {
		return false
	}
	return l.isDown(now) || l.active < max(1, int(l.limit)) && !now.Before(l.notBefore)
}

func (l *lane) isDown(now time.Time) bool { return l.down != nil && now.Before(l.downUntil) }

// learn adapts the lane to the results of one try: one more at a time for each
// round of successes, half as many when the peer answers with 4xx, one when it can't
// be reached at all.
func (l *lane) learn(results []mta.Result, maxPause time.Duration, now time.Time) {
	if len(results) == 0 {
		return
	}
	var fault *mta.Reply
	for _, r := range results {
		switch {
		case r.Err == nil || r.Err.Permanent():
			l.limit = min(l.limit+1/l.limit, mostLimit)
			l.pause, l.notBefore, l.down = 0, time.Time{}, nil
			return
		case r.Unreachable:
			l.down, l.downUntil = r.Err, now.Add(downTime)
			l.limit = 1
			return
		}
		fault = r.Err
	}
	l.down = nil
	l.limit = max(1, l.limit/2)
	if slowDown(fault) {
		l.pause = min(max(2*l.pause, firstPause), maxPause)
		l.notBefore = now.Add(l.pause)
	}
}

// slowDown: the peer speaks of its load or of our rate, not of a mailbox, nor of TLS that a policy demands (x.7.5), which
// the next message may do without.
func slowDown(r *mta.Reply) bool {
	return r.Code == 421 || r.Enhanced[1] == 7 && r.Enhanced[2] != 5 || r.Enhanced == [3]int{4, 3, 2} || r.Enhanced == [3]int{4, 4, 5}
}

// dull reports whether forgetting the lane would change nothing.
func (l *lane) dull(now time.Time) bool {
	return len(l.waiting) == 0 && l.active == 0 && !l.more && !l.isDown(now) && !now.Before(l.notBefore) &&
		now.Sub(l.used) > 10*time.Minute
}
