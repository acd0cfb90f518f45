package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"facteur/admin"
	"facteur/auth/cert"
)

// Daemon is a whole server: the open data folder, its sockets, and everything that
// serves them. serve, demo and the end-to-end tests differ only in what they give New.
type Daemon struct {
	cfg       Config
	log       *slog.Logger
	parts     *parts
	listeners listeners
	admin     net.Listener
	service   *admin.Local
	metrics   *metrics
	serving   []func(ctx context.Context) error
}

// New opens the data folder and the sockets. When it returns, clients that connect
// wait for Run. Run closes everything, also after an error.
func New(cfg Config, deps Deps) (*Daemon, error) {
	d := &Daemon{cfg: cfg, listeners: deps.Listeners}
	if d.listeners == nil {
		var err error
		if d.listeners, err = listen(&cfg); err != nil {
			return nil, err
		}
	}
	if err := d.open(deps); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *Daemon) open(deps Deps) error {
	var err error
	if d.parts, err = openParts(d.cfg, "facteur serve", deps.Log, deps); err != nil {
		return err
	}
	d.log = d.parts.log
	if err := d.parts.knowsOwners(context.Background(), d.cfg.Data); err != nil {
		return err
	}
	certs, err := d.cfg.certConfig(d.log, deps)
	if err != nil {
		return err
	}
	if certs.ACME != nil {
		certs.ACME.HTTPPort, certs.ACME.TLSPort = d.listeners.port(serviceHTTP), d.listeners.port(serviceHTTPS)
	}
	if d.parts.certs, err = cert.New(certs); err != nil {
		return err
	}
	if d.admin, err = admin.Listen(d.cfg.Data); err != nil {
		return err
	}
	d.service = d.parts.service(d.cfg)
	d.service.Certs = d.parts.certs
	d.service.Info.Running, d.service.Info.Started = true, deps.Now()
	d.metrics = newMetrics(d.parts.queue)
	d.serveAdmin()
	if err := d.serveIMAP(deps); err != nil {
		return err
	}
	if err := d.servePOP3(); err != nil {
		return err
	}
	if err := d.serveWeb(deps); err != nil {
		return err
	}
	return d.serveSMTP(deps)
}

// certConfig says where certificates come from.
func (c *Config) certConfig(log *slog.Logger, deps Deps) (cert.Config, error) {
	out := cert.Config{
		Log: log, Now: deps.Now, Dir: filepath.Join(c.Data, "tls"), Hosts: append([]string{c.Hostname}, c.TLS.Hosts...),
	}
	if deps.Authority != nil {
		var err error
		if out.CA, err = deps.Authority(); err != nil {
			return out, err
		}
	}
	if deps.KeyLog != nil {
		out.KeyLog = deps.KeyLog
	}
	for _, f := range c.TLS.Files {
		out.Files = append(out.Files, cert.Pair(f))
	}
	if !c.TLS.ACME.Agree {
		return out, nil
	}
	roots, err := c.TLS.ACME.pool()
	out.ACME = &cert.ACME{Directory: c.TLS.ACME.Directory, Email: c.TLS.ACME.Email, Agreed: true, Roots: roots,
		ReuseKeys: c.TLS.ACME.ReuseKeys}
	return out, err
}

// Run serves until ctx ends, then finishes what is under way and closes everything.
// It returns nil when it ended because of ctx.
func (d *Daemon) Run(ctx context.Context) error {
	defer roomyHeap()()
	group, ctx := errgroup.WithContext(ctx)
	run := func(name string, f func(context.Context) error) {
		group.Go(func() error {
			if err := f(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	run("directory", d.parts.directory.Run)
	run("store", d.parts.store.Run)
	run("queue", d.parts.queue.Run)
	run("outgoing", d.parts.sender.Run)
	run("MTA-STS", d.parts.sts.Run)
	run("certificates", d.parts.certs.Run)
	run("signing keys", d.advanceKeys)
	for _, serve := range d.serving {
		run("server", serve)
	}
	d.log.Info("ready", "hostname", d.cfg.Hostname, "data", d.cfg.Data, "version", buildVersion())
	err := group.Wait()
	if err = errors.Join(err, d.close()); err == nil {
		d.log.Info("stopped")
	}
	return err
}

// advanceKeys takes the second step of DKIM rotations every hour: keys whose records DNS shows
// begin to sign, retired ones go after a week.
func (d *Daemon) advanceKeys(ctx context.Context) error {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hourly.C:
		}
		changed, err := d.parts.keyring.Advance(ctx, d.parts.resolver)
		if err != nil {
			d.log.Warn("DKIM keys not looked after", "error", err)
		}
		for _, k := range changed {
			d.log.Info("DKIM key changed", "domain", k.Domain, "selector", k.Selector, "state", string(k.State))
		}
	}
}

// Reload takes over what can be changed while running: the certificate files that the configuration
// named at the start.
func (d *Daemon) Reload() error { return d.parts.certs.Reload() }

// Addr is where a service listens, for who chose port 0.
func (d *Daemon) Addr(s service) net.Addr { return d.listeners[s][0].Addr() }

func (d *Daemon) close() error {
	d.listeners.close()
	if d.admin != nil {
		d.admin.Close()
	}
	if d.parts == nil {
		return nil
	}
	return d.parts.close()
}

// incoming is the folder below the data folder for large messages on their way in.
const incoming = "incoming"

// shutdownGrace is how long transactions may go on after the end has been asked for.
const shutdownGrace = 30 * time.Second

// serveHTTP adds a server of an HTTP handler.
func (d *Daemon) serveHTTP(h http.Handler, l net.Listener) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
	d.serving = append(d.serving, func(ctx context.Context) error {
		ended := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(ended)
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
			defer cancel()
			// What has not ended by then is cut off by Close.
			_ = server.Shutdown(grace)
			server.Close()
		})
		err := server.Serve(l)
		if !stop() {
			<-ended
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
}

func (d *Daemon) serveAdmin() { d.serveHTTP(admin.Handler(d.service, d.log), d.admin) }
