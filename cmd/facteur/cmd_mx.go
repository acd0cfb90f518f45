package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"facteur/mta/dns"
	"facteur/storage/message"
)

// mxReport is what a mail server sees of a domain.
type mxReport struct {
	Domain string   `json:"domain"`
	MX     []mxHost `json:"mx"`
	NullMX bool     `json:"null_mx,omitempty"`
	SPF    []string `json:"spf,omitempty"`
	DMARC  []string `json:"dmarc,omitempty"`
	MTASTS []string `json:"mta_sts,omitempty"`
	TLSRPT []string `json:"tls_rpt,omitempty"`
	Faults []string `json:"faults,omitempty"`
}

type mxHost struct {
	Preference uint16       `json:"preference"`
	Host       string       `json:"host"`
	Implicit   bool         `json:"implicit,omitempty"` // the domain itself (RFC 5321 5.1)
	Addresses  []netip.Addr `json:"addresses"`
	Answers    []answer     `json:"answers,omitempty"` // with --connect, of each address
}

// mxOptions are the flags of "facteur mx".
type mxOptions struct {
	dns, ca string
	connect bool
	port    int
}

func (c *cli) mxCommand() *cobra.Command {
	var o mxOptions
	cmd := &cobra.Command{
		Use: "mx DOMAIN", Short: "Show what a mail server sees of a domain", Args: args(cobra.ExactArgs(1)),
		Long: `Looks the domain's mail servers and policies up in DNS. With --connect it also calls each server and shows its
greeting, what it offers, and what TLS and certificate it has. Nothing is sent. With the domain of a large provider
it tells whether outgoing port 25 is open.`,
		Example: "  facteur mx gmail.com --connect",
		RunE: func(cmd *cobra.Command, a []string) error {
			domain, err := message.ParseDomain(a[0])
			if err != nil {
				return usage("%q is not a domain name", a[0])
			}
			r, err := c.resolver(o.dns)
			if err != nil {
				return err
			}
			call, err := c.newCaller(o)
			if err != nil {
				return err
			}
			report := lookMX(cmd.Context(), r, domain)
			if o.connect {
				call.callAll(cmd.Context(), &report)
			}
			err = c.show(report, report.write)
			if err == nil && report.Faults != nil {
				err = &exitError{exitProblems, nil}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dns, "dns", "", "ask this `server` and no other")
	f.BoolVar(&o.connect, "connect", false, "call each server and show what it answers")
	f.IntVar(&o.port, "port", 25, "`number` of the port for --connect")
	f.StringVar(&o.ca, "ca", "", "PEM `file` of the authority to believe, for --connect")
	return cmd
}

// resolver asks one server when it is named, else those of the configuration, else those
// of the machine.
func (c *cli) resolver(server string) (*dns.Resolver, error) {
	cfg := dns.Config{Log: slog.New(slog.DiscardHandler)}
	if server != "" {
		var s DNSServer
		if err := s.UnmarshalText([]byte(server)); err != nil {
			return nil, usage("--dns: %w", err)
		}
		cfg.Servers = []netip.AddrPort{netip.AddrPort(s)}
		return dns.New(cfg)
	}
	if file, err := c.configFile(); err == nil {
		config, err := LoadConfig(file)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		cfg.Servers, cfg.Trust = config.DNS.servers(), config.DNS.Trust
	}
	return dns.New(cfg)
}

func lookMX(ctx context.Context, r *dns.Resolver, domain string) mxReport {
	report := mxReport{Domain: domain}
	answer, err := r.MX(ctx, domain)
	switch {
	case dns.IsNXDomain(err):
		report.fault("there is no domain %s", domain)
		return report
	case dns.IsNotFound(err):
		report.MX = []mxHost{{Host: domain, Implicit: true}}
	case err != nil:
		report.fault("%w", err)
		return report // nothing is known of the rest
	}
	for _, mx := range answer.Records {
		report.NullMX = report.NullMX || mx.Host == ""
		report.MX = append(report.MX, mxHost{Preference: mx.Preference, Host: mx.Host})
	}
	slices.SortStableFunc(report.MX, func(a, b mxHost) int { return int(a.Preference) - int(b.Preference) })
	for i := range report.MX {
		h := &report.MX[i]
		if h.Host == "" {
			continue
		}
		h.Addresses, err = addresses(ctx, r, h.Host)
		if err != nil {
			report.fault("%w", err)
		} else if len(h.Addresses) == 0 {
			report.fault("%s has no address", h.Host)
		}
	}
	report.SPF = report.policy(ctx, r, domain, "v=spf1")
	report.DMARC = report.policy(ctx, r, "_dmarc."+domain, "v=dmarc1")
	report.MTASTS = report.policy(ctx, r, "_mta-sts."+domain, "v=stsv1")
	report.TLSRPT = report.policy(ctx, r, "_smtp._tls."+domain, "v=tlsrptv1")
	return report
}

func (m *mxReport) fault(format string, args ...any) {
	m.Faults = append(m.Faults, fmt.Errorf(format, args...).Error())
}

// policy finds the TXT records of a name that begin with a policy's tag. There may be one.
func (m *mxReport) policy(ctx context.Context, r *dns.Resolver, name, version string) []string {
	answer, err := r.TXT(ctx, name)
	if err != nil && !dns.IsNotFound(err) {
		m.fault("%w", err)
	}
	found := slices.DeleteFunc(answer.Records, func(txt string) bool { return tag(txt) != version })
	if len(found) > 1 {
		m.fault("%s has %d records that begin with %q: none counts", name, len(found), version)
	}
	return found
}

// addresses returns all addresses of a host; none and no error when DNS says there are none.
func addresses(ctx context.Context, r *dns.Resolver, host string) ([]netip.Addr, error) {
	v6, err6 := r.IPv6(ctx, host)
	v4, err4 := r.IPv4(ctx, host)
	var errs []error
	for _, err := range []error{err6, err4} {
		if err != nil && !dns.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return slices.Concat(v6.Records, v4.Records), errors.Join(errs...)
}

func (r mxReport) write(w io.Writer) {
	for _, h := range r.MX {
		switch {
		case h.Host == "":
			fmt.Fprintf(w, "MX\t%d\t.\ttakes no mail\n", h.Preference)
		case h.Implicit:
			fmt.Fprintf(w, "no MX\t\t%s\t%v\n", h.Host, h.Addresses)
		default:
			fmt.Fprintf(w, "MX\t%d\t%s\t%v\n", h.Preference, h.Host, h.Addresses)
		}
		for _, a := range h.Answers {
			a.write(w)
		}
	}
	for _, p := range []struct {
		name string
		list []string
	}{{"SPF", r.SPF}, {"DMARC", r.DMARC}, {"MTA-STS", r.MTASTS}, {"TLS-RPT", r.TLSRPT}} {
		if len(p.list) == 0 && r.MX != nil {
			fmt.Fprintf(w, "%s\t\tnone\n", p.name)
		}
		for _, txt := range p.list {
			fmt.Fprintf(w, "%s\t\t%s\n", p.name, txt)
		}
	}
	for _, f := range r.Faults {
		fmt.Fprintf(w, "fault\t\t%s\n", f)
	}
}
