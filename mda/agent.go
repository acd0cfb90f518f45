package mda

import (
	"context"
	"log/slog"
	"time"

	"facteur/auth"
	"facteur/mta"
	"facteur/storage"
)

// Forwarder takes over messages that lead elsewhere. The queue is one.
type Forwarder interface {
	// Add has the message safe when it returns nil. The body stays the caller's to close.
	Add(ctx context.Context, m *mta.Message) error
}

// Config of an Agent. Users, Store and Forward are needed.
type Config struct {
	Log     *slog.Logger // nil: none
	Users   *auth.Directory
	Store   *storage.Store
	Forward Forwarder
	Now     func() time.Time // time.Now
	// DetailFolders files mail for bob+shop@ in the mailbox "shop", when bob has one.
	DetailFolders bool
}

// Agent is the mail delivery agent. It is safe for concurrent use and has no goroutines of its own.
type Agent struct {
	cfg  Config
	srs  srs
	full fullAccounts
}

// New returns an Agent.
func New(cfg Config) *Agent {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Agent{cfg: cfg, srs: srs{key: cfg.Users.Key("srs"), now: cfg.Now}}
}
