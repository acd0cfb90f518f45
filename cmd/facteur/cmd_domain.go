package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"facteur/admin"
	"facteur/storage/message"
)

func (c *cli) domainCommand() *cobra.Command {
	return parent("domain", "Hosted domains and the DNS records they need", c.domainAdd(), c.domainList(),
		c.domainSwitch("disable", "Refuse all mail for a domain, without removing anything", true),
		c.domainSwitch("enable", "Take mail for a domain again", false),
		c.domainCatchAll(), c.domainRemove(), c.domainRecords(), c.domainCheck())
}

func (c *cli) domainAdd() *cobra.Command {
	var catchAll string
	cmd := &cobra.Command{
		Use: "add DOMAIN", Short: "Host a domain", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return change(c, cmd, admin.Service.AddDomain, admin.Domain{Name: a[0], CatchAll: catchAll}, "added %s; next: facteur dkim add %s, facteur domain records %s%s", a[0], a[0], a[0], c.certificateNames(a[0]))
		},
	}
	cmd.Flags().StringVar(&catchAll, "catch-all", "", "`address` that takes mail for unknown users")
	return cmd
}

// webNames are the names below a domain at which the web part answers over HTTPS.
func webNames(domain string) []string {
	return []string{"mta-sts." + domain, "autoconfig." + domain, "autodiscover." + domain}
}

// certificateNames says what to do for a new domain's web names: their certificates are not obtained
// before the owner asks for them, since an authority refuses names that DNS does not lead here.
func (c *cli) certificateNames(domain string) string {
	cfg, err := c.load()
	if err != nil || !cfg.Web.Enabled {
		return ""
	}
	if ascii, err := message.ASCIIDomain(domain); err == nil {
		domain = ascii
	}
	hosts := slices.Clone(cfg.TLS.Hosts)
	for _, name := range webNames(domain) {
		if !slices.Contains(hosts, name) {
			hosts = append(hosts, name)
		}
	}
	switch {
	case len(cfg.TLS.Files) > 0 && !cfg.TLS.ACME.Agree:
		return fmt.Sprintf("\nhave your certificate name %s too: MTA-STS and mail programs ask there", strings.Join(webNames(domain), ", "))
	case len(hosts) == len(cfg.TLS.Hosts):
		return ""
	}
	return fmt.Sprintf("\nonce DNS has the records, put this line below [tls] in the configuration and restart, for certificates of the new names:\nhosts = [\"%s\"]", strings.Join(hosts, `", "`))
}

func (c *cli) domainSwitch(use, short string, off bool) *cobra.Command {
	return &cobra.Command{
		Use: use + " DOMAIN", Short: short, Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return change(c, cmd, admin.Service.DisableDomain, admin.Switch{Name: a[0], Off: off}, "%sd %s", use, a[0])
		},
	}
}

func (c *cli) domainCatchAll() *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use: "catch-all DOMAIN [ADDRESS]", Short: "Say who gets a domain's mail for unknown users", Args: args(cobra.RangeArgs(1, 2)),
		Long: `Mail for an address of the domain that is neither an account nor an alias goes to ADDRESS, here or elsewhere,
instead of the one that was set before. With --none such mail is refused, as it is for a new domain.`,
		Example: `  facteur domain catch-all example.org ann@example.org
  facteur domain catch-all example.org --none`,
		RunE: func(cmd *cobra.Command, a []string) error {
			q := admin.CatchAll{Domain: a[0]}
			if len(a) == 2 {
				q.Address = a[1]
			}
			if none == (q.Address != "") { // an empty ADDRESS is a slip too: a script's variable that is not set
				return usage("give an address or --none")
			}
			if none {
				return change(c, cmd, admin.Service.SetCatchAll, q, "mail for unknown users of %s is refused", a[0])
			}
			return change(c, cmd, admin.Service.SetCatchAll, q, "mail for unknown users of %s goes to %s", a[0], a[1])
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "refuse mail for unknown users")
	return cmd
}

func (c *cli) domainList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List hosted domains", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(c, cmd, admin.Service.Domains, admin.None{}, func(w io.Writer, list []admin.Domain) {
				fmt.Fprintln(w, "DOMAIN\tCATCH-ALL\tSTATE")
				for _, d := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\n", d.Name, d.CatchAll, state(d.Disabled))
				}
			})
		},
	}
}

func (c *cli) domainRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove DOMAIN", Short: "Stop hosting a domain that has no accounts and aliases", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return change(c, cmd, admin.Service.RemoveDomain, admin.Name{Name: a[0]}, "removed %s", a[0])
		},
	}
}

func (c *cli) domainRecords() *cobra.Command {
	return &cobra.Command{
		Use: "records DOMAIN", Short: "Print the DNS zone to publish", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return ask(c, cmd, admin.Service.DomainRecords, admin.Name{Name: a[0]}, func(w io.Writer, records []admin.Record) { writeZone(w, records) })
		},
	}
}

// writeZone prints records as a zone file has them, each reason above its records. What has to be filled in, or
// belongs into the zone of somebody else, is a comment.
func writeZone(w io.Writer, records []admin.Record) {
	why := ""
	for _, r := range records {
		if r.Why != why {
			fmt.Fprintf(w, "; %s\n", r.Why)
			why = r.Why
		}
		if r.Type == "PTR" || r.Data == "" {
			fmt.Fprint(w, "; ")
		}
		fmt.Fprintf(w, "%s IN %s %s\n", r.Name, r.Type, cmp.Or(r.Data, "PUBLIC-ADDRESS"))
	}
}

func (c *cli) aliasCommand() *cobra.Command {
	return parent("alias", "Addresses that lead to others", c.aliasAdd(), c.aliasList(), c.aliasRemove())
}

func (c *cli) aliasAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add ADDRESS TARGET...", Short: "Send mail for an address on to others, here or elsewhere", Args: args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return change(c, cmd, admin.Service.AddAlias, admin.Alias{Address: a[0], Targets: a[1:]}, "%s leads to %s", a[0], strings.Join(a[1:], ", "))
		},
	}
}

func (c *cli) aliasList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List aliases", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(c, cmd, admin.Service.Aliases, admin.None{}, func(w io.Writer, list []admin.Alias) {
				fmt.Fprintln(w, "ADDRESS\tLEADS TO")
				for _, a := range list {
					fmt.Fprintf(w, "%s\t%s\n", a.Address, strings.Join(a.Targets, ", "))
				}
			})
		},
	}
}

func (c *cli) aliasRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ADDRESS", Short: "Remove an alias", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return change(c, cmd, admin.Service.RemoveAlias, admin.Name{Name: a[0]}, "removed alias %s", a[0])
		},
	}
}
