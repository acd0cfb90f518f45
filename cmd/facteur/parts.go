package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"facteur/admin"
	"facteur/auth"
	"facteur/auth/cert"
	"facteur/auth/sender"
	"facteur/mda"
	"facteur/mta/dns"
	"facteur/mta/queue"
	"facteur/mta/remote"
	"facteur/storage"
	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// Deps are what a Daemon gets from outside: the real network and clock from serve,
// loopback ones from demo and the tests.
type Deps struct {
	Log      *slog.Logger
	Now      func() time.Time
	Resolver *dns.Resolver
	Dial     remote.DialFunc // nil: the network
	Roots    *x509.CertPool  // whom remote servers' certificates are believed from; nil: as the system does

	// Listeners are open already (serve opens them as root); nil: opened by New.
	Listeners listeners
	// Authority opens the one that signs our certificates, which may write to the data folder: it is called under its
	// lock. nil: files, ACME or self-signed as configured.
	Authority func() (*cert.Authority, error)
	KeyLog    io.Writer
	// Elsewhere takes the mail for domains that are not ours and have no route; nil: their
	// MX does.
	Elsewhere func(*storage.Store) queue.Transport
}

// defaultDeps ask the real world, with the machine's resolver.
func defaultDeps(log *slog.Logger) Deps {
	return Deps{Log: log, Now: time.Now}
}

// parts are an open data folder.
type parts struct {
	lock      *admin.Lock
	journal   *admin.Journal
	log       *slog.Logger // lines about messages go to the journal too
	resolver  *dns.Resolver
	directory *auth.Directory
	keyring   *sender.Keyring
	store     *storage.Store
	queue     *queue.Queue
	agent     *mda.Agent
	sender    *remote.Sender
	sts       *remote.STS
	certs     *cert.Manager // nil: no server runs
}

// journalFile is the size at which the journal begins its next file, of four.
const journalFile = 32 << 20

// openParts opens the data folder under its lock. what names the process to others that want it.
func openParts(cfg Config, what string, log *slog.Logger, deps Deps) (*parts, error) {
	lock, err := admin.TakeLock(cfg.Data, what)
	if err != nil {
		return nil, whose(cfg.Data, err)
	}
	p := &parts{lock: lock, resolver: deps.Resolver}
	if err := p.open(cfg, log, deps); err != nil {
		return nil, errors.Join(advise(err), p.close())
	}
	return p, nil
}

// advise adds to the error of a database that can't be made again what can be done. The index of an
// account, which can, never comes here.
func advise(err error) error {
	switch {
	case sqlite.IsCorrupt(err):
		return fmt.Errorf("%w\nThe file is damaged, and nothing has been changed. Put back a backup of it, without the -wal and -shm files beside it, "+
			"or save what can be saved: sqlite3 FILE .recover | sqlite3 NEW", err)
	case errors.Is(err, sqlite.ErrFuture):
		return fmt.Errorf("%w\nRun that version, or put back a backup of the file from before the update", err)
	}
	return err
}

func (p *parts) open(cfg Config, log *slog.Logger, deps Deps) error {
	var err error
	if p.journal, err = admin.OpenJournal(cfg.Data, journalFile); err != nil {
		return err
	}
	p.log = slog.New(p.journal.Handler(log.Handler()))
	if p.resolver == nil {
		p.resolver, err = dns.New(dns.Config{Servers: cfg.DNS.servers(), Timeout: time.Duration(cfg.DNS.Timeout), Trust: cfg.DNS.Trust, Now: deps.Now, Log: p.log})
		if err != nil {
			return err
		}
	}
	p.directory, err = auth.Open(filepath.Join(cfg.Data, "server.db"), auth.Config{
		Log: p.log, Now: deps.Now, Hostname: cfg.Hostname, Separators: cfg.Address.Separators, IgnoreDots: cfg.Address.IgnoreDots,
		Plus: cfg.Submit.ScramPlus, Throttle: cfg.Limits.PerAddress > 0, Leaf: p.leaf,
	})
	if err != nil {
		return err
	}
	if p.keyring, err = sender.OpenKeyring(filepath.Join(cfg.Data, "dkim"), deps.Now); err != nil {
		return err
	}
	p.store, err = storage.Open(filepath.Join(cfg.Data, "mail"), storage.Config{
		Log: p.log, Now: deps.Now, Hostname: cfg.Hostname, LowWater: cfg.Storage.lowWater(),
		Quota: p.quota(cfg.Storage), FullText: cfg.Storage.FullText && hasFTS5,
	})
	if err != nil {
		return err
	}
	router, err := newRouter(cfg, deps, p)
	if err != nil {
		return err
	}
	p.queue, err = queue.Open(cfg.Data, queue.Config{
		Log: p.log, Now: deps.Now, Hostname: cfg.Hostname,
		Postmaster: message.AddrSpec{Local: "postmaster", Domain: cfg.Hostname},
		Route:      router.route,
		Schedule: queue.Schedule{
			First: time.Duration(cfg.Queue.First), Max: time.Duration(cfg.Queue.Max),
			Delay: time.Duration(cfg.Queue.Delay), GiveUp: time.Duration(cfg.Queue.GiveUp),
		},
		Sign:   signer{p.keyring}.Sign,
		Limits: p.sendLimits(cfg.Submit),
	})
	if err != nil {
		return err
	}
	p.agent = mda.New(mda.Config{Log: p.log, Users: p.directory, Store: p.store, Forward: p.queue, Now: deps.Now,
		DetailFolders: cfg.Address.Folders})
	router.local = p.agent
	return nil
}

