package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"facteur/admin"
)

func (c *cli) mailboxCommand() *cobra.Command {
	return parent("mailbox", "Mailboxes and their index", c.mailboxList(), c.mailboxRebuild(),
		c.verify("verify ADDRESS", "Compare an account's index with its Maildir", cobra.ExactArgs(1)))
}

func (c *cli) mailboxList() *cobra.Command {
	return &cobra.Command{
		Use: "list ADDRESS", Short: "List an account's mailboxes", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return ask(c, cmd, admin.Service.Mailboxes, admin.Name{Name: a[0]}, func(w io.Writer, list []admin.Mailbox) {
				fmt.Fprintln(w, "MAILBOX\tMESSAGES\tUNSEEN\tSIZE\tUIDVALIDITY\tUIDNEXT\tUSE")
				for _, m := range list {
					fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\t%d\t%s\n", m.Name, m.Messages, m.Unseen, humanSize(m.Bytes), m.UIDValidity, m.UIDNext, m.SpecialUse)
				}
			})
		},
	}
}

func (c *cli) mailboxRebuild() *cobra.Command {
	return &cobra.Command{
		Use: "rebuild ADDRESS", Short: "Throw an account's index away and build it from the Maildir", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.withService(cmd, func(ctx context.Context, s admin.Service) error {
				if _, err := s.Rebuild(ctx, admin.Name{Name: a[0]}); err != nil {
					return err
				}
				list, err := s.Mailboxes(ctx, admin.Name{Name: a[0]})
				if err != nil {
					return err
				}
				messages := 0
				for _, m := range list {
					messages += int(m.Messages)
				}
				return c.done("the index of %s is made anew from its files: mailboxes %d, messages %d", a[0], len(list), messages)
			})
		},
	}
}

func (c *cli) verifyCommand() *cobra.Command {
	return c.verify("verify [ADDRESS]", "Check that nothing on disk is lost, doubled or renumbered", cobra.MaximumNArgs(1))
}

func (c *cli) verify(use, short string, check cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(check),
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.withService(cmd, func(ctx context.Context, s admin.Service) error {
				found, err := s.Verify(ctx, admin.Name{Name: first(a)})
				if err != nil {
					return err
				}
				err = c.show(found, func(w io.Writer) { writeProblems(w, found) })
				if err == nil && len(found) > 0 {
					err = &exitError{exitProblems, errors.New(whatNext(found))}
				}
				return err
			})
		},
	}
}

