package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"facteur/auth/sender"
	"facteur/mta/dns"
	"facteur/mta/smtpd"
	"facteur/storage/message"
)

// checkOptions are the flags of "facteur check".
type checkOptions struct{ ip, from, helo, dns string }

func (c *cli) checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use: "check [FILE|-]", Short: "Tell who a message is from, with every DNS look-up that was made", Args: args(cobra.MaximumNArgs(1)),
		Long: `Checks SPF, DKIM, ARC and DMARC of a message as the MX would, had it come from the address
--ip with the reverse-path --from after EHLO --helo. Without a message it checks SPF alone.`,
		RunE: func(cmd *cobra.Command, a []string) error { return c.check(cmd.Context(), first(a), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.ip, "ip", "", "the client's `address`")
	f.StringVar(&o.from, "from", "", "reverse-path; empty or \"<>\" is the null one")
	f.StringVar(&o.helo, "helo", "", "`name` in EHLO")
	f.StringVar(&o.dns, "dns", "", "ask this `server` and no other")
	return cmd
}

// checked is what "check --json" prints: what was found out and what the MX would do, or SPF alone, and the
// look-ups.
type checked struct {
	*sender.Verdict
	SPF         *sender.SPF `json:"spf"`
	Disposition string      `json:"disposition,omitempty"`
	Reply       string      `json:"reply,omitempty"`
	Lookups     []lookup    `json:"lookups"`
}

type lookup struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Records []string `json:"records,omitempty"`
	Error   string   `json:"error,omitempty"`
}

func (c *cli) check(ctx context.Context, file string, o checkOptions) error {
	if file == "" && o.ip == "" {
		return usage("name a message, or the client's address with --ip")
	}
	p, err := o.params()
	if err != nil {
		return err
	}
	r, err := c.resolver(o.dns)
	if err != nil {
		return err
	}
	cfg, err := c.configOrDefault()
	if err != nil {
		return err
	}
	v := newVerifier(cfg, r, time.Now).Verifier
	out := checked{Lookups: []lookup{}}
	ctx = dns.WithTrace(ctx, out.trace())
	if file == "" {
		spf := v.SPF(ctx, p)
		out.SPF = &spf
		return c.show(out, out.write)
	}
	text, err := c.readMessage(file)
	if err != nil {
		return err
	}
	header, body := splitMessage(text)
	p.Header, p.Body = header, bytes.NewReader(body)
	if out.Verdict, err = v.Verify(ctx, p); err != nil {
		return err
	}
	out.SPF = &out.Verdict.SPF
	d := smtpd.Decide(factsOf(out.Verdict))
	out.Disposition, out.Reply = d.Action.String(), "250 2.0.0 Accepted"
	if d.Reply != nil {
		out.Reply = d.Reply.Error()
	}
	err = c.show(out, out.write)
	if err == nil && d.Action == smtpd.Refuse {
		err = &exitError{exitRefused, nil}
	}
	return err
}

// configOrDefault is the configuration where there is one: its host name and whom it trusts count.
func (c *cli) configOrDefault() (Config, error) {
	if file, err := c.configFile(); err == nil {
		cfg, err := LoadConfig(file)
		if err != nil {
			err = &exitError{exitUsage, err}
		}
		return cfg, err
	}
	cfg := DefaultConfig()
	var err error
	if cfg.Hostname, err = os.Hostname(); err != nil {
		cfg.Hostname = "localhost"
	}
	return cfg, nil
}

func (o checkOptions) params() (sender.Params, error) {
	p := sender.Params{Helo: o.helo}
	var err error
	if o.ip != "" {
		if p.IP, err = netip.ParseAddr(o.ip); err != nil {
			return p, usage("--ip: %q is not an IP address", o.ip)
		}
	}
	if from := strings.Trim(o.from, "<>"); from != "" {
		if p.MailFrom, err = message.ParseAddrSpec(from); err != nil {
			return p, usage("--from: %w", err)
		}
	}
	return p, nil
}

func (c *cli) readMessage(file string) ([]byte, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(c.in)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	// Files mostly have bare LF; on the wire a line ends with CRLF.
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), nil
}

// splitMessage returns the header with its blank line, and what follows.
func splitMessage(text []byte) (header, body []byte) {
	if bytes.HasPrefix(text, []byte("\r\n")) {
		return text[:2], text[2:]
	}
	if i := bytes.Index(text, []byte("\r\n\r\n")); i >= 0 {
		return text[:i+4], text[i+4:]
	}
	return text, nil
}

// trace collects look-ups, which may be made at the same time.
func (out *checked) trace() func(dns.Lookup) {
	var mu sync.Mutex
	return func(l dns.Lookup) {
		mu.Lock()
		defer mu.Unlock()
		out.Lookups = append(out.Lookups, lookup{l.Name, l.Type, l.Records, l.Err})
	}
}

func (out checked) write(w io.Writer) {
	line := func(what, result string, more ...string) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", what, result, strings.TrimSpace(strings.Join(more, " ")))
	}
	line("SPF", out.SPF.Result, out.SPF.Identity, out.SPF.Sender, out.SPF.Mechanism, out.SPF.Reason, out.SPF.Explanation)
	if v := out.Verdict; v != nil {
		if v.Helo.Result != "" {
			line("SPF of HELO", v.Helo.Result, v.Helo.Domain, v.Helo.Reason)
		}
		for _, d := range v.DKIM {
			line("DKIM", d.Result, d.Domain, d.Selector, d.Algorithm, d.Reason)
		}
		line("ARC", v.ARC.Result, v.ARC.Reason)
		line("DMARC", v.DMARC.Result, v.DMARC.Domain, v.DMARC.Policy, v.DMARC.Reason)
		line("From", v.From, v.Fault)
		line("disposition", out.Disposition, out.Reply)
	}
	for _, l := range out.Lookups {
		line("look-up", l.Type+" "+l.Name, strings.Join(l.Records, " | "), l.Error)
	}
}
