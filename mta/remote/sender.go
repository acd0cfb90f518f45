package remote

import (
	"crypto/x509"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Config of a Sender.
type Config struct {
	Log      *slog.Logger
	Now      func() time.Time
	Resolver Resolver
	Hello    string // our name in EHLO, resolving to our address

	Port     int      // of MX hosts: 25
	Dial     DialFunc // nil: the network, from the addresses below
	SourceV4 netip.Addr
	SourceV6 netip.Addr

	// SelfNames and SelfAddrs are this server as MX records know it: mail for a
	// domain we don't host that leads here is a loop.
	SelfNames []string
	SelfAddrs []netip.Addr

	Roots    *x509.CertPool // nil: those of the system
	STS      *STS           // nil: no MTA-STS
	Outcomes string         // the file that keeps the outcomes of TLS over a restart; empty: nothing does
	Timeouts Timeouts
}

// Sender delivers to other servers. It is safe for concurrent use, and is the
// queue's transport for domains that are not ours.
type Sender struct {
	cfg  Config
	idle *pool

	mu       sync.Mutex
	outcomes map[string]TLSOutcome // by host name
	news     bool                  // something in outcomes has not been written to the file
}

// New returns a Sender.
func New(cfg Config) *Sender {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Port == 0 {
		cfg.Port = 25
	}
	if cfg.Dial == nil {
		cfg.Dial = sourceDialer(cfg.SourceV4, cfg.SourceV6)
	}
	cfg.Timeouts = cfg.Timeouts.withDefaults()
	s := &Sender{cfg: cfg, idle: newPool(idlePerHost, idleTime), outcomes: map[string]TLSOutcome{}}
	s.loadOutcomes()
	return s
}

// Close closes the idle connections and keeps the outcomes. Deliveries that run go on.
func (s *Sender) Close() error {
	s.idle.close()
	return s.saveOutcomes()
}
