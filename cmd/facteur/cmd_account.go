package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"facteur/admin"
	"facteur/imap"
)

func (c *cli) accountCommand() *cobra.Command {
	return parent("account", "Add, change and remove accounts",
		c.accountSecret("add ADDRESS", "Add an account; its password is generated unless given", "added", admin.Service.AddAccount),
		c.accountList(), c.accountShow(),
		c.accountSecret("password ADDRESS", "Set a new password and end the account's sessions", "new password for", admin.Service.SetPassword),
		c.accountSwitch("disable", "Refuse logins and mail of an account, keep its mail", true),
		c.accountSwitch("enable", "Undo disable", false),
		c.accountRemove(), c.accountQuota(), c.accountCapabilities())
}

// accountSecret is a verb that gives an account its password.
func (c *cli) accountSecret(use, short, done string, method func(admin.Service, context.Context, admin.NewAccount) (admin.Secret, error)) *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			password, err := c.password(stdin)
			if err != nil {
				return err
			}
			return ask(c, cmd, method, admin.NewAccount{Name: a[0], Password: password}, secretWriter(done))
		},
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input, one line")
	return cmd
}

// password reads one from standard input, or none when one is to be generated. There is no
// flag that holds a password: others on the machine see it in the list of processes.
func (c *cli) password(stdin bool) (string, error) {
	if !stdin {
		return "", nil
	}
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", usage("the password on standard input is empty")
	}
	return line, nil
}

// secretWriter says what was done, and shows a generated password.
func secretWriter(done string) func(io.Writer, admin.Secret) {
	return func(w io.Writer, s admin.Secret) {
		fmt.Fprintf(w, "%s %s\n", done, s.Name)
		if s.Password != "" {
			fmt.Fprintf(w, "password, shown this once: %s\n", s.Password)
		}
	}
}

func (c *cli) accountList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List accounts", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(c, cmd, admin.Service.Accounts, admin.None{}, func(w io.Writer, list []admin.Account) {
				fmt.Fprintln(w, "ACCOUNT\tMESSAGES\tSIZE\tQUOTA\tSTATE")
				for _, a := range list {
					fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", a.Name, a.Messages, humanSize(a.Bytes), humanQuota(a), state(a.Disabled))
				}
			})
		},
	}
}

func (c *cli) accountShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ADDRESS", Short: "Show one account", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return ask(c, cmd, admin.Service.Account, admin.Name{Name: a[0]}, func(w io.Writer, account admin.Account) {
				fmt.Fprintf(w, "account\t%s\nstate\t%s\ncreated\t%s\nmessages\t%d\nsize\t%s\nquota\t%s\nsends a day\t%s\ncapabilities off\t%s\nmail\t%s\n",
					account.Name, state(account.Disabled), stamp(account.Created), account.Messages, humanSize(account.Bytes), humanQuota(account), humanSends(account),
					humanCapabilities(account), account.Path)
			})
		},
	}
}

func humanSends(a admin.Account) string {
	if a.SendPerDay == 0 {
		return "as configured"
	}
	return fmt.Sprint(a.SendPerDay, " messages")
}

func (c *cli) accountSwitch(use, short string, off bool) *cobra.Command {
	return &cobra.Command{
		Use: use + " ADDRESS", Short: short, Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return change(c, cmd, admin.Service.DisableAccount, admin.Switch{Name: a[0], Off: off}, "%sd %s", use, a[0])
		},
	}
}

func (c *cli) accountRemove() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove ADDRESS", Short: "Remove an account and all its mail", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if !yes {
				return usage("this deletes all mail of %s for good; say --yes", a[0])
			}
			return change(c, cmd, admin.Service.RemoveAccount, admin.Name{Name: a[0]}, "removed %s", a[0])
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "really")
	return cmd
}

func (c *cli) accountQuota() *cobra.Command {
	var bytes string
	var messages, sends int64
	cmd := &cobra.Command{
		Use: "quota ADDRESS", Short: "Limit what an account keeps and sends", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if messages < 0 && cmd.Flags().Changed("messages") || sends < 0 && cmd.Flags().Changed("send-per-day") {
				return usage("a limit is not below 0; 0 takes it away")
			}
			q := admin.Quota{Name: a[0], Bytes: -1, Messages: messages, SendPerDay: sends}
			if bytes != "" {
				var size Size
				if err := size.UnmarshalText([]byte(bytes)); err != nil {
					return usage("--bytes: %w", err)
				}
				q.Bytes = int64(size)
			}
			if q.Bytes < 0 && q.Messages < 0 && q.SendPerDay < 0 {
				return usage("give --bytes, --messages or --send-per-day")
			}
			return change(c, cmd, admin.Service.SetQuota, q, "quota of %s changed", a[0])
		},
	}
	cmd.Flags().StringVar(&bytes, "bytes", "", "`size` such as 10GB; 0: no limit")
	cmd.Flags().Int64Var(&messages, "messages", -1, "`number` of messages; 0: no limit")
	cmd.Flags().Int64Var(&sends, "send-per-day", -1, "`number` of messages; 0: as configured for all")
	return cmd
}

