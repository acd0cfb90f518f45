package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A slip on the command line or in a file is answered by one line that names it and what to do, and by the
// exit code for its kind.
func TestSlipsAreAnsweredInOneLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const host = "hostname = \"mail.example.org\"\nuser = \"nobody\"\ndata = \"data\"\n"
	good := write("good.toml", host)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	shift := fmt.Sprint(busy.Addr().(*net.TCPAddr).Port - 2525)
	taken := write("taken.toml", host+"[listen]\nmx = [\""+busy.Addr().String()+"\"]\nsubmission = []\nsubmissions = []\nimap = []\nimaps = []\n[web]\nenabled = false\n")
	pair := write("pair.toml", host+"[[tls.file]]\ncert = \"none.pem\"\nkey = \"none.key\"\n")
	route := write("route.toml", host+"[[route]]\ndomain = \"*\"\nhost = \"smtp.example.net:587\"\nuser = \"u\"\npassword_file = \"none\"\n")
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"acount list", exitUsage, `"facteur" has no command "acount" (did you mean "account"?); see "facteur --help"`},
		{"frob", exitUsage, `"facteur" has no command "frob"; see "facteur --help"`},
		{"account lst", exitUsage, `"facteur account" has no command "lst" (did you mean "list"?); see "facteur account --help"`},
		{"account", exitUsage, `"facteur account" needs one of its commands; see "facteur account --help"`},
		{"completion foo", exitUsage, `"facteur completion" has no command "foo"; see "facteur completion --help"`},
		{"completion", exitUsage, `"facteur completion" needs one of its commands`},
		{"completion bash x", exitUsage, `"facteur completion bash" takes no argument such as "x"; usage: facteur completion bash`},
		{"help frob", exitUsage, `"facteur" has no command "frob"; see "facteur --help"`},
		{"help account frob", exitUsage, `"facteur account" has no command "frob"`},
		{"account add", exitUsage, "accepts 1 arg(s), received 0; usage: facteur account add ADDRESS"},
		{"account add bob -c " + good, exitUsage, `"bob" is not valid: address has no @`},
		{"account quota ann@example.org --messages many -c " + good, exitUsage, `invalid argument "many" for "--messages" flag; see`},
		{"account quota ann@example.org --messages -5 -c " + good, exitUsage, "a limit is not below 0"},
		{"account capabilities ann@example.org --off NOTIFI -c " + good, exitUsage, `--off: there is no capability "NOTIFI" that can be switched off`},
		{"account capabilities ann@example.org --off IMAP4rev1 -c " + good, exitUsage, `no capability "IMAP4rev1"`},
		{"alias add a@example.org bob -c " + good, exitUsage, `target "bob" is not valid: address has no @`},
		{"alias add *@example.org ann@example.org -c " + good, exitUsage, `"facteur domain catch-all example.org ADDRESS" leads all unknown ones`},
		{"alias add a@example.org A@example.org -c " + good, exitUsage, "alias a@example.org leads to itself"},
		{"domain add 127.0.0.1 -c " + good, exitUsage, `"127.0.0.1" is not a domain name`},
		{"domain add localhost -c " + good, exitUsage, `"localhost" is not a full domain name such as example.org`},
		{"domain add .. -c " + good, exitUsage, `".." is not a domain name`},
		{"domain catch-all example.org -c " + good, exitUsage, "give an address or --none"},
		{"domain catch-all example.org ann@example.org --none -c " + good, exitUsage, "give an address or --none"},
		{"explain <> -c " + good, exitUsage, `"<>" is not valid: it names no message`},
		{"queue list --limit 0 -c " + good, exitUsage, "--limit 0 lists nothing"},
		{"queue drop -c " + good, exitUsage, "give --from, --to, --dest or --all"},
		{"mailbox list ann@example.org -c " + good, exitNotFound, "facteur: account ann@example.org: no such account\n"},
		{"mx ../x", exitUsage, `"../x" is not a domain name`},
		{"mx 192.0.2.1", exitUsage, `"192.0.2.1" is not a domain name`},
		{"quickstart x@localhost", exitUsage, `"x@localhost" is not an address such as you@example.org`},
		{"quickstart x@192.0.2.1", exitUsage, `"x@192.0.2.1" is not an address`},
		{"quickstart x@example.org --hostname 192.0.2.1", exitUsage, `--hostname "192.0.2.1" is not a full host name`},
		{"send --to a\x01b@b.example --server 127.0.0.1:1", exitUsage, `"a\x01b@b.example" has control characters`},
		{"send --to a@b.example --server 127.0.0.1:1 --user u --password-file none", exitFailed, "--password-file: open none"},
		{"account add x --frob", exitUsage, `unknown flag: --frob; see "facteur account add --help"`},
		{"check", exitUsage, "name a message, or the client's address with --ip"},
		{"send --to nobody", exitUsage, `--to "nobody": address has no @`},
		{"send --to a@b.example --server mail", exitUsage, `--server "mail" is not host:port`},
		{"send --to a@b.example --server 127.0.0.1:1 --ca none.pem", exitFailed, "--ca: open none.pem: no such file"},
		{"demo --listen home", exitUsage, `--listen "home" is not an IP address`},
		{"demo --shift 99999", exitUsage, "--shift 99999 leads to ports that are none"},
		{"demo --keylog " + dir, exitFailed, "--keylog: open " + dir},
		{"config check none.toml", exitNotFound, "read configuration: stat none.toml: no such file"},
		{"account show ann@example.org -c " + good, exitNotFound, "facteur: account ann@example.org: not found\n"},
		{"account add ann@example.org -c " + good, exitNotFound, `domain is not hosted here; "facteur domain add" adds it`},
		{"dkim list example.org -c " + good, exitNotFound, `example.org: domain is not hosted here; "facteur domain add" adds it`},
		{"tls status -c " + good, exitBusy, "certificates: needs a running server: \"systemctl start facteur\" or \"facteur serve\" starts it"},
		{"explain nothing -c " + good, exitNotFound, "message nothing: not found: it never came here"},
		{"demo --shift " + shift, exitFailed, "--shift moves all ports"},
		{"serve -c " + taken, exitFailed, "address already in use: end the program that has it (\"ss -ltnp\" names it), or change listen.mx"},
		{"config check " + pair, exitProblems, "tls.file number 1: open " + filepath.Join(dir, "none.pem")},
		{"config check " + route, exitProblems, "password_file of route *: open " + filepath.Join(dir, "none")},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var out, errOut bytes.Buffer
			code := run(context.Background(), strings.Fields(tt.args), strings.NewReader(""), &out, &errOut)
			said := out.String() + errOut.String()
			if code != tt.code || !strings.Contains(said, tt.want) || strings.Count(said, "\n") != 1 {
				t.Errorf("exit code %d, want %d and a line with %q:\n%s", code, tt.code, tt.want, said)
			}
		})
	}
}

