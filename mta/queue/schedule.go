package queue

import (
	"math/rand/v2"
	"time"

	"facteur/mta"
)

// retryAfter is the wait after a number of failed tries, doubling up to Max. Up to a
// tenth is taken off or added, so that what failed together does not come
// back together.
func (s Schedule) retryAfter(tries int) time.Duration {
	wait := s.First
	for i := 1; i < tries && wait < s.Max; i++ {
		wait *= 2
	}
	wait = min(wait, s.Max)
	return wait + time.Duration((rand.Float64()-0.5)*0.2*float64(wait))
}

// since is when a message's patience starts: on arrival, or when the sender wanted
// it released (RFC 4865 4).
func since(m *mta.Message) time.Time {
	if m.Env.HoldUntil.After(m.Arrived) {
		return m.Env.HoldUntil
	}
	return m.Arrived
}

// next is when to try again after a failed try at now. There is always a try at the
// moment the sender would be told of the delay, and one at the very end, so that
// nobody is told of a state that has passed.
func (s Schedule) next(m *mta.Message, tries int, now time.Time) time.Time {
	at := now.Add(s.retryAfter(tries))
	for _, mark := range []time.Time{since(m).Add(s.Delay), since(m).Add(s.GiveUp)} {
		if now.Before(mark) && mark.Before(at) {
			return mark
		}
	}
	return at
}

// expired and late report whether the message is to be given up, and whether the
// sender should hear of its delay.
func (s Schedule) expired(m *mta.Message, now time.Time) bool {
	return !now.Before(since(m).Add(s.GiveUp))
}

func (s Schedule) late(m *mta.Message, now time.Time) bool {
	return !now.Before(since(m).Add(s.Delay))
}
