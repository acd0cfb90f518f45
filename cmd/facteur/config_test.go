package main

import (
	_ "embed"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"facteur/mta/queue"
	"facteur/mta/remote"
	"facteur/pop3"
)

// The template that quickstart writes says what the defaults are: once as it
// stands, and once with all that is commented out switched on.
func TestConfigTemplateIsTheDefaults(t *testing.T) {
	want := DefaultConfig()
	want.Hostname = "mail.example.org"
	got, err := ParseConfig("facteur.toml", configTemplate)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("as it stands:\n got %+v\nwant %+v", got, want)
	}

	text, _, found := strings.Cut(string(configTemplate), "# Mail for some domains, or for all")
	if !found {
		t.Fatal("no route example at the end")
	}
	text = regexp.MustCompile(`(?s)#\[\[.*?\n\n`).ReplaceAllString(text, "\n") // examples
	text = regexp.MustCompile(`(?m)^#(\w+ = )`).ReplaceAllString(text, "$1")
	got, err = ParseConfig("facteur.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	// An empty list and none are the same setting.
	for _, list := range []*[]string{&got.TLS.Hosts, &got.MX.BlockLists, &got.MX.AllowLists} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	got.DNS.Servers, got.Queue.Source = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("all switched on:\n got %+v\nwant %+v", got, want)
	}
}

func TestConfigTemplateNamesEveryKey(t *testing.T) {
	for _, key := range allConfigKeys() {
		word := key[strings.LastIndexByte(key, '.')+1:]
		if !regexp.MustCompile(`(?m)^#?(\[+(\w+\.)?` + word + `\]+|` + word + ` = )`).Match(configTemplate) {
			t.Errorf("facteur.toml says nothing of %s", key)
		}
	}
}

