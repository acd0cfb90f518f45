package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"facteur/admin"
	"facteur/auth/cert"
	"facteur/mta/dns"
)

// demoOptions are the flags of "facteur demo".
type demoOptions struct {
	dir, domain, listen, dns, keylog string
	shift                            int
	plainAuth, checkSenders, quiet   bool
	routes                           []string
}

const demoPassword = "facteur"

func (c *cli) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a complete server on this machine, without configuration, network or root", Args: noArgs,
		Long: `Runs a whole server on loopback, with a domain, two accounts and a certificate authority
of its own. Mail for other domains goes through the real queue into the mailbox "Sink" of alice.
Its data is gone when it ends; with --dir it stays, and the next demo goes on with it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.demo(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", "", "data `folder` (default: a new temporary one)")
	f.StringVar(&o.domain, "domain", "demo.test", "`domain` to host")
	f.StringVar(&o.listen, "listen", "127.0.0.1", "`address` to listen on")
	f.IntVar(&o.shift, "shift", 0, "`number` to add to every port")
	f.BoolVar(&o.plainAuth, "plain-auth", false, "allow logins without TLS, for test tools")
	f.StringArrayVar(&o.routes, "route", nil, "`DOMAIN=HOST:PORT`: mail for the domain goes there instead of the sink; repeatable")
	f.StringVar(&o.dns, "dns", "", "ask this DNS `server` instead of the built-in zone")
	f.BoolVar(&o.checkSenders, "check-senders", true, "SPF, DKIM, DMARC, ARC")
	f.StringVar(&o.keylog, "keylog", "", "append TLS secrets to this `file`, for Wireshark")
	f.BoolVar(&o.quiet, "quiet", false, "log only warnings")
	return cmd
}

// demo differs from serve in nothing but what it gives New.
func (c *cli) demo(ctx context.Context, o demoOptions) error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	if o.dir == "" {
		if cfg.Data, err = os.MkdirTemp("", "facteur-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(cfg.Data)
	}
	deps := defaultDeps(newLogger(c.err, cfg.Log))
	deps.Elsewhere = newSink("alice@" + o.domain)
	if o.keylog != "" {
		f, err := openKeyLog(o.keylog)
		if err != nil {
			return err
		}
		defer f.Close()
		deps.KeyLog = f
	}
	zone, err := dns.NewZone("")
	if err != nil {
		return err
	}
	if o.dns == "" {
		if deps.Resolver, err = dns.New(dns.Config{Zone: zone, Log: deps.Log}); err != nil {
			return err
		}
	}
	deps.Authority = func() (*cert.Authority, error) { return cert.OpenAuthority(cfg.Data, deps.Now()) }
	d, err := New(cfg, deps)
	if port := (*listenError)(nil); errors.As(err, &port) { // there is no configuration to change
		return fmt.Errorf("listen for %s: %w: --shift moves all ports, --listen changes the address", port.name, port.err)
	}
	if err != nil {
		return err
	}
	if err := o.populate(ctx, d.service); err != nil {
		return errors.Join(err, d.close())
	}
	text, err := o.zone(ctx, d.service)
	if err == nil {
		err = zone.Load(text)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("built-in zone: %w", err), d.close())
	}
	if err := c.showDemo(o, cfg); err != nil {
		return errors.Join(err, d.close())
	}
	return runDaemon(ctx, d, deps.Log, func() {}) // it reads no files
}

// config is DefaultConfig with high ports on loopback and without limits by address.
func (o *demoOptions) config() (Config, error) {
	cfg := DefaultConfig()
	if _, err := netip.ParseAddr(o.listen); err != nil {
		return cfg, usage("--listen %q is not an IP address", o.listen)
	}
	if o.shift <= -2080 || o.shift > 65535-2995 { // the lowest and the highest port below
		return cfg, usage("--shift %d leads to ports that are none", o.shift)
	}
	cfg.Hostname = "mail." + o.domain
	cfg.Data, _ = filepath.Abs(o.dir) // fails only without a working directory; New then says what it tried
	at := func(port int) []ListenAddr {
		return []ListenAddr{{"tcp", net.JoinHostPort(o.listen, fmt.Sprint(port+o.shift))}}
	}
	cfg.Listen = ListenConfig{
		MX: at(2525), Submission: at(2587), Submissions: at(2465), IMAP: at(2143), IMAPS: at(2993),
		POP3: at(2110), POP3S: at(2995), HTTP: at(2080), Metrics: at(2090),
	}
	cfg.TLS.Hosts = []string{"localhost", "127.0.0.1", "::1", o.domain}
	cfg.Submit.PlainAuth = o.plainAuth
	cfg.Submit.PerDay, cfg.Submit.NewRecipients = 0, 0
	cfg.MX.CheckSenders = o.checkSenders
	cfg.Limits.PerAddress, cfg.Limits.IMAPPerAddress, cfg.Limits.MessagesPerSession = 0, 0, 0
	if o.quiet {
		if err := cfg.Log.Level.UnmarshalText([]byte("warn")); err != nil {
			return cfg, err
		}
	}
	if o.dns != "" {
		var s DNSServer
		if err := s.UnmarshalText([]byte(o.dns)); err != nil {
			return cfg, usage("--dns: %w", err)
		}
		cfg.DNS.Servers = []DNSServer{s}
	}
	for _, r := range o.routes {
		domain, host, ok := strings.Cut(r, "=")
		route := Route{Domain: domain, Host: host}
		if !ok {
			return cfg, usage("--route %q is not DOMAIN=HOST:PORT", r)
		}
		if err := route.check(); err != nil {
			return cfg, usage("--route %q: %w", r, err)
		}
		cfg.Routes = append(cfg.Routes, route)
	}
	return cfg, nil
}

// populate makes what is missing of the domain, its keys and its accounts: a demo may
// be run again on its folder.
func (o *demoOptions) populate(ctx context.Context, s admin.Service) error {
	domains, err := s.Domains(ctx, admin.None{})
	if err != nil || len(domains) > 0 {
		return err
	}
	if _, err := s.AddDomain(ctx, admin.Domain{Name: o.domain}); err != nil {
		return err
	}
	// Keys and password hashes take most of the first start's time.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := s.AddKey(ctx, admin.NewKey{Domain: o.domain})
		return err
	})
	for _, name := range []string{"alice", "bob"} {
		group.Go(func() error {
			_, err := s.AddAccount(ctx, admin.NewAccount{Name: name + "@" + o.domain, Password: demoPassword})
			return err
		})
	}
	err = group.Wait()
	debug.FreeOSMemory() // hashing took 20 MiB for each password, which an idle server would keep for minutes
	return err
}

// zone is what the built-in DNS says: the records that a real domain would publish, with
// the server on loopback.
func (o *demoOptions) zone(ctx context.Context, s admin.Service) (string, error) {
	records, err := s.DomainRecords(ctx, admin.Name{Name: o.domain})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	writeZone(&text, records)
	fmt.Fprintf(&text, "mail.%s. IN A 127.0.0.1\nmail.%s. IN AAAA ::1\n", o.domain, o.domain)
	fmt.Fprintf(&text, "1.0.0.127.in-addr.arpa. IN PTR mail.%s.\n", o.domain)
	return text.String(), nil
}

func (c *cli) showDemo(o demoOptions, cfg Config) error {
	port := func(list []ListenAddr) string { return list[0].Address }
	info := struct {
		Dir         string   `json:"dir"`
		CA          string   `json:"ca"`
		Domain      string   `json:"domain"`
		Accounts    []string `json:"accounts"`
		Password    string   `json:"password"`
		MX          string   `json:"mx"`
		Submission  string   `json:"submission"`
		Submissions string   `json:"submissions"`
		IMAP        string   `json:"imap"`
		IMAPS       string   `json:"imaps"`
		POP3        string   `json:"pop3"`
		POP3S       string   `json:"pop3s"`
		HTTP        string   `json:"http"`
		Metrics     string   `json:"metrics"`
	}{
		cfg.Data, filepath.Join(cfg.Data, "ca.pem"), o.domain, []string{"alice@" + o.domain, "bob@" + o.domain}, demoPassword,
		port(cfg.Listen.MX), port(cfg.Listen.Submission), port(cfg.Listen.Submissions), port(cfg.Listen.IMAP), port(cfg.Listen.IMAPS),
		port(cfg.Listen.POP3), port(cfg.Listen.POP3S), port(cfg.Listen.HTTP), port(cfg.Listen.Metrics),
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	ends := ""
	if o.dir == "" {
		ends = " and removes its data"
	}
	return c.show(info, func(w io.Writer) {
		strings.NewReplacer("{program}", program, "{domain}", o.domain, "{accounts}", strings.Join(info.Accounts, " and "),
			"{password}", demoPassword, "{mx}", info.MX, "{submission}", info.Submission, "{submissions}", info.Submissions,
			"{imap}", info.IMAP, "{imaps}", info.IMAPS, "{pop3}", info.POP3, "{pop3s}", info.POP3S, "{http}", info.HTTP, "{metrics}", info.Metrics,
			"{dir}", info.Dir, "{ca}", info.CA, "{ends}", ends).WriteString(w, demoText)
	})
}

const demoText = `Facteur demo: domain {domain}, accounts {accounts}, password {password}
  mail from others   MX {mx}
  mail from users    submission {submission} (STARTTLS), submissions {submissions} (TLS)
  reading mail       IMAP {imap} (STARTTLS), IMAPS {imaps} (TLS)
                     POP3 {pop3} (STLS), POP3S {pop3s} (TLS)
  web                http://{http}, metrics http://{metrics}/metrics
  data               {dir} (bob's mail: {dir}/mail/{domain}/bob)
  CA certificate     {ca}

Try it in another shell. Bob gets a message from elsewhere, and reads it:

{program} send --server {mx} --from carol@elsewhere.test --to bob@{domain} --trace
curl --cacert {ca} --user bob@{domain}:{password} "imaps://{imaps}/INBOX;MAILINDEX=1"

Bob answers. What leaves the domain ends in alice's mailbox Sink, with its signatures:

FACTEUR_PASSWORD={password} {program} send --server {submission} --ca {ca} --user bob@{domain} --to carol@elsewhere.test
curl --cacert {ca} --user alice@{domain}:{password} "imaps://{imaps}/Sink;MAILINDEX=1"

Ctrl-C ends it{ends}.
`
