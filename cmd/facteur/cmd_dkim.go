package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"facteur/admin"
)

func (c *cli) dkimCommand() *cobra.Command {
	return parent("dkim", "Keys that sign a domain's mail", c.dkimAdd(), c.dkimList(), c.dkimRotate(), c.dkimRemove(), c.dkimRecord())
}

func (c *cli) dkimAdd() *cobra.Command {
	var k admin.NewKey
	cmd := &cobra.Command{
		Use: "add DOMAIN", Short: "Make keys: RSA-2048 and Ed25519 unless one is named", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			k.Domain = a[0]
			return ask(c, cmd, admin.Service.AddKey, k, writeKeyRecords)
		},
	}
	cmd.Flags().StringVar(&k.Selector, "selector", "", "`name` of the key in DNS (default: from the date)")
	cmd.Flags().StringVar(&k.Algorithm, "algorithm", "", "`rsa` or ed25519 (default: both)")
	return cmd
}

func (c *cli) dkimList() *cobra.Command {
	return &cobra.Command{
		Use: "list [DOMAIN]", Short: "List keys", Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return ask(c, cmd, admin.Service.Keys, admin.Name{Name: first(a)}, func(w io.Writer, keys []admin.Key) {
				fmt.Fprintln(w, "DOMAIN\tSELECTOR\tALGORITHM\tSTATE\tSINCE")
				for _, k := range keys {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.Domain, k.Selector, k.Algorithm, k.State, stamp(k.Since))
				}
			})
		},
	}
}

func (c *cli) dkimRotate() *cobra.Command {
	return &cobra.Command{
		Use: "rotate DOMAIN", Short: "Take the next step in changing a domain's keys", Args: args(cobra.ExactArgs(1)),
		Long: `The first call makes new keys and prints the records to publish. The second, once DNS
has them, signs with the new keys; the old records stay for a week, since mail
that they signed is still on its way.`,
		RunE: func(cmd *cobra.Command, a []string) error {
			return ask(c, cmd, admin.Service.RotateKeys, admin.Name{Name: a[0]}, func(w io.Writer, keys []admin.Key) {
				writeKeyRecords(w, keys)
				fmt.Fprintln(w, rotationHint(keys))
			})
		},
	}
}

// rotationHint says what the owner has to do next.
func rotationHint(keys []admin.Key) string {
	if slices.ContainsFunc(keys, func(k admin.Key) bool { return k.State == "waiting" }) {
		return "; Publish the records of the waiting keys, then call this again. A running server looks every hour."
	}
	return "; The new keys sign. Keep the records of the retired ones for a week."
}

func (c *cli) dkimRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove DOMAIN SELECTOR", Short: "Remove a key", Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return change(c, cmd, admin.Service.RemoveKey, admin.Key{Domain: a[0], Selector: a[1]}, "removed key %s of %s", a[1], a[0])
		},
	}
}

func (c *cli) dkimRecord() *cobra.Command {
	return &cobra.Command{
		Use: "record DOMAIN [SELECTOR]", Short: "Print the DNS records of keys", Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.withService(cmd, func(ctx context.Context, s admin.Service) error {
				keys, err := s.Keys(ctx, admin.Name{Name: a[0]})
				if err != nil {
					return err
				}
				var wanted []admin.Key
				for _, k := range keys {
					if len(a) == 1 || k.Selector == a[1] {
						wanted = append(wanted, k)
					}
				}
				if wanted == nil {
					return fmt.Errorf("DKIM key %s: %w; \"facteur dkim list\" names those there are", strings.Join(a, " "), admin.ErrNotFound)
				}
				return c.show(wanted, func(w io.Writer) { writeKeyRecords(w, wanted) })
			})
		},
	}
}

func writeKeyRecords(w io.Writer, keys []admin.Key) {
	var records []admin.Record
	for _, k := range keys {
		records = append(records, admin.KeyRecord(k))
	}
	writeZone(w, records)
}

// first is the only argument, or none.
func first(a []string) string {
	if len(a) == 0 {
		return ""
	}
	return a[0]
}
