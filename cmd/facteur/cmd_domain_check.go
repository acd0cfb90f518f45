package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"facteur/admin"
	"facteur/mta/dns"
)

// published is a record that a domain needs, beside what DNS has in its place.
type published struct {
	admin.Record
	State publishedState `json:"state"`
	Found []string       `json:"found,omitempty"`
	Error string         `json:"error,omitempty"`
	// What another program makes of the record: "pass", or "fail: " and why. Only of signing keys and DMARC.
	Reader string `json:"reader,omitempty"`
}

type publishedState string

const (
	recordOK      publishedState = "ok"
	recordOwn     publishedState = "own" // another policy than we propose, as its owner may choose
	recordMissing publishedState = "missing"
	recordDiffers publishedState = "differs"
	recordBroken  publishedState = "broken"  // another program can't use it, whatever it looks like
	recordUnknown publishedState = "unknown" // DNS gave no answer
)

func (c *cli) domainCheck() *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use: "check DOMAIN", Short: "Compare DNS with the records that the domain needs", Args: args(cobra.ExactArgs(1)),
		Long: `Looks each record of "facteur domain records" up, and the reverse names of the server's addresses.
"own" is a policy for SPF, DMARC or TLS reports, or a key's record, that is written in other words than the proposed
one and does its work, which is no problem. DMARC records and the keys that sign are also tried with another program's
code: it reads the policy, and checks a sample that the server signs. "broken" is what it can't use.`,
		RunE: func(cmd *cobra.Command, a []string) error {
			var records []admin.Record
			var sample admin.Sample
			err := c.withService(cmd, func(ctx context.Context, s admin.Service) (err error) {
				if records, err = s.DomainRecords(ctx, admin.Name{Name: a[0]}); err == nil {
					sample, err = s.SignSample(ctx, admin.Name{Name: a[0]})
				}
				return err
			})
			if err != nil {
				return err
			}
			r, err := c.resolver(server)
			if err != nil {
				return err
			}
			list := comparePublished(cmd.Context(), r, records)
			if err := readByAnother(cmd.Context(), r, list, sample); err != nil {
				return err
			}
			err = c.show(list, func(w io.Writer) { writePublished(w, list) })
			bad := slices.DeleteFunc(list, func(p published) bool { return p.State == recordOK || p.State == recordOwn })
			if err == nil && len(bad) > 0 {
				err = &exitError{exitProblems, fmt.Errorf("records that are not as they should be: %d; \"facteur domain records %s\" prints all", len(bad), a[0])}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&server, "dns", "", "ask this `server` and no other")
	return cmd
}

// comparePublished looks all records up. Reverse names are looked up for the addresses that DNS has, since those
// are what other servers see.
func comparePublished(ctx context.Context, r *dns.Resolver, records []admin.Record) []published {
	var list []published
	for _, rec := range records {
		if rec.Type == "PTR" {
			continue
		}
		p := comparedWith(rec, func() ([]string, error) { return lookRecord(ctx, r, rec) })
		list = append(list, p)
		if rec.Type != "A" && rec.Type != "AAAA" {
			continue
		}
		for _, text := range p.Found {
			known := func(q published) bool { return q.Type == "PTR" && q.Name == text } // of another A record
			if !slices.ContainsFunc(list, known) {
				list = append(list, reverseOf(ctx, r, text, rec.Name))
			}
		}
	}
	return list
}

// reverseOf compares the reverse name of an address with the host's.
func reverseOf(ctx context.Context, r *dns.Resolver, address, host string) published {
	rec := admin.Record{Name: address, Type: "PTR", Data: host}
	return comparedWith(rec, func() ([]string, error) {
		addr, err := netip.ParseAddr(address)
		if err != nil {
			return nil, err
		}
		answer, err := r.PTR(ctx, addr)
		return absolute(answer.Records), err
	})
}

