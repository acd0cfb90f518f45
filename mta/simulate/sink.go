package simulate

import (
	"context"
	"time"

	"facteur/mta"
)

// Sink is a queue.Transport that stands for the whole Internet: it hands every message
// to Take. With Faults, recipients get what their addresses ask for.
type Sink struct {
	// Take keeps the message; an error is a temporary failure for all of to. The body is
	// open until it returns.
	Take   func(ctx context.Context, m *mta.Message, to []mta.Recipient) error
	Name   string        // RemoteMTA of the results: "sink.invalid"
	Faults bool          // heed the fault addresses
	Delay  time.Duration // of slow@: 2 s
	Now    func() time.Time
}

// Deliver implements queue.Transport.
func (s *Sink) Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	name := s.Name
	if name == "" {
		name = "sink.invalid"
	}
	results := make([]mta.Result, len(to))
	var taken []mta.Recipient
	var indexes []int
	for i, r := range to {
		results[i] = mta.Result{To: r, At: now(), RemoteMTA: name, Relayed: true}
		if s.Faults {
			if reply := s.fault(ctx, r); reply != nil {
				results[i].Err = reply
				continue
			}
		}
		taken = append(taken, r)
		indexes = append(indexes, i)
	}
	if len(taken) == 0 {
		return results
	}
	if err := s.Take(ctx, m, taken); err != nil {
		for _, i := range indexes {
			results[i].Err = mta.TempFail(err)
		}
	}
	return results
}

func (s *Sink) fault(ctx context.Context, r mta.Recipient) *mta.Reply {
	fault, reply := FaultOf(r.Address.Local)
	switch fault {
	case Refuse:
		reply.Quoted = true
		return reply
	case Slow:
		delay := s.Delay
		if delay == 0 {
			delay = 2 * time.Second
		}
		select {
		case <-ctx.Done():
			return mta.TempFail(ctx.Err())
		case <-time.After(delay):
		}
	case Timeout:
		return mta.NewReply(451, [3]int{4, 4, 1}, "The server does not answer")
	case Drop, DropAfterData:
		return mta.NewReply(451, [3]int{4, 4, 2}, "The connection was lost")
	}
	return nil
}
