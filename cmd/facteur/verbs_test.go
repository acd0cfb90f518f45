package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"facteur/admin"
	"facteur/mta/dns"
)

func TestCheckTellsWhoAMessageIsFrom(t *testing.T) {
	server := dns.TestServer(t, elsewhere).String()
	dir := t.TempDir()
	file := filepath.Join(dir, "m.eml")
	text := strings.ReplaceAll(hello, "\r\n", "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	type verdict struct {
		SPF         struct{ Result, Explanation string }
		DKIM        []struct{ Result string }
		DMARC       struct{ Result, Policy, Domain string }
		From        string
		Disposition string
		Reply       string
		Lookups     []lookup
	}
	ask := func(want int, args ...string) verdict {
		t.Helper()
		var v verdict
		out := facteur(t, want, append([]string{"check", "--json", "--dns", server, "--helo", "mx.elsewhere.test"}, args...)...)
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		return v
	}
	v := ask(exitOK, file, "--ip", "127.0.0.1", "--from", "carol@elsewhere.test")
	if v.SPF.Result != "pass" || v.DMARC.Result != "pass" || v.From != "carol@elsewhere.test" || v.Disposition != "accept" || len(v.Lookups) == 0 {
		t.Errorf("from its own address: %+v", v)
	}
	v = ask(exitRefused, file, "--ip", "192.0.2.1", "--from", "carol@elsewhere.test")
	if v.SPF.Result != "fail" || v.DMARC.Policy != "reject" || v.Disposition != "reject" || !strings.HasPrefix(v.Reply, "550 5.7.1 ") {
		t.Errorf("from another: %+v", v)
	}
	v = ask(exitOK, "--ip", "192.0.2.1", "--from", "carol@elsewhere.test")
	if v.SPF.Result != "fail" || v.Disposition != "" {
		t.Errorf("without a message: %+v", v)
	}
	facteur(t, exitUsage, "check", file, "--ip", "nine")
	facteur(t, exitFailed, "check", filepath.Join(dir, "none"), "--ip", "192.0.2.1")
}

func TestMXShowsWhatAServerSees(t *testing.T) {
	server := dns.TestServer(t, elsewhere+`elsewhere.test. IN MX 20 b.elsewhere.test.
elsewhere.test. IN MX 10 a.elsewhere.test.
a.elsewhere.test. IN A 192.0.2.1
a.elsewhere.test. IN AAAA 2001:db8::1
null.test. IN MX 0 .
bare.test. IN A 192.0.2.3
two.test. IN A 192.0.2.4
two.test. IN TXT "v=spf1 -all"
two.test. IN TXT "v=spf1 +all"
`).String()
	for _, tt := range []struct {
		domain string
		code   int
		want   []string
	}{
		{"elsewhere.test", exitProblems, []string{"10  a.elsewhere.test", "[2001:db8::1 192.0.2.1]", "v=DMARC1; p=reject", "b.elsewhere.test has no address"}},
		{"null.test", exitOK, []string{"takes no mail"}},
		{"bare.test", exitOK, []string{"no MX", "192.0.2.3"}},
		{"two.test", exitProblems, []string{`2 records that begin with "v=spf1"`}},
		{"missing.test", exitProblems, []string{"there is no domain missing.test"}},
	} {
		out := facteur(t, tt.code, "mx", tt.domain, "--dns", server)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("mx %s lacks %q:\n%s", tt.domain, want, out)
			}
		}
	}
}