func (c *cli) accountCapabilities() *cobra.Command {
	var off, on []string
	cmd := &cobra.Command{
		Use: "capabilities ADDRESS", Short: "Switch IMAP capabilities off for an account whose mail program trips over them", Args: args(cobra.ExactArgs(1)),
		Long: "Switches IMAP capabilities off for an account whose mail program trips over them, and on again. Without flags\n" +
			"it lists those that are off. A session that is under way follows at its next login.\n\n" +
			"Capabilities: " + strings.Join(imap.Optional(), " "),
		RunE: func(cmd *cobra.Command, a []string) error {
			if off == nil && on == nil {
				return ask(c, cmd, admin.Service.Account, admin.Name{Name: a[0]}, func(w io.Writer, account admin.Account) {
					fmt.Fprintf(w, "capabilities off\t%s\n", humanCapabilities(account))
				})
			}
			for _, name := range off {
				if !slices.ContainsFunc(imap.Optional(), func(known string) bool { return strings.EqualFold(known, name) }) {
					return usage("--off: there is no capability %q that can be switched off; see facteur account capabilities --help", name)
				}
			}
			return change(c, cmd, admin.Service.SetCapabilities, admin.Capabilities{Name: a[0], Off: off, On: on},
				"capabilities of %s changed, from the next login on", a[0])
		},
	}
	cmd.Flags().StringSliceVar(&off, "off", nil, "`capabilities` to hide, such as NOTIFY,COMPRESS=DEFLATE")
	cmd.Flags().StringSliceVar(&on, "on", nil, "`capabilities` to show again")
	return cmd
}

func humanCapabilities(a admin.Account) string {
	if len(a.NoCaps) == 0 {
		return "-"
	}
	return strings.Join(a.NoCaps, " ")
}

func (c *cli) appPasswordCommand() *cobra.Command {
	return parent("app-password", "Passwords for single devices and programs", c.appPasswordAdd(), c.appPasswordList(), c.appPasswordRevoke())
}

func (c *cli) appPasswordAdd() *cobra.Command {
	var services []string
	var expires string
	cmd := &cobra.Command{
		Use: "add ADDRESS NAME", Short: "Generate an app password and show it once", Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			p := admin.AppPassword{Account: a[0], Name: a[1], Services: services}
			if expires != "" {
				var d Duration
				if err := d.UnmarshalText([]byte(expires)); err != nil {
					return usage("--expires: %w", err)
				}
				p.Expires = time.Now().Add(time.Duration(d))
			}
			return ask(c, cmd, admin.Service.AddAppPassword, p, secretWriter(fmt.Sprintf("app password %q for", a[1])))
		},
	}
	cmd.Flags().StringSliceVar(&services, "service", nil, "only for these `services`: imap, smtp, pop3")
	cmd.Flags().StringVar(&expires, "expires", "", "end after this `time`, such as 90d")
	return cmd
}

func (c *cli) appPasswordList() *cobra.Command {
	return &cobra.Command{
		Use: "list ADDRESS", Short: "List an account's app passwords", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return ask(c, cmd, admin.Service.AppPasswords, admin.Name{Name: a[0]}, func(w io.Writer, list []admin.AppPassword) {
				fmt.Fprintln(w, "NAME\tSERVICES\tCREATED\tEXPIRES\tLAST USED\tFROM")
				for _, p := range list {
					services := strings.Join(p.Services, ",")
					if services == "" {
						services = "all"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, services, stamp(p.Created), stamp(p.Expires), stamp(p.LastUsed), p.LastFrom)
				}
			})
		},
	}
}

func (c *cli) appPasswordRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ADDRESS NAME", Short: "Revoke an app password and end its sessions", Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return change(c, cmd, admin.Service.RevokeAppPassword, admin.AppPassword{Account: a[0], Name: a[1]}, "revoked app password %q of %s", a[1], a[0])
		},
	}
}

func state(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "active"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func humanSize(n int64) string {
	for _, u := range []struct {
		n    int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.n {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.n), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func humanQuota(a admin.Account) string {
	var parts []string
	if a.QuotaBytes > 0 {
		parts = append(parts, humanSize(a.QuotaBytes))
	}
	if a.QuotaMessages > 0 {
		parts = append(parts, fmt.Sprintf("%d messages", a.QuotaMessages))
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}
