package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"facteur/mta"
	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// Transport tries once and returns one Result for each of to, in their order. It
// blocks until the peers have answered or ctx ends. mda, remote and simulate
// implement it.
type Transport interface {
	Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result
}

// Route is where mail for a domain goes.
type Route struct {
	Transport Transport
	Key       string   // recipients with equal keys share transactions and a lane: the domain, or the smarthost
	Schedule  Schedule // its zero fields are the Config's
}

// Config of a Queue. Hostname, Postmaster and Route have to be set.
type Config struct {
	Log        *slog.Logger
	Now        func() time.Time
	Hostname   string                    // Reporting-MTA of DSNs
	Postmaster message.AddrSpec          // From of DSNs
	Route      func(domain string) Route // domain in A-labels, or a literal; called often
	Schedule   Schedule                  // zero fields: the defaults

	// Sign makes DKIM-Signature header lines for a DSN; nil: none.
	Sign func(ctx context.Context, from message.AddrSpec, m *mta.Message) ([]byte, error)
	// Limits returns what an account may send a day; nil: DefaultLimits for everyone.
	Limits func(ctx context.Context, account string) Limits

	MaxActive    int           // deliveries at a time: 200; besides, slowFactor times as many that take long
	MaxPause     time.Duration // between deliveries to a destination that wants us slower: 30 s
	Memory       int64         // octets of messages kept in memory until their first try: 64 MiB
	StopPatience time.Duration // running deliveries may end when Run is told to: 20 s
}

// Schedule says when to try again. Zero fields mean the defaults.
type Schedule struct {
	First  time.Duration // wait after the first failure: 5 min, doubling from there
	Max    time.Duration // longest wait: 4 h
	Delay  time.Duration // age at which the sender hears of the delay: 4 h
	GiveUp time.Duration // age at which the message is returned: 5 days
}

// or fills the zero fields of s from d.
func (s Schedule) or(d Schedule) Schedule {
	pick := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	pick(&s.First, d.First)
	pick(&s.Max, d.Max)
	pick(&s.Delay, d.Delay)
	pick(&s.GiveUp, d.GiveUp)
	return s
}

func defaultSchedule() Schedule {
	return Schedule{First: 5 * time.Minute, Max: 4 * time.Hour, Delay: 4 * time.Hour, GiveUp: 5 * 24 * time.Hour}
}

// ErrClosed: the queue takes nothing any more.
var ErrClosed = errors.New("the queue is closed")

// Queue is the open queue. It is safe for concurrent use.
type Queue struct {
	cfg    Config
	db     *sqlite.DB
	commit *committer
	spool  spool

	mu    sync.Mutex // guards sched and what is in it
	sched scheduler
	wake  chan struct{} // cap 1: Run should look again
}

// Open opens or creates queue.db and the spool folder in dir. Nothing is
// delivered before Run; Add works at once.
func Open(dir string, cfg Config) (*Queue, error) {
	cfg.setDefaults()
	if err := os.MkdirAll(filepath.Join(dir, "spool"), 0o700); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	if err := notLost(dir); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	db, err := sqlite.Open(filepath.Join(dir, "queue.db"), sqlite.Options{Migrations: migrations(), Durable: true})
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &Queue{cfg: cfg, db: db, commit: &committer{db: db}, wake: make(chan struct{}, 1)}
	q.spool.dir = filepath.Join(dir, "spool")
	q.sched.init()
	if err := q.recover(); err != nil {
		db.Close()
		return nil, fmt.Errorf("open queue: %w", err)
	}
	return q, nil
}

// notLost refuses to begin a new queue.db beside the bodies of an old one: recover would sweep them.
func notLost(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "queue.db")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	bodies, err := os.ReadDir(filepath.Join(dir, "spool"))
	if err != nil || len(bodies) == 0 {
		return err
	}
	return fmt.Errorf("queue.db is missing, and %s holds the text of %d messages that were on their way\n"+
		"Nothing has been changed. Copy that folder, then put back a backup of queue.db: texts that it doesn't know are removed. "+
		"Without a backup, move the folder away, and an empty queue is begun", filepath.Join(dir, "spool"), len(bodies))
}

func (cfg *Config) setDefaults() {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Schedule = cfg.Schedule.or(defaultSchedule())
	if cfg.MaxActive == 0 {
		cfg.MaxActive = 200
	}
	if cfg.Memory == 0 {
		cfg.Memory = 64 << 20
	}
	if cfg.MaxPause == 0 {
		cfg.MaxPause = 30 * time.Second
	}
	if cfg.StopPatience == 0 {
		cfg.StopPatience = 20 * time.Second
	}
}

// recover reads the counters and sweeps spool files that no message owns: those of
// an Add that a crash cut short, and of messages that have gone.
func (q *Queue) recover() error {
	ctx := context.Background()
	var message, job int64
	if err := q.db.QueryRow(ctx, "SELECT coalesce(max(num), 0) FROM message").Scan(&message); err != nil {
		return err
	}
	if err := q.db.QueryRow(ctx, "SELECT coalesce(max(num), 0) FROM job").Scan(&job); err != nil {
		return err
	}
	q.sched.lastMessage.Store(message)
	q.sched.lastJob.Store(job)
	return q.spool.sweep(func(id string) (bool, error) {
		var n int
		err := q.db.QueryRow(ctx, "SELECT count(*) FROM message WHERE id = ? AND done IS NULL", id).Scan(&n)
		return n > 0, err
	})
}

// Close closes the database. Run must have returned.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.sched.closed = true
	q.mu.Unlock()
	return q.db.Close()
}
