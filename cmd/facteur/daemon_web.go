package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"time"

	"facteur/admin/web"
)

// serveWeb adds the public HTTP: set-up for mail programs, our MTA-STS policy and ACME
// challenges on 80 and 443, and metrics where they are asked for.
func (d *Daemon) serveWeb(deps Deps) error {
	site, err := web.New(web.Config{
		Log: d.log, Now: deps.Now, Hostname: d.cfg.Hostname, Hosted: d.hostedOnWeb(), Services: d.cfg.offered(),
		Policy: d.cfg.policy, Challenge: d.parts.certs.Challenge, Metrics: d.metrics.registry,
		Ready: func(context.Context) error { return d.parts.store.Free() },
	})
	if err != nil {
		return err
	}
	serve := func(l net.Listener, config *tls.Config, h http.Handler) {
		d.serving = append(d.serving, func(ctx context.Context) error { return site.Serve(ctx, l, config, h) })
	}
	plain := site.Plain()
	if len(d.listeners[serviceHTTPS]) == 0 {
		plain = site.Public()
	}
	for _, l := range d.listeners[serviceHTTP] {
		serve(l, nil, plain)
	}
	for _, l := range d.listeners[serviceHTTPS] {
		serve(l, d.parts.certs.Client("h2", "http/1.1"), site.Public())
	}
	for _, l := range d.listeners[serviceMetrics] {
		serve(l, nil, site.Metrics())
	}
	return nil
}

// hostedOnWeb says which domains the web part is for: none when it is switched off and the
// port is only open for ACME.
func (d *Daemon) hostedOnWeb() func(string) bool {
	if d.cfg.Web.Enabled {
		return d.parts.directory.Hosted
	}
	return func(string) bool { return false }
}

// policyAge is how long others may keep our MTA-STS policy.
const policyAge = 7 * 24 * time.Hour

// policy is the MTA-STS policy of a hosted domain.
func (c *Config) policy(string) (web.Policy, bool) {
	if !c.Web.Enabled || c.Web.MTASTS == "none" {
		return web.Policy{}, false
	}
	return web.Policy{Mode: c.Web.MTASTS, MX: []string{c.Hostname}, MaxAge: policyAge}, true
}

// offered are the ways in for mail programs, the best first.
func (c *Config) offered() []web.Service {
	var list []web.Service
	for _, s := range []struct {
		protocol string
		starttls bool
		at       []ListenAddr
	}{
		{"imap", false, c.Listen.IMAPS}, {"imap", true, c.Listen.IMAP},
		{"pop3", false, c.Listen.POP3S}, {"pop3", true, c.Listen.POP3},
		{"smtp", false, c.Listen.Submissions}, {"smtp", true, c.Listen.Submission},
	} {
		if len(s.at) == 0 {
			continue
		}
		_, port, err := net.SplitHostPort(s.at[0].Address)
		if err != nil {
			continue // the configuration has been checked; a test may leave it out
		}
		number, err := strconv.Atoi(port)
		if err == nil && number > 0 {
			list = append(list, web.Service{Protocol: s.protocol, Port: number, STARTTLS: s.starttls})
		}
	}
	return list
}
