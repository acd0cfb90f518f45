package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"facteur/admin"
	"facteur/storage/message"
)

// quickstartOptions are the flags of "facteur quickstart".
type quickstartOptions struct{ hostname string }

func (c *cli) quickstartCommand() *cobra.Command {
	var o quickstartOptions
	cmd := &cobra.Command{
		Use: "quickstart ADDRESS", Short: "Write a configuration and make the first domain, account and keys", Args: args(cobra.ExactArgs(1)),
		Long: `Writes facteur.toml into the current folder, or to --config, makes the domain, the account
with a generated password, and DKIM keys, and prints the DNS records to publish. The data
folder is "facteur-data" beside the configuration; /var/lib/facteur for a configuration
below /etc; or --data. Nothing that is there already is overwritten.`,
		Example: "  facteur quickstart you@example.org\n  sudo facteur quickstart --config /etc/facteur/facteur.toml you@example.org",
		RunE:    func(cmd *cobra.Command, a []string) error { return c.quickstart(cmd.Context(), a[0], o) },
	}
	cmd.Flags().StringVar(&o.hostname, "hostname", "", "`name` of this machine in DNS (default: its own, or mail.DOMAIN)")
	return cmd
}

// started is what "quickstart --json" prints.
type started struct {
	Config  string         `json:"config"`
	Data    string         `json:"data"`
	Secret  admin.Secret   `json:"account"`
	Records []admin.Record `json:"records"`
}

func (c *cli) quickstart(ctx context.Context, address string, o quickstartOptions) error {
	a, err := message.ParseAddrSpec(address)
	if err != nil || a.String() != a.Local+"@"+a.Domain { // an account's name needs no quotes
		return usage("%q is not an address such as you@example.org", address)
	}
	domain, err := message.ParseDomain(a.Domain)
	if err != nil || !strings.Contains(domain, ".") {
		return usage("%q is not an address such as you@example.org", address)
	}
	if o.hostname == "" {
		o.hostname = guessHostname(domain)
	}
	if !isFullHostName(o.hostname) {
		return usage("--hostname %q is not a full host name such as mail.example.org", o.hostname)
	}
	done := started{Config: c.config, Data: c.data}
	if done.Config == "" {
		done.Config = "facteur.toml"
	}
	if done.Config, err = filepath.Abs(done.Config); err != nil {
		return err
	}
	if done.Data == "" {
		done.Data = dataBeside(done.Config)
	}
	if done.Data, err = filepath.Abs(done.Data); err != nil {
		return err
	}
	if err := ownFolder(done.Data); err != nil {
		return err
	}
	cfg, err := writeConfig(done.Config, o.hostname, domain, done.Data)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := openParts(cfg, "facteur quickstart", log, defaultDeps(log))
	if err != nil {
		return errors.Join(err, os.Remove(done.Config)) // so that another try finds nothing in its way
	}
	if err := firstAccount(ctx, cfg, p, domain, address, &done); err != nil {
		return fmt.Errorf("%w; %s is written, \"facteur domain add\", \"facteur dkim add\" and \"facteur account add\" do what is missing", err, done.Config)
	}
	return c.show(done, done.write)
}

// dataBeside is the data folder that goes with a configuration file.
func dataBeside(config string) string {
	if strings.HasPrefix(config, "/etc/") {
		return DefaultConfig().Data
	}
	return filepath.Join(filepath.Dir(config), "facteur-data")
}

// guessHostname is the machine's full name, or mail.DOMAIN.
func guessHostname(domain string) string {
	name, err := os.Hostname()
	if err == nil && strings.HasSuffix(name, "."+domain) {
		return name
	}
	return "mail." + domain
}

// writeConfig writes the template with what is known, and reads it back.
func writeConfig(path, hostname, domain, data string) (Config, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return Config{}, fmt.Errorf("write configuration: %w", err)
	}
	text := bytes.Replace(configTemplate, []byte(`hostname = "mail.example.org"`), fmt.Appendf(nil, "hostname = %q", hostname), 1)
	text = bytes.Replace(text, []byte("#hosts = []"), fmt.Appendf(nil, "hosts = [\"%s\"]", strings.Join(webNames(domain), `", "`)), 1)
	if data != DefaultConfig().Data {
		text = bytes.Replace(text, []byte(`#data = "/var/lib/facteur"`), fmt.Appendf(nil, "data = %q", data), 1)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return Config{}, &exitError{exitExists, fmt.Errorf("%s is there already: add to it with \"facteur domain add\" and \"facteur account add\"", path)}
	}
	if err != nil {
		return Config{}, fmt.Errorf("write configuration: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return Config{}, fmt.Errorf("write configuration: %w", err)
	}
	return LoadConfig(path)
}

// firstAccount puts a domain, its keys and an account into the data folder, and closes it.
func firstAccount(ctx context.Context, cfg Config, p *parts, domain, address string, done *started) error {
	s := p.service(cfg)
	_, err := s.AddDomain(ctx, admin.Domain{Name: domain})
	if err == nil {
		_, err = s.AddKey(ctx, admin.NewKey{Domain: domain})
	}
	if err == nil {
		done.Secret, err = s.AddAccount(ctx, admin.NewAccount{Name: address})
	}
	if err == nil {
		done.Records, err = s.DomainRecords(ctx, admin.Name{Name: domain})
	}
	return errors.Join(err, p.close(), giveToServer(cfg))
}

// giveToServer makes the data folder the server's when root has made it.
func giveToServer(cfg Config) error {
	u, err := user.Lookup(cfg.User)
	if os.Geteuid() != 0 || err != nil {
		return nil // started as root, the server does it
	}
	uid, gid, err := ids(u)
	if err != nil {
		return err
	}
	return giveTo(cfg.Data, uid, gid)
}

func (s started) write(w io.Writer) {
	fmt.Fprintf(w, "wrote %s, data in %s\n\n", s.Config, s.Data)
	fmt.Fprintf(w, "account  %s\npassword %s   (shown this once)\n\n", s.Secret.Name, s.Secret.Password)
	fmt.Fprint(w, "Publish these DNS records:\n\n")
	writeZone(w, s.Records)
	domain := s.Secret.Name[strings.LastIndexByte(s.Secret.Name, '@')+1:]
	fmt.Fprintf(w, "\nNext:\n"+
		"- set agree and email below [tls.acme] in %s, for certificates by ACME, or name files below [[tls.file]]\n"+
		"- let ports 25, 80, 143, 443, 465, 587 and 993 through the firewall\n", s.Config)
	if _, err := user.Lookup("facteur"); err != nil && os.Geteuid() == 0 {
		fmt.Fprintf(w, "- make the server's user: useradd --system --home-dir %s --shell /usr/sbin/nologin facteur\n", s.Data)
	}
	fmt.Fprint(w, "- see whether your provider lets you send: facteur mx gmail.com --connect\n")
	fmt.Fprintf(w, "- start it: systemctl enable --now facteur, or facteur serve --config %s\n"+
		"- when DNS has the records: facteur domain check %s\n", s.Config, domain)
}
