package main

import (
	"context"
	"net/netip"
	"path/filepath"
	"time"

	"facteur/auth/sender"
	"facteur/mta/dns"
	"facteur/mta/smtpd"
	"facteur/pop3"
)

// servePOP3 adds a POP3 server for each kind of listener.
func (d *Daemon) servePOP3() error {
	for name, implicit := range map[service]bool{servicePOP3: false, servicePOP3S: true} {
		if len(d.listeners[name]) == 0 {
			continue
		}
		server, err := pop3.New(pop3.Config{
			Hostname: d.cfg.Hostname, TLS: d.parts.certs.Client("pop3"), Implicit: implicit, PlainAuth: d.cfg.Submit.PlainAuth,
			Store: d.parts.store, Auth: d.parts.directory, Limits: d.cfg.Limits.pop3(), Log: d.log,
		})
		if err != nil {
			return err
		}
		for _, l := range d.listeners[name] {
			d.serving = append(d.serving, func(ctx context.Context) error { return server.Serve(ctx, l) })
		}
	}
	return nil
}

// serveSMTP adds a server for each kind of SMTP listener.
func (d *Daemon) serveSMTP(deps Deps) error {
	for name, kind := range map[service]smtpd.Kind{
		serviceMX: smtpd.MX, serviceSubmission: smtpd.Submission, serviceSubmissions: smtpd.Submissions,
	} {
		if len(d.listeners[name]) == 0 {
			continue
		}
		cfg := d.smtpConfig(kind, deps)
		if kind == smtpd.MX {
			d.addMX(&cfg, deps)
		}
		server, err := smtpd.New(cfg)
		if err != nil {
			return err
		}
		for _, l := range d.listeners[name] {
			d.serving = append(d.serving, func(ctx context.Context) error { return server.Serve(ctx, l) })
		}
	}
	return nil
}

// smtpConfig is what all kinds have in common, and what submission needs.
func (d *Daemon) smtpConfig(kind smtpd.Kind, deps Deps) smtpd.Config {
	cfg := smtpd.Config{
		Kind: kind, Hostname: d.cfg.Hostname, TLS: d.parts.certs.Client("smtp"), PlainAuth: d.cfg.Submit.PlainAuth,
		SpoolDir: filepath.Join(d.cfg.Data, incoming), Limits: d.cfg.Limits.smtp(kind), Log: d.log, Now: deps.Now,
		Free: d.parts.store.Free, Queue: d.parts.queue, ForgedResult: sender.ForgedResult, Observe: d.metrics.observe,
		Auth: d.parts.directory, Senders: d.parts.directory, Signer: signer{d.parts.keyring},
		Recipients: d.parts.agent, // a slip of the pen in one of our own addresses is told at once
	}
	return cfg
}

// addMX adds what only port 25 needs.
func (d *Daemon) addMX(cfg *smtpd.Config, deps Deps) {
	cfg.TLS = d.parts.certs.MX()
	cfg.Deliverer = d.parts.agent
	cfg.Names = names{d.parts.resolver}
	if d.cfg.MX.CheckSenders {
		cfg.Verifier = newVerifier(d.cfg, d.parts.resolver, deps.Now)
	}
	var lists []smtpd.List
	for _, zone := range d.cfg.MX.BlockLists {
		lists = append(lists, smtpd.List{Zone: zone})
	}
	for _, zone := range d.cfg.MX.AllowLists {
		lists = append(lists, smtpd.List{Zone: zone, Allow: true})
	}
	if lists != nil {
		cfg.Lists = &smtpd.Lists{DNS: d.parts.resolver, Lists: lists, Log: d.log, Now: deps.Now}
	}
	if d.cfg.MX.Greylist {
		cfg.First = &smtpd.FirstContact{
			Wait: 5 * time.Minute, Keep: 30 * 24 * time.Hour, Max: 100000, File: filepath.Join(d.cfg.Data, "first-contact.json"),
		}
		if err := cfg.First.Load(); err != nil {
			d.log.Warn("known senders are forgotten", "error", err)
		}
		d.serving = append(d.serving, cfg.First.Run)
	}
}

// smtp are the limits of one kind of listener.
func (l LimitsConfig) smtp(kind smtpd.Kind) smtpd.Limits {
	out := smtpd.DefaultLimits(kind)
	out.Message, out.Header, out.Hops = int64(l.MessageSize), int64(l.HeaderSize), l.Received
	out.Recipients, out.Messages, out.Errors = l.Recipients, l.MessagesPerSession, l.Errors
	out.Command, out.Data, out.Session = time.Duration(l.Command), time.Duration(l.Data), time.Duration(l.Session)
	out.Sessions, out.PerAddress = l.Connections, l.PerAddress
	if l.PerAddress == 0 { // addresses are not counted: no delays for them either
		out.PerMinute, out.Delay, out.Greet = 0, 0, 0
	}
	if kind != smtpd.MX {
		out.Recipients = l.SubmissionRecipients
	}
	return out
}

// pop3 are the limits of the POP3 listeners.
func (l LimitsConfig) pop3() pop3.Limits {
	out := pop3.DefaultLimits()
	out.PerAddress = l.PerAddress
	return out
}

// names finds reverse names that resolve back (FcrDNS).
type names struct{ r *dns.Resolver }

// Reverse implements smtpd.Names.
func (n names) Reverse(ctx context.Context, addr netip.Addr) string {
	return sender.CheckIPRev(ctx, n.r, addr).Name
}