// The reason in the example of [[mx.trust]] is the one it would have without.
func TestConfigTemplateTrust(t *testing.T) {
	_, example, found := strings.Cut(string(configTemplate), "#[[mx.trust]]\n")
	example, _, ended := strings.Cut(example, "\n\n")
	if !found || !ended {
		t.Fatal("no example of mx.trust")
	}
	text := "hostname = \"mail.example.org\"\n[[mx.trust]]\n" + regexp.MustCompile(`(?m)^#`).ReplaceAllString(example, "")
	cfg, err := ParseConfig("f.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	shown := cfg.MX.Trust[0]
	if without := (Trust{Via: shown.Via, Author: shown.Author}); shown.Reason == "" || without.reason() != shown.Reason {
		t.Errorf("shown is %q, the default is %q", shown.Reason, without.reason())
	}
}

// Without a low-water mark mail is taken until the disk is full.
func TestNoLowWater(t *testing.T) {
	if got := (StorageConfig{}).lowWater(); got != 1 {
		t.Errorf("0 is %d octets", got)
	}
	if got := (StorageConfig{LowWater: 5 << 20}).lowWater(); got != 5<<20 {
		t.Errorf("5 MiB are %d octets", got)
	}
}

// The limits of addresses are the configuration's for POP3 too.
func TestLimitsOfPOP3(t *testing.T) {
	cfg := DefaultConfig()
	if got, want := cfg.Limits.pop3(), pop3.DefaultLimits(); got != want {
		t.Errorf("by default %+v, want %+v", got, want)
	}
	for _, n := range []int{0, 3} {
		cfg.Limits.PerAddress = n
		if got := cfg.Limits.pop3().PerAddress; got != n {
			t.Errorf("got %d for an address, want %d", got, n)
		}
	}
}

func TestSocketsNobodyServes(t *testing.T) {
	cfg := DefaultConfig()
	for _, tt := range []struct {
		web  bool
		name service
		want string
	}{
		{true, serviceHTTPS, ""},
		{false, serviceMX, ""},
		{false, serviceHTTP, "a socket for http, where nothing is served"},
		{false, "smtp", `named "smtp", which is no service of ours`},
	} {
		cfg.Web.Enabled = tt.web
		err := cfg.addresses().serves(tt.name)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	const host = "hostname = \"mail.example.org\"\n"
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", host + "[listen]\nimapss = [\":993\"]", `f.toml:3: unknown key "listen.imapss"; did you mean "listen.imaps"?`},
		{"key of another table", host + "imaps = [\":993\"]", `f.toml:2: unknown key "imaps"; did you mean "listen.imaps"?`},
		{"nothing like it", host + "frobnicate = 1", `f.toml:2: unknown key "frobnicate"; "facteur config keys" lists all`},
		{"two at once", host + "a1b2c3 = 1\nd4e5f6 = 2", `f.toml:3: unknown key "d4e5f6"`},
		{"text for a number", host + "[limits]\nrecipients = \"many\"", "f.toml:3: limits.recipients: it takes a whole number without quotes, and this is: string"},
		{"number for text", host + "user = 5", "f.toml:2: user: it takes text in quotes, and this is: integer"},
		{"text for a list", host + "[listen]\nmx = \":25\"", "f.toml:3: listen.mx: it takes a list in [ ], and this is: string"},
		{"text for yes or no", host + "[web]\nenabled = \"yes\"", "f.toml:3: web.enabled: it takes true or false, and this is: string"},
		{"text for a table", host + "log = \"json\"", "f.toml:2: log: it takes a table, and this is: string"},
		{"list of tables", host + "[[log]]", "f.toml:2: log: it is one table, in single brackets"},
		{"time without a unit", host + "[queue]\ngive_up = 5", `queue.give_up is not a time such as "90s", "5m", "4h" or "5d"`},
		{"limit below 0", host + "[limits]\nrecipients = -5", "limits.recipients is -5: a limit is not below 0"},
		{"size below 0", host + "[storage]\nquota = -1", "storage.quota is -1: a limit is not below 0"},
		{"size without a unit", host + "[limits]\nmessage_size = 50", "limits.message_size is 50 octets, and every server has to take 64 KiB"},
		{"bad duration", host + "[queue]\ngive_up = \"soon\"", `f.toml:3: queue.give_up: "soon" is not a time such as 90s, 5m, 4h or 5d`},
		{"bad size", host + "[limits]\nmessage_size = \"huge\"", `f.toml:3: limits.message_size: "huge" is not a size`},
		{"bad address", host + "[listen]\nmx = [\":25\",\n \"25\"]", `f.toml:4: listen.mx: "25" is not host:port`},
		{"name to listen on", host + "[listen]\nmx = [\"mail.example.org:25\"]", "listen on an IP address, not on a name"},
		{"bad DNS server", host + "[dns]\nservers = [\"one\"]", `f.toml:3: dns.servers: "one" is not the address of a DNS server`},
		{"log format", host + "[log]\nformat = \"xml\"", `f.toml:3: log.format: "xml" is neither text nor json`},
		{"not TOML", host + "[listen\n", "f.toml:2: "},
		{"no hostname", "", "f.toml: hostname is missing"},
		{"address as hostname", "hostname = \"192.0.2.1\"", `hostname "192.0.2.1" is not a full host name`},
		{"hostname with a space", "hostname = \"a b.example\"", `hostname "a b.example" is not a full host name`},
		{"short hostname", "hostname = \"mail\"", `hostname "mail" is not a full host name`},
		{"route without host", host + "[[route]]\ndomain = \"*\"", "route number 1: domain and host are needed"},
		{"password in the clear", host + "[[route]]\ndomain = \"*\"\nhost = \"a.example:25\"\nuser = \"u\"\npassword_file = \"p\"\ntls = \"opportunistic\"", "a password is only sent over TLS"},
		{"no limit of size", host + "[limits]\nmessage_size = \"0\"", "limits.message_size is 0, and the server can't be without it"},
		{"no limit of time", host + "[limits]\ncommand = \"0s\"", "limits.command is 0"},
		{"no time to give up", host + "[queue]\ngive_up = \"0s\"", "queue.give_up is 0"},
		{"no time for DNS", host + "[dns]\ntimeout = \"0s\"", "dns.timeout is 0"},
		{"list that is no name", host + "[mx]\nblock_lists = [\"https://zen.example\"]", `mx: the DNS list "https://zen.example" is not a domain name`},
		{"route of no domain", host + "[[route]]\ndomain = \"a b\"\nhost = \"a.example:25\"", `route number 1: domain "a b" is neither a domain name nor "*"`},
		{"two sources", host + "[queue]\nsource = [\"192.0.2.1\", \"192.0.2.2\"]", "queue.source names two addresses of one kind"},
		{"retry order of a route", host + "[[route]]\ndomain = \"*\"\nhost = \"h.example:25\"\nfirst_retry = \"5h\"", "route number 1: first_retry 5h0m0s is longer than max_retry 4h0m0s"},
		{"retry order of a route and the queue", host + "[[route]]\ndomain = \"*\"\nhost = \"h.example:25\"\nmax_retry = \"1m\"", "route number 1: first_retry 5m0s is longer than max_retry 1m0s"},
		{"a route's time without a unit", host + "[[route]]\ndomain = \"*\"\nhost = \"h.example:25\"\ngive_up = 5", `route number 1: give_up is not a time such as "90s"`},
		{"retry order", host + "[queue]\nfirst_retry = \"5h\"", "queue.first_retry 5h0m0s is longer than queue.max_retry 4h0m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseConfig("f.toml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLogLevelsAreNoLimits(t *testing.T) {
	if _, err := ParseConfig("f.toml", []byte("hostname = \"mail.example.org\"\n[log]\nlevel = \"debug\"")); err != nil {
		t.Error(err)
	}
}

func TestListenNetwork(t *testing.T) {
	for addr, want := range map[string]string{":25": "tcp", "0.0.0.0:25": "tcp4", "[::]:25": "tcp6", "localhost:25": "tcp"} {
		var a ListenAddr
		if err := a.UnmarshalText([]byte(addr)); err != nil || a.Network != want {
			t.Errorf("%s: %s, %v, want %s", addr, a.Network, err, want)
		}
	}
}

func TestConfigKeys(t *testing.T) {
	keys := allConfigKeys()
	for _, want := range []string{"hostname", "listen.mx", "tls.acme.email", "tls.file.cert", "route.password_file"} {
		if !slices.Contains(keys, want) {
			t.Errorf("%s is not among %q", want, keys)
		}
	}
}

// A route's times reach the queue; what it doesn't say is the queue's.
func TestRouteTimes(t *testing.T) {
	routes, err := smarthosts([]Route{{Domain: "*", Host: "h.example:25", TLS: "opportunistic", GiveUp: Duration(24 * time.Hour)}}, remote.New(remote.Config{}))
	if want := (queue.Schedule{GiveUp: 24 * time.Hour}); err != nil || routes["*"].Schedule != want {
		t.Errorf("got %+v, %v", routes["*"].Schedule, err)
	}
}

func TestChangedKeys(t *testing.T) {
	a, b := DefaultConfig(), DefaultConfig()
	if got := changedKeys(a, b); got != nil {
		t.Errorf("of equals: %q", got)
	}
	b.Hostname, b.TLS.ACME.Email, b.MX.Greylist = "x.example", "a@b.example", true
	b.Routes = []Route{{Domain: "*"}}
	b.Listen.MX = []ListenAddr{{"tcp", ":26"}}
	want := []string{"hostname", "listen.mx", "tls.acme.email", "mx.greylist", "route"}
	if got := changedKeys(a, b); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
