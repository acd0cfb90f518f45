package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"facteur/admin"
)

func (c *cli) queueCommand() *cobra.Command {
	return parent("queue", "Mail on its way to others", c.queueList(), c.queueShow(), c.queueDestinations(),
		c.queueChange("retry", "Try messages again now"),
		c.queueChange("hold", "Stop trying messages"),
		c.queueChange("release", "Undo hold"),
		c.queueChange("drop", "Delete messages without telling their senders"))
}

func filterFlags(cmd *cobra.Command, f *admin.QueueFilter) {
	cmd.Flags().StringVar(&f.Sender, "from", "", "only from this `address`")
	cmd.Flags().StringVar(&f.Recipient, "to", "", "only to this `address`, or a part of it")
	cmd.Flags().StringVar(&f.Dest, "dest", "", "only for this `domain` or smarthost")
}

func (c *cli) queueList() *cobra.Command {
	var f admin.QueueFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List messages, the oldest first", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.Limit < 1 {
				return usage("--limit %d lists nothing", f.Limit)
			}
			return ask(c, cmd, admin.Service.QueueList, f, func(w io.Writer, list []admin.QueueItem) {
				fmt.Fprintln(w, "ID\tARRIVED\tSIZE\tFROM\tTO\tTRIES\tNEXT\tLAST ANSWER")
				for _, m := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t<%s>\t%s\t%d\t%s\t%s\n", m.ID, stamp(m.Arrived), humanSize(m.Size), m.From, strings.Join(m.Recipients, ","), m.Attempts, nextTry(m), m.Last)
				}
			})
		},
	}
	filterFlags(cmd, &f)
	cmd.Flags().IntVar(&f.Limit, "limit", 1000, "at most this `number` of messages")
	return cmd
}

func (c *cli) queueDestinations() *cobra.Command {
	return &cobra.Command{
		Use: "destinations", Short: "List where mail has gone lately, and who is left alone for now", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(c, cmd, admin.Service.QueueDestinations, admin.None{}, func(w io.Writer, list []admin.Destination) {
				fmt.Fprintln(w, "DESTINATION\tUNDER WAY\tAT MOST\tLEFT ALONE UNTIL\tWHY")
				for _, d := range list {
					fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", d.Dest, d.Active, d.Limit, stamp(d.Until), d.Down)
				}
			})
		},
	}
}

func nextTry(m admin.QueueItem) string {
	if m.Held {
		return "held"
	}
	return stamp(m.Next)
}

func (c *cli) queueShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one message", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return ask(c, cmd, admin.Service.QueueShow, admin.Name{Name: a[0]}, func(w io.Writer, m admin.QueueMessage) {
				fmt.Fprintf(w, "id\t%s\nfrom\t<%s>\nsize\t%s\narrived\t%s\ndone\t%s\n", m.ID, m.From, humanSize(m.Size), stamp(m.Arrived), stamp(m.Done))
				for _, i := range m.Open {
					fmt.Fprintf(w, "to\t%s\n  by\t%s\n  tries\t%d\n  next\t%s\n  last answer\t%s\n", strings.Join(i.Recipients, ", "), i.Dest, i.Attempts, nextTry(i), i.Last)
				}
				for _, e := range m.Events {
					if e.Did != "" {
						fmt.Fprintf(w, "%s\t%s\n", stamp(e.At), e.Did)
					}
					for _, f := range e.Fates {
						fmt.Fprintf(w, "%s\t%s %s %s\n", stamp(e.At), f.To, f.Action, f.Reply)
					}
				}
			})
		},
	}
}

func (c *cli) queueChange(do, short string) *cobra.Command {
	order := admin.QueueOrder{Do: do}
	var all bool
	cmd := &cobra.Command{
		Use: do + " [ID...]", Short: short,
		RunE: func(cmd *cobra.Command, a []string) error {
			order.IDs = a
			if len(a) > 0 && (order.Filter != (admin.QueueFilter{}) || all) {
				return usage("name messages or filter them, not both")
			}
			if len(a) == 0 && order.Filter == (admin.QueueFilter{}) && !all {
				return usage("name messages, or give --from, --to, --dest or --all")
			}
			return ask(c, cmd, admin.Service.QueueChange, order, func(w io.Writer, n admin.Count) {
				messages := "messages"
				if n.Changed == 1 {
					messages = "message"
				}
				fmt.Fprintf(w, "%s: %d %s\n", do, n.Changed, messages)
			})
		},
	}
	filterFlags(cmd, &order.Filter)
	cmd.Flags().BoolVar(&all, "all", false, "every message")
	return cmd
}