func TestQuickstartMakesAllThatServeNeeds(t *testing.T) {
	dir := shortDir(t)
	config, data := filepath.Join(dir, "etc", "facteur.toml"), filepath.Join(dir, "data")
	out := facteur(t, exitOK, "quickstart", "you@Example.org", "--config", config, "--data", data, "--json")
	var done started
	if err := json.Unmarshal([]byte(out), &done); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if done.Secret.Name != "you@example.org" || len(done.Secret.Password) < 20 || len(done.Records) < 12 {
		t.Errorf("quickstart: %+v", done)
	}
	written, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// A user that is there, should root run the tests.
	if err := os.WriteFile(config, bytes.Replace(written, []byte(`#user = "facteur"`), []byte(`user = "nobody"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	facteur(t, exitOK, "config", "check", config)
	facteur(t, exitExists, "quickstart", "you@example.org", "--config", config, "--data", data)
	if out := facteur(t, exitOK, "--config", config, "account", "list"); !strings.Contains(out, "you@example.org") {
		t.Errorf("accounts: %s", out)
	}
	if cfg, err := LoadConfig(config); err != nil || !slices.Contains(cfg.TLS.Hosts, "mta-sts.example.org") {
		t.Errorf("no certificate for our MTA-STS policy: %v, %v", cfg.TLS.Hosts, err)
	}
	facteur(t, exitUsage, "quickstart", "nobody")

	// The next domain's certificates: the line that it says makes it content.
	out = facteur(t, exitOK, "--config", config, "domain", "add", "second.test")
	_, line, found := strings.Cut(out, "\nhosts = ")
	if !found {
		t.Fatalf("domain add says nothing of certificates: %s", out)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^hosts = .*$`).ReplaceAll(text, []byte("hosts = "+strings.TrimSpace(line)))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	want := append(webNames("example.org"), webNames("second.test")...)
	if cfg, err := LoadConfig(config); err != nil || !slices.Equal(cfg.TLS.Hosts, want) {
		t.Errorf("hosts %q, %v", cfg.TLS.Hosts, err)
	}
	facteur(t, exitOK, "--config", config, "domain", "remove", "second.test")
	if out = facteur(t, exitOK, "--config", config, "domain", "add", "second.test"); strings.Contains(out, "hosts = ") {
		t.Errorf("the second time: %s", out)
	}
}

func TestAnEmptyListIsAListInJSON(t *testing.T) {
	data := t.TempDir()
	for _, verb := range []string{"account list", "domain list", "alias list", "dkim list", "queue list", "verify"} {
		if out := facteur(t, exitOK, append([]string{"--json", "--data", data}, strings.Fields(verb)...)...); out != "[]\n" {
			t.Errorf("%s: %s", verb, out)
		}
	}
}

// What "backup" wrote is enough to have the accounts again, and a second backup replaces the first.
func TestBackupBringsTheAccountsBack(t *testing.T) {
	data, again := t.TempDir(), t.TempDir()
	facteur(t, exitOK, "--data", data, "domain", "add", "example.org")
	facteur(t, exitOK, "--data", data, "backup")
	facteur(t, exitOK, "--data", data, "account", "add", "ann@example.org")
	if out := facteur(t, exitOK, "--data", data, "backup"); !strings.Contains(out, filepath.Join(data, "backup", "server.db")) {
		t.Errorf("backup: %s", out)
	}
	if err := os.Rename(filepath.Join(data, "backup", "server.db"), filepath.Join(again, "server.db")); err != nil {
		t.Fatal(err)
	}
	if out := facteur(t, exitOK, "--data", again, "account", "list"); !strings.Contains(out, "ann@example.org") {
		t.Errorf("accounts: %s", out)
	}
}

// serve as root binds its ports, and is then somebody else, who owns the data.
func TestServeGivesUpRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root to give up")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	port := freeShift(t) + 2525
	config := fmt.Sprintf("hostname = \"mail.example.org\"\ndata = %q\nuser = \"nobody\"\n[listen]\nmx = [\"127.0.0.1:%d\"]\n"+
		"submission = []\nsubmissions = []\nimap = []\nimaps = []\n[web]\nenabled = false\n", filepath.Join(dir, "data"), port)
	file := filepath.Join(dir, "facteur.toml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "facteur") // nobody can't run the one in root's build folder
	if out, err := exec.Command("cp", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log := &lockedBuffer{}
	cmd := exec.Command(program, "serve", "--config", file)
	cmd.Env = append(os.Environ(), "FACTEUR_TEST_MAIN=1")
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	eventually(t, log, func() bool { return strings.Contains(log.String(), "msg=ready") })

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if want := "Uid:\t" + strings.Repeat(nobody.Uid+"\t", 3) + nobody.Uid; !strings.Contains(string(status), want) {
		t.Errorf("want %q in\n%s", want, status)
	}
	info, err := os.Stat(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; strconv.Itoa(int(owner)) != nobody.Uid || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder: owner %d, mode %v", owner, info.Mode())
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	c := &lineClient{t, conn, bufio.NewReader(conn)}
	c.Want("220 mail.example.org")
	conn.Close()

	// SIGHUP says what it did, and what it did not.
	changed := strings.Replace(config, "enabled = false", "enabled = true\n[limits]\nerrors = 7", 1)
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, log, func() bool {
		return strings.Contains(log.String(), "msg=reloaded certificate_files=0") && strings.Contains(log.String(), `keys="[limits.errors web.enabled]"`)
	})
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v\n%s", err, log)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("serve complained:\n%s", log)
	}
}

func TestServeRefusesToStayRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
	for name, want := range map[string]string{"root": "does not run as root", "nobody-knows-me": "useradd"} {
		if err := dropRoot(name, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("user %q: %v, want %q", name, err, want)
		}
	}
}

func eventually(t *testing.T, log *lockedBuffer, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen:\n%s", log)
		}
	}
}

