package main

import (
	"context"
	"time"
)

// group is a set of workloads that share one start of a server.
type group struct {
	name  string
	flags flags
	run   func(ctx context.Context, e *env) error
	ours  bool // only Facteur can be measured (or only it needs to be)
	once  bool // one run is enough: a count, not a speed; or it takes too long for more
	max   time.Duration
}

func (g group) limit() time.Duration {
	if g.max > 0 {
		return g.max
	}
	return 10 * time.Minute
}

// groups lists everything in the order in which it is measured.
func groups(opt options) []group {
	n := func(full, quick int) int {
		if opt.quick {
			return quick
		}
		return full
	}
	list := []group{
		{name: "limits", run: limits, ours: true},
		{name: "inbound", run: inbound(n(3000, 600), n(3, 1))},
		{name: "authenticated", run: inboundAuthenticated(n(3000, 600))},
		{name: "append", run: appends(n(2000, 400))},
		{name: "imap-10k", run: reading(n(10_000, 3000))},
		{name: "sessions", run: sessions(n(2000, 300))},
		{name: "submission", run: submission(n(3000, 500))},
		{name: "footprint", run: footprint},
		{name: "durability", run: durability, once: true},
	}
	if opt.quick {
		return list
	}
	list = append(list,
		group{name: "idle-sessions", run: idleSessions(1000, 5000), once: true, max: 20 * time.Minute},
		group{name: "accounts", run: accounts(1000), once: true, ours: true},
		group{name: "growth", run: growth(100_000), once: true, max: 20 * time.Minute},
		group{name: "imap-100k", run: reading(100_000), max: 20 * time.Minute},
	)
	if opt.million {
		list = append(list, group{name: "million", run: million, once: true, ours: true, max: 2 * time.Hour})
	}
	return list
}
