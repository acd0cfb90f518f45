package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"facteur/storage/message"
)

// Config is facteur.toml. Every key, its default and its meaning stand in
// facteur.toml of this folder, which quickstart writes and a test compares
// with DefaultConfig.
type Config struct {
	Hostname string `toml:"hostname"` // what we call ourselves: greeting, EHLO, Received, Message-ID
	Data     string `toml:"data"`
	User     string `toml:"user"`

	Log     LogConfig     `toml:"log"`
	Listen  ListenConfig  `toml:"listen"`
	TLS     TLSConfig     `toml:"tls"`
	DNS     DNSConfig     `toml:"dns"`
	MX      MXConfig      `toml:"mx"`
	Submit  SubmitConfig  `toml:"submission"`
	Address AddressConfig `toml:"address"`
	Limits  LimitsConfig  `toml:"limits"`
	Queue   QueueConfig   `toml:"queue"`
	Storage StorageConfig `toml:"storage"`
	Web     WebConfig     `toml:"web"`
	Routes  []Route       `toml:"route"`
}

// LogConfig says how to log.
type LogConfig struct {
	Format LogFormat `toml:"format"`
	Level  LogLevel  `toml:"level"`
}

// ListenConfig has a list of addresses for each service; an empty one switches
// the service off.
type ListenConfig struct {
	MX          []ListenAddr `toml:"mx"`
	Submission  []ListenAddr `toml:"submission"`
	Submissions []ListenAddr `toml:"submissions"`
	IMAP        []ListenAddr `toml:"imap"`
	IMAPS       []ListenAddr `toml:"imaps"`
	POP3        []ListenAddr `toml:"pop3"`
	POP3S       []ListenAddr `toml:"pop3s"`
	HTTP        []ListenAddr `toml:"http"`
	HTTPS       []ListenAddr `toml:"https"`
	Metrics     []ListenAddr `toml:"metrics"`
}

// TLSConfig says where certificates come from: files, then ACME, then self-signed.
type TLSConfig struct {
	Hosts []string   `toml:"hosts"` // besides the hostname
	Files []CertPair `toml:"file"`
	ACME  ACMEConfig `toml:"acme"`
}

// CertPair names two PEM files.
type CertPair struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

// ACMEConfig is one certificate authority.
type ACMEConfig struct {
	Agree     bool   `toml:"agree"` // to the authority's terms; without it there is no ACME
	Email     string `toml:"email"`
	Directory string `toml:"directory"`
	Roots     string `toml:"roots"` // PEM file, for an authority of one's own
	ReuseKeys bool   `toml:"reuse_keys"`
}

// DNSConfig says whom to ask.
type DNSConfig struct {
	Servers []DNSServer `toml:"servers"`
	Timeout Duration    `toml:"timeout"`
	Trust   bool        `toml:"trust"`
}

// MXConfig is the policy of port 25.
type MXConfig struct {
	CheckSenders bool     `toml:"check_senders"`
	BlockLists   []string `toml:"block_lists"`
	AllowLists   []string `toml:"allow_lists"`
	Greylist     bool     `toml:"greylist"`
	Trust        []Trust  `toml:"trust"`
}

// Trust sets DMARC aside for a forwarder or list, an author, or one by way of the other.
type Trust struct {
	Via    string `toml:"via"`    // domain that SPF, DKIM or ARC shows the mail came through
	Author string `toml:"author"` // address or domain in From
	Reason string `toml:"reason"` // for the record, in the words of RFC 9990; empty: see reason
}

// SubmitConfig is the policy for our own users.
type SubmitConfig struct {
	PlainAuth     bool `toml:"plain_auth"`
	ScramPlus     bool `toml:"scram_plus"`
	PerDay        int  `toml:"messages_per_day"`
	NewRecipients int  `toml:"new_recipients_per_day"`
}

// AddressConfig says how local-parts are read.
type AddressConfig struct {
	Separators string `toml:"separators"`
	IgnoreDots bool   `toml:"ignore_dots"`
	Folders    bool   `toml:"detail_folders"`
}