func writeProblems(w io.Writer, found []admin.Problem) {
	if len(found) == 0 {
		fmt.Fprintln(w, "no problems")
	}
	for _, p := range found {
		if p.Account == "" {
			fmt.Fprintf(w, "queue\t%s\t\t%s\n", p.Message, p.What)
			continue
		}
		uid := ""
		if p.UID != 0 {
			uid = fmt.Sprintf("UID %d", p.UID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Account, p.Mailbox, uid, p.What, p.Path)
	}
}

func (c *cli) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup", Short: "Copy the accounts' database to where a backup may take it from", Args: noArgs,
		Long: `Writes DATA/backup/server.db, a consistent copy of the accounts, domains, aliases and password hashes. Everything
else in the data folder may be copied at any time by any tool: docs/operating.md has the commands.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(c, cmd, admin.Service.Backup, admin.None{}, func(w io.Writer, written admin.Copy) {
				fmt.Fprintf(w, "wrote %s; now copy the data folder\n", written.Path)
			})
		},
	}
}

// whatNext says what can be done about the problems that verify found.
func whatNext(found []admin.Problem) string {
	var accounts []string
	queued := false
	for _, p := range found {
		queued = queued || p.Account == ""
		if p.Account != "" && !slices.Contains(accounts, p.Account) {
			accounts = append(accounts, p.Account)
		}
	}
	text := fmt.Sprintf("problems: %d. What to do:", len(found))
	for _, a := range accounts {
		text += fmt.Sprintf("\n  facteur mailbox rebuild %s", a)
	}
	if accounts != nil {
		text += "\n    makes the index agree with the files, with the server running or not. A file that was changed becomes a new message;" +
			"\n    what it was before, or a file that is gone, comes back from a backup only: put it into the folder new, under any name."
	}
	if queued {
		text += "\n  facteur queue show ID" +
			"\n    tells whose a message of the queue is. One without its text can't be sent any more: facteur queue drop ID forgets it."
	}
	return text
}

func (c *cli) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain MESSAGE-ID", Short: "Tell what became of a message, in or out", Args: args(cobra.ExactArgs(1)),
		Long: "Tells what became of a message, in or out, step by step. MESSAGE-ID is the id of our log, of Received or of the queue, or the message's own Message-ID field.",
		RunE: func(cmd *cobra.Command, a []string) error {
			return ask(c, cmd, admin.Service.Explain, admin.Name{Name: a[0]}, func(w io.Writer, events []admin.Event) { writeTimeline(w, events) })
		},
	}
}

// writeTimeline prints one event a line: when, which message, what, and the particulars.
func writeTimeline(w io.Writer, events []admin.Event) {
	for _, e := range events {
		var particulars []string
		for _, key := range slices.SortedFunc(maps.Keys(e.Attrs), byStory) {
			text := fmt.Sprint(e.Attrs[key])
			if strings.ContainsAny(text, " =\"") {
				text = strconv.Quote(text)
			}
			if text != "" {
				particulars = append(particulars, key+"="+text)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.At.Local().Format("2006-01-02 15:04:05.000"), e.ID, e.What, strings.Join(particulars, " "))
	}
}

// story is the order in which a message's particulars are told: who came, how, with what, what was found
// out, what was decided, where it went. The rest follows.
const story = " listener peer name helo login tls from to message-id size author spf dkim arc dmarc policy override action why " +
	"account mailbox uid path dest remote reply next "

func byStory(a, b string) int {
	place := func(key string) int {
		if i := strings.Index(story, " "+key+" "); i >= 0 {
			return i
		}
		return len(story)
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
}

func (c *cli) tlsCommand() *cobra.Command {
	return parent("tls", "Certificates, and TLS with other servers", c.tlsPeers(), &cobra.Command{
		Use: "status", Short: "List the certificates the server shows", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(c, cmd, admin.Service.Certificates, admin.None{}, func(w io.Writer, list []admin.Certificate) {
				fmt.Fprintln(w, "HOSTS\tSOURCE\tISSUER\tUNTIL\tPROBLEM")
				for _, i := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", strings.Join(i.Hosts, ","), i.Source, i.Issuer, i.NotAfter, i.Problem)
				}
			})
		},
	})
}

func (c *cli) tlsPeers() *cobra.Command {
	return &cobra.Command{
		Use: "peers", Short: "List the servers we sent to, and what TLS with each came to the last time", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(c, cmd, admin.Service.Peers, admin.None{}, func(w io.Writer, list []admin.Peer) {
				fmt.Fprintln(w, "HOST\tAT\tTLS\tDEMANDED BY\tFAULT")
				for _, p := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Host, stamp(p.At), cmp.Or(p.TLS, "in the clear"), p.Policy, p.Fault)
				}
			})
		},
	}
}

// version is set by the Makefile, from git.
var version = ""

// buildVersion is the version, or what Go knows of the sources.
func buildVersion() string {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	return cmp.Or(v, "(devel)")
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				FullText bool   `json:"full_text"`
			}{buildVersion(), runtime.Version(), hasFTS5}
			return c.show(v, func(w io.Writer) {
				fmt.Fprintf(w, "facteur %s, %s\n", v.Version, v.Go)
				if !hasFTS5 {
					fmt.Fprintln(w, "built without the tag sqlite_fts5: searches in message bodies read every message")
				}
			})
		},
	}
}