// comparedWith puts a record beside what look finds.
func comparedWith(rec admin.Record, look func() ([]string, error)) published {
	p := published{Record: rec, State: recordDiffers}
	var err error
	p.Found, err = look()
	want := rec.Data
	if rec.Type == "TXT" {
		want = joinText(want)
		p.Found = slices.DeleteFunc(p.Found, func(text string) bool { return tag(text) != tag(want) })
	}
	switch {
	case err != nil && !dns.IsNotFound(err):
		p.State, p.Error = recordUnknown, err.Error()
	case len(p.Found) == 0 && want == notOffered:
		p.State = recordOK // nobody finds a service that no record names
	case len(p.Found) == 0:
		p.State = recordMissing
	case rec.Type == "TXT" && len(p.Found) > 1:
		// RFC 7208 4.5, 8461 3.1, 9989 4.7: of several policies none counts.
	case want == "" || slices.Contains(p.Found, want):
		p.State = recordOK
	case rec.Type == "TXT" && slices.Contains([]string{"v=spf1", "v=dmarc1", "v=tlsrptv1"}, tag(want)):
		p.State = recordOwn
	}
	return p
}

// notOffered is the SRV record of a service that is not there (RFC 6186 3.4).
const notOffered = "0 0 0 ."

// lookRecord finds what DNS has of a record's name and type, written as in Record.Data but for the quotes of
// text, and for preferences, priorities and weights, which are the owner's choice.
func lookRecord(ctx context.Context, r *dns.Resolver, rec admin.Record) (found []string, err error) {
	name := strings.TrimSuffix(rec.Name, ".")
	switch rec.Type {
	case "A":
		answer, err := r.IPv4(ctx, name)
		return texts(answer.Records), err
	case "AAAA":
		answer, err := r.IPv6(ctx, name)
		return texts(answer.Records), err
	case "CNAME":
		return lookAlias(ctx, r, name, strings.TrimSuffix(rec.Data, "."))
	case "MX":
		answer, err := r.MX(ctx, name)
		for _, mx := range answer.Records {
			found = append(found, fmt.Sprintf("10 %s.", mx.Host))
		}
		return found, err
	case "SRV":
		answer, err := r.SRV(ctx, name)
		for _, srv := range answer.Records {
			if srv.Host == "" {
				found = append(found, notOffered)
			} else {
				found = append(found, fmt.Sprintf("0 1 %d %s.", srv.Port, srv.Host))
			}
		}
		return found, err
	}
	answer, err := r.TXT(ctx, name)
	return answer.Records, err
}

// lookAlias finds where a CNAME leads. Addresses of its own serve as well, when they are the target's.
func lookAlias(ctx context.Context, r *dns.Resolver, name, target string) ([]string, error) {
	answer, err := r.IPv4(ctx, name)
	theirs, err4 := r.IPv4(ctx, target)
	if dns.IsNotFound(err) {
		answer, err = r.IPv6(ctx, name)
		theirs, err4 = r.IPv6(ctx, target)
	}
	switch {
	case err != nil:
		return nil, err
	case err4 == nil && slices.ContainsFunc(answer.Records, func(a netip.Addr) bool { return slices.Contains(theirs.Records, a) }):
		return []string{target + "."}, nil
	case answer.Name == name:
		return texts(answer.Records), nil
	}
	return []string{answer.Name + "."}, nil
}

func texts(list []netip.Addr) (out []string) {
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}

func absolute(names []string) (out []string) {
	for _, n := range names {
		out = append(out, n+".")
	}
	return out
}

// tag is how a policy begins, such as v=spf1, in lower case.
func tag(text string) string {
	return strings.ToLower(text[:strings.IndexAny(text+" ", "; ")])
}

// joinText undoes the quoting of a TXT record in Record.Data; ours hold no quotes.
func joinText(data string) string {
	return strings.Trim(strings.ReplaceAll(data, `" "`, ""), `"`)
}

func writePublished(w io.Writer, list []published) {
	for _, p := range list {
		particulars := p.Error
		switch {
		case p.State == recordMissing && p.Data == "":
			particulars = p.Why
		case p.State == recordMissing:
			particulars = "should be " + p.Data
		case p.State == recordDiffers:
			particulars = fmt.Sprintf("is %s, should be %s", strings.Join(p.Found, " and "), p.Data)
		case p.State == recordOwn:
			particulars = p.Found[0]
		case p.State == recordOK && p.Type != "TXT":
			particulars = strings.Join(p.Found, ", ")
		case p.State == recordBroken:
			particulars = p.Found[0]
		}
		if p.Reader != "" {
			particulars = strings.TrimPrefix(particulars+"; another program's check: "+p.Reader, "; ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.State, p.Type, p.Name, particulars)
	}
}