// LimitsConfig are the caps on what others may ask of us. Zero means none, but for the size of a message
// and the times: those check wants set.
type LimitsConfig struct {
	MessageSize          Size     `toml:"message_size"`
	HeaderSize           Size     `toml:"header_size"`
	Recipients           int      `toml:"recipients"`
	SubmissionRecipients int      `toml:"submission_recipients"`
	Received             int      `toml:"received"`
	MessagesPerSession   int      `toml:"messages_per_session"`
	Errors               int      `toml:"errors"`
	Command              Duration `toml:"command"`
	Data                 Duration `toml:"data"`
	Session              Duration `toml:"session"`
	Connections          int      `toml:"connections"`
	PerAddress           int      `toml:"connections_per_address"`
	IMAPPerAddress       int      `toml:"imap_connections_per_address"`
}

// QueueConfig says when to try again.
type QueueConfig struct {
	First  Duration `toml:"first_retry"`
	Max    Duration `toml:"max_retry"`
	Delay  Duration `toml:"delay_notice"`
	GiveUp Duration `toml:"give_up"`
	Source []Addr   `toml:"source"` // addresses to send from
}

// StorageConfig is about the accounts' mail.
type StorageConfig struct {
	Quota         Size `toml:"quota"`
	QuotaMessages int  `toml:"quota_messages"`
	LowWater      Size `toml:"low_water"`
	FullText      bool `toml:"full_text"`
}

// lowWater is LowWater as a Store takes it, whose zero is a default and not none.
func (s StorageConfig) lowWater() int64 { return max(int64(s.LowWater), 1) }

// WebConfig is the public HTTP part.
type WebConfig struct {
	Enabled bool   `toml:"enabled"`
	MTASTS  string `toml:"mta_sts"` // mode of our own policy: none, testing, enforce
}

// Route sends mail for a domain to a server of its own instead of its MX.
type Route struct {
	Domain   string `toml:"domain"` // "*": all that has no other
	Host     string `toml:"host"`   // host:port
	User     string `toml:"user"`
	Password string `toml:"password_file"`
	TLS      string `toml:"tls"` // starttls (the default with a user), implicit, opportunistic

	// Instead of the queue's; zero: the queue's.
	First  Duration `toml:"first_retry"`
	Max    Duration `toml:"max_retry"`
	Delay  Duration `toml:"delay_notice"`
	GiveUp Duration `toml:"give_up"`
}

// DefaultConfig is what holds for every key that facteur.toml leaves out.
func DefaultConfig() Config {
	return Config{
		Data: "/var/lib/facteur",
		User: "facteur",
		Listen: ListenConfig{
			MX:          onAll(":25"),
			Submission:  onAll(":587"),
			Submissions: onAll(":465"),
			IMAP:        onAll(":143"),
			IMAPS:       onAll(":993"),
			POP3:        []ListenAddr{},
			POP3S:       []ListenAddr{},
			Metrics:     []ListenAddr{},
			HTTP:        onAll(":80"),
			HTTPS:       onAll(":443"),
		},
		DNS:    DNSConfig{Timeout: Duration(3 * time.Second)},
		MX:     MXConfig{CheckSenders: true},
		Submit: SubmitConfig{PerDay: 1000, NewRecipients: 200},
		Address: AddressConfig{
			Separators: "+",
		},
		Limits: LimitsConfig{
			MessageSize: 50 << 20, HeaderSize: 256 << 10,
			Recipients: 100, SubmissionRecipients: 1000, Received: 100,
			MessagesPerSession: 50, Errors: 10,
			Command: Duration(5 * time.Minute), Data: Duration(30 * time.Minute), Session: Duration(30 * time.Minute),
			Connections: 1000, PerAddress: 50, IMAPPerAddress: 20,
		},
		Queue: QueueConfig{
			First: Duration(5 * time.Minute), Max: Duration(4 * time.Hour),
			Delay: Duration(4 * time.Hour), GiveUp: Duration(5 * 24 * time.Hour),
		},
		Storage: StorageConfig{LowWater: 100 << 20, FullText: true},
		Web:     WebConfig{Enabled: true, MTASTS: "testing"},
	}
}

func onAll(port string) []ListenAddr { return []ListenAddr{{"tcp", port}} }

//go:embed facteur.toml
var configTemplate []byte

// LoadConfig reads and checks a file. Its errors name file, line and what to do.
func LoadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	c, err := ParseConfig(path, text)
	if err != nil {
		return Config{}, err
	}
	// Relative paths are meant from where the file is, not from where we were started.
	for _, p := range c.paths() {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return c, nil
}