// knowsOwners compares the accounts there are with the mail there is. A server that came up without its
// server.db would tell every sender, for good, that nobody is there: it must not serve.
func (p *parts) knowsOwners(ctx context.Context, data string) error {
	known, err := p.directory.Accounts(ctx)
	if err != nil {
		return err
	}
	ownerless, err := p.store.Accounts()
	if err != nil {
		return err
	}
	for _, a := range known {
		ownerless = slices.DeleteFunc(ownerless, func(name string) bool { return name == a.Name })
	}
	// A folder without mail is no loss: "facteur account add" has been killed.
	ownerless = slices.DeleteFunc(ownerless, func(name string) bool { return p.isEmpty(ctx, name) })
	switch {
	case len(ownerless) == 0:
	case len(known) == 0:
		return fmt.Errorf("server.db knows no account, but %s holds the mail of %d, such as %s: has server.db been lost?\n"+
			"The mail has not been touched. Put back a backup of server.db, or make domain and accounts anew with \"facteur domain add\" and "+
			"\"facteur account add\": each finds its mail as it was", filepath.Join(data, "mail"), len(ownerless), ownerless[0])
	default:
		p.log.Warn("there is mail of accounts that server.db doesn't know; \"facteur account add\" gives it back to its owner",
			"accounts", len(ownerless), "account", ownerless[0])
	}
	return nil
}

// isEmpty reports whether an account's folder is known to hold no message.
func (p *parts) isEmpty(ctx context.Context, name string) bool {
	mail, err := p.store.Account(ctx, name)
	if err != nil {
		return false
	}
	defer mail.Release()
	usage, err := mail.Usage(ctx)
	return err == nil && usage.Messages == 0
}

// close closes what is open, the newest first.
func (p *parts) close() error {
	var errs []error
	if p.queue != nil {
		errs = append(errs, p.queue.Close())
	}
	if p.sender != nil {
		errs = append(errs, p.sender.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.directory != nil {
		errs = append(errs, p.directory.Close())
	}
	if p.journal != nil {
		errs = append(errs, p.journal.Close())
	}
	return errors.Join(append(errs, p.lock.Release())...)
}

// leaf is the certificate that a client which asked for a name was shown.
func (p *parts) leaf(serverName string) *x509.Certificate {
	if p.certs == nil {
		return nil
	}
	return p.certs.Leaf(serverName)
}

// quota is what an account may keep: its own limits, else the configured ones.
func (p *parts) quota(cfg StorageConfig) func(string) storage.Quota {
	return func(name string) storage.Quota {
		q := storage.Quota{Bytes: int64(cfg.Quota), Messages: int64(cfg.QuotaMessages)}
		a, err := p.directory.Account(context.Background(), name)
		if err != nil {
			return q
		}
		if a.QuotaBytes > 0 {
			q.Bytes = a.QuotaBytes
		}
		if a.QuotaMessage > 0 {
			q.Messages = a.QuotaMessage
		}
		return q
	}
}

// sendLimits are what an account may send: its own limit, else the configured ones.
func (p *parts) sendLimits(cfg SubmitConfig) func(context.Context, string) queue.Limits {
	return func(ctx context.Context, name string) queue.Limits {
		limits := queue.Limits{Messages: cfg.PerDay, Fresh: cfg.NewRecipients}
		if a, err := p.directory.Account(ctx, name); err == nil && a.SendPerDay > 0 {
			limits.Messages = a.SendPerDay
		}
		return limits
	}
}

// service is the admin's view of the open folder.
func (p *parts) service(cfg Config) *admin.Local {
	return &admin.Local{
		Directory: p.directory, Store: p.store, Queue: p.queue, Sender: p.sender, Keyring: p.keyring, Resolver: p.resolver, Journal: p.journal,
		Site: cfg.site(),
		Info: admin.Status{Version: buildVersion(), PID: os.Getpid(), Hostname: cfg.Hostname, Data: cfg.Data},

		MaxMessage: int64(cfg.Limits.MessageSize),
	}
}

// site is what DNS has to say of this server: its addresses are those it listens on, or
// the machine's public ones.
func (c *Config) site() admin.Site {
	s := admin.Site{Hostname: c.Hostname, Web: c.Web.Enabled, Services: c.srvServices()}
	if policy, ok := c.policy(""); ok {
		s.Policy = policy.String()
	}
	for _, l := range c.Listen.MX {
		if ap, err := netip.ParseAddrPort(l.Address); err == nil && !ap.Addr().IsUnspecified() {
			s.Addresses = append(s.Addresses, ap.Addr())
		}
	}
	if s.Addresses != nil {
		return s
	}
	found, err := net.InterfaceAddrs()
	if err != nil {
		return s // then the records lack A and AAAA, and say so
	}
	for _, a := range found {
		prefix, err := netip.ParsePrefix(a.String())
		if ip := prefix.Addr(); err == nil && ip.IsGlobalUnicast() && !ip.IsPrivate() && !carrierNAT.Contains(ip) {
			s.Addresses = append(s.Addresses, ip)
		}
	}
	return s
}

// srvServices are the services that SRV records lead mail programs to. IMAP and POP3 with STARTTLS are not among
// them: RFC 8314 3.3 prefers TLS from the first octet.
func (c *Config) srvServices() []string {
	var list []string
	for _, s := range []struct {
		name string
		at   []ListenAddr
	}{
		{"_imaps", c.Listen.IMAPS}, {"_submissions", c.Listen.Submissions}, {"_submission", c.Listen.Submission}, {"_pop3s", c.Listen.POP3S},
	} {
		if len(s.at) > 0 {
			list = append(list, s.name)
		}
	}
	return list
}

// carrierNAT are addresses behind a provider's NAT (RFC 6598).
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// newLogger makes the log of serve and demo.
func newLogger(w io.Writer, cfg LogConfig) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.Level(cfg.Level)}
	if cfg.Format == LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