func TestRecordsAreCompleteAndSplit(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen.Submission = nil
	site := admin.Site{Hostname: "mail.example.org", Policy: "version: STSv1", Web: true, Services: cfg.srvServices()}
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 400)
	var zone strings.Builder
	writeZone(&zone, site.Records("example.org", []admin.Key{{Domain: "example.org", Selector: "s1", Record: long}}))
	r, err := dns.NewZone(zone.String()) // it reads as a zone file
	if err != nil {
		t.Fatalf("%v in\n%s", err, zone.String())
	}
	resolver, err := dns.New(dns.Config{Zone: r})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"example.org": "v=spf1 mx -all", "s1._domainkey.example.org": long, "_smtp._tls.example.org": "v=TLSRPTv1; rua=mailto:postmaster@example.org",
	} {
		answer, err := resolver.TXT(context.Background(), name)
		if err != nil || len(answer.Records) != 1 || answer.Records[0] != want {
			t.Errorf("%s: %q, %v", name, answer.Records, err)
		}
	}
	for _, want := range []string{"_imaps._tcp.example.org. IN SRV 0 1 993 mail.example.org.", "_pop3s._tcp.example.org. IN SRV 0 0 0 .",
		"_submissions._tcp.example.org. IN SRV 0 1 465 mail.example.org.", "_submission._tcp.example.org. IN SRV 0 0 0 .",
		"_mta-sts.example.org. IN TXT \"v=STSv1; id=", "autoconfig.example.org. IN CNAME mail.example.org.", "_dmarc.example.org. IN TXT \"v=DMARC1; p="} {
		if !strings.Contains(zone.String(), want) {
			t.Errorf("%q is missing in\n%s", want, zone.String())
		}
	}
}

// systemd hands over bound sockets, each with the name of its service.
func TestSocketsComeFromSystemd(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "facteur.toml")
	config := fmt.Sprintf("hostname = \"mail.example.org\"\ndata = %q\nuser = \"nobody\"\n[listen]\n"+
		"submission = []\nsubmissions = []\nimap = []\nimaps = []\n[web]\nenabled = false\n", filepath.Join(dir, "data"))
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	// LISTEN_PID must be the process's own: a shell sets it and becomes the program.
	log := &lockedBuffer{}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve --config "$1"`, os.Args[0], file)
	cmd.Env = append(os.Environ(), "FACTEUR_TEST_MAIN=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=mx")
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	eventually(t, log, func() bool { return strings.Contains(log.String(), "msg=ready") })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &lineClient{t, conn, bufio.NewReader(conn)}
	c.Want("220 mail.example.org")
	cmd.Process.Signal(syscall.SIGTERM)
	c.Want("421")
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v\n%s", err, log)
	}
}
