package queue

import (
	"context"
	"log/slog"
	"time"

	"facteur/mta"
)

// Transport tries once and returns one Result for each of to, in their order. It blocks until the
// peers have answered or ctx ends. mda, remote and simulate implement it.
type Transport interface {
	Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result
}

// Config of a Queue.
type Config struct {
	Log        *slog.Logger
	Now        func() time.Time
	Hostname   string              // Reporting-MTA of DSNs
	Postmaster string              // From of DSNs
	Route      func(domain string) // set by cmd: see Router
	Schedule   Schedule
}

// Schedule says when to try again.
type Schedule struct {
	First, Max time.Duration // 5 min, doubling with jitter to 4 h
	Delay      time.Duration // delay DSN: 4 h
	GiveUp     time.Duration // 5 days
}

// Queue is the open queue. It is safe for concurrent use.
type Queue struct{}

// Add takes a message over: when it returns nil, spool and row are synced and the
// message will be delivered or bounced. Concurrent calls share the syncs. The first try
// starts at once (unless HoldUntil is later). The message's body stays the caller's to close.
func (q *Queue) Add(ctx context.Context, m *mta.Message) error { panic("not built yet") }