// Root learnt only from serve that the user it was to become was not there.
func TestConfigCheckMissedTheUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root becomes another user")
	}
	for name, want := range map[string]string{"no-such-user": `there is no user "no-such-user" to become: "useradd`, "root": `user in the configuration is "root"`, "": "user in the configuration is empty"} {
		file := filepath.Join(t.TempDir(), "facteur.toml")
		if err := os.WriteFile(file, fmt.Appendf(nil, "hostname = \"mail.example.org\"\nuser = %q\n", name), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := facteur(t, exitProblems, "config", "check", file); !strings.Contains(out, want) {
			t.Errorf("user %q: %s", name, out)
		}
	}
}

// What quickstart could not begin leaves no configuration, which would be in the way of the next try.
func TestQuickstartThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "no-folder")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "facteur.toml")
	for _, slip := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{"you@example.org", "--hostname", "a b"}},
		{exitUsage, []string{`"you two"@example.org`}},
		{exitUsage, []string{"you@[192.0.2.1]"}},
		{exitFailed, []string{"you@example.org", "--data", filepath.Join(file, "data")}},
	} {
		facteur(t, slip.code, append([]string{"quickstart", "--config", config}, slip.args...)...)
		if _, err := os.Stat(config); err == nil {
			t.Fatalf("%q left a configuration", slip.args)
		}
	}
	facteur(t, exitOK, "quickstart", "--config", config, "you@example.org")
}