func (c *Config) paths() []*string {
	paths := []*string{&c.Data, &c.TLS.ACME.Roots}
	for i := range c.TLS.Files {
		paths = append(paths, &c.TLS.Files[i].Cert, &c.TLS.Files[i].Key)
	}
	for i := range c.Routes {
		paths = append(paths, &c.Routes[i].Password)
	}
	return paths
}

// checkFiles reads the files that the configuration names. The server's user must be able to read them too,
// which only the server finds out.
func (c *Config) checkFiles() error {
	var errs []error
	if os.Geteuid() == 0 { // others start the server as themselves
		_, _, err := serverUser(c.User, c.Data)
		errs = append(errs, err)
	}
	for i, p := range c.TLS.Files {
		if _, err := tls.LoadX509KeyPair(p.Cert, p.Key); err != nil {
			errs = append(errs, fmt.Errorf("tls.file number %d: %w", i+1, err))
		}
	}
	if c.TLS.ACME.Agree {
		_, err := c.TLS.ACME.pool()
		errs = append(errs, err)
	}
	for i := range c.Routes {
		_, err := c.Routes[i].password()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// pool holds the authority's own certificate; nil: those of the system.
func (a *ACMEConfig) pool() (*x509.CertPool, error) {
	if a.Roots == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(a.Roots)
	if err != nil {
		return nil, fmt.Errorf("tls.acme.roots: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.acme.roots: %s holds no certificate in PEM", a.Roots)
	}
	return pool, nil
}

// password is what the server of the route wants of us; empty: nothing.
func (r *Route) password() (string, error) {
	if r.Password == "" {
		return "", nil
	}
	text, err := os.ReadFile(r.Password)
	if err != nil {
		return "", fmt.Errorf("password_file of route %s: %w", r.Domain, err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// ParseConfig reads text over the defaults and checks it; name is for errors.
func ParseConfig(name string, text []byte) (Config, error) {
	c := DefaultConfig()
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, configError(name, err)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// check finds what no single value shows. What a value alone can be wrong in is
// refused by its type, which knows the line.
func (c *Config) check() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case c.Hostname == "":
		fault("hostname is missing: the full name of this machine, such as mail.example.org")
	case !isFullHostName(c.Hostname):
		fault("hostname %q is not a full host name such as mail.example.org", c.Hostname)
	}
	errs = append(errs, checkNumbers(reflect.ValueOf(*c), "")...)
	if size := c.Limits.MessageSize; size > 0 && size < 64<<10 { // RFC 5321 4.5.3.1.7
		fault("limits.message_size is %d octets, and every server has to take 64 KiB: sizes are written 512KiB, 50MiB, 10GB", size)
	}
	if c.TLS.ACME.Agree && c.TLS.ACME.Email == "" {
		fault("tls.acme.email is missing: certificate authorities write to it when something is wrong")
	}
	for i, p := range c.TLS.Files {
		if p.Cert == "" || p.Key == "" {
			fault("tls.file number %d needs both cert and key", i+1)
		}
	}
	if c.Queue.First > c.Queue.Max {
		fault("queue.first_retry %s is longer than queue.max_retry %s", c.Queue.First, c.Queue.Max)
	}
	for _, k := range []struct {
		key  string
		zero bool
	}{
		{"limits.message_size", c.Limits.MessageSize == 0},
		{"limits.command", c.Limits.Command == 0}, {"limits.data", c.Limits.Data == 0}, {"limits.session", c.Limits.Session == 0},
		{"queue.first_retry", c.Queue.First == 0}, {"queue.max_retry", c.Queue.Max == 0},
		{"queue.delay_notice", c.Queue.Delay == 0}, {"queue.give_up", c.Queue.GiveUp == 0}, {"dns.timeout", c.DNS.Timeout == 0},
	} {
		if k.zero {
			fault("%s is 0, and the server can't be without it", k.key)
		}
	}
	if n := len(c.Queue.Source); n > 0 && n != c.Queue.families() {
		fault("queue.source names two addresses of one kind: give at most one IPv4 and one IPv6 address")
	}
	if !oneOf(c.Web.MTASTS, "none", "testing", "enforce") {
		fault("web.mta_sts %q is none of none, testing, enforce", c.Web.MTASTS)
	}
	for _, zone := range slices.Concat(c.MX.BlockLists, c.MX.AllowLists) {
		if _, err := message.ParseDomain(zone); err != nil {
			fault("mx: the DNS list %q is not a domain name such as zen.spamhaus.org", zone)
		}
	}
	for i, t := range c.MX.Trust {
		if t.Via == "" && t.Author == "" {
			fault("mx.trust number %d needs via, author or both", i+1)
		}
		if !oneOf(t.reason(), "trusted_forwarder", "mailing_list", "local_policy") {
			fault("mx.trust number %d: reason %q is none of trusted_forwarder, mailing_list, local_policy", i+1, t.Reason)
		}
	}
	for i, r := range c.Routes {
		if err := r.check(); err != nil {
			fault("route number %d: %w", i+1, err)
		}
		for _, err := range checkNumbers(reflect.ValueOf(r), "") {
			fault("route number %d: %w", i+1, err)
		}
		if first, most := cmp.Or(r.First, c.Queue.First), cmp.Or(r.Max, c.Queue.Max); (r.First != 0 || r.Max != 0) && first > most {
			fault("route number %d: first_retry %s is longer than max_retry %s", i+1, first, most)
		}
	}
	return errors.Join(errs...)
}

// checkNumbers finds what the decoder takes into any number: one below 0, and a time without a unit, which is nanoseconds.
func checkNumbers(config reflect.Value, prefix string) (errs []error) {
	for i := range config.NumField() {
		key, v := prefix+config.Type().Field(i).Tag.Get("toml"), config.Field(i)
		d, isTime := v.Interface().(Duration)
		_, isLevel := v.Interface().(LogLevel) // debug is below 0
		switch {
		case v.Kind() == reflect.Struct && v.NumField() > 0:
			errs = append(errs, checkNumbers(v, key+".")...)
		case isTime && d != 0 && time.Duration(d) < time.Second:
			errs = append(errs, fmt.Errorf("%s is not a time such as \"90s\", \"5m\", \"4h\" or \"5d\"", key))
		case v.CanInt() && !isLevel && v.Int() < 0:
			errs = append(errs, fmt.Errorf("%s is %d: a limit is not below 0", key, v.Int()))
		}
	}
	return errs
}

func isFullHostName(name string) bool {
	host, err := message.ParseDomain(name)
	return err == nil && strings.Contains(host, ".")
}

// reason is why a policy was set aside, when Trust did it: who brings the mail is trusted, or the owner
// wants the author's in any case.
func (t Trust) reason() string {
	if t.Via == "" {
		return cmp.Or(t.Reason, "local_policy")
	}
	return cmp.Or(t.Reason, "trusted_forwarder")
}

func (r *Route) check() error {
	if r.Domain == "" || r.Host == "" {
		return errors.New("domain and host are needed (domain \"*\" is all mail to elsewhere)")
	}
	if _, err := message.ParseDomain(r.Domain); err != nil && r.Domain != "*" {
		return fmt.Errorf("domain %q is neither a domain name nor \"*\", all mail to elsewhere", r.Domain)
	}
	if _, err := splitHostPort(r.Host); err != nil {
		return err
	}
	r.TLS = cmp.Or(r.TLS, map[bool]string{true: "starttls", false: "opportunistic"}[r.User != ""])
	if !oneOf(r.TLS, "starttls", "implicit", "opportunistic") {
		return fmt.Errorf("tls %q is none of starttls, implicit, opportunistic", r.TLS)
	}
	if r.User != "" && r.TLS == "opportunistic" {
		return errors.New("a password is only sent over TLS: tls must be starttls or implicit")
	}
	if (r.User == "") != (r.Password == "") {
		return errors.New("user and password_file belong together")
	}
	return nil
}

// families counts the kinds of addresses in Source: IPv4, IPv6.
func (q *QueueConfig) families() int {
	kinds := map[bool]bool{}
	for _, a := range q.Source {
		kinds[netip.Addr(a).Is4()] = true
	}
	return len(kinds)
}

func oneOf(s string, words ...string) bool { return slices.Contains(words, s) }

// servers are Servers as mta/dns wants them.
func (c *DNSConfig) servers() []netip.AddrPort {
	var list []netip.AddrPort
	for _, s := range c.Servers {
		list = append(list, netip.AddrPort(s))
	}
	return list
}
