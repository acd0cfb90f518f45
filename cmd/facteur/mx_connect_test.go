package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"facteur/mta/dns"
	"facteur/mta/simulate"
)

// calledZone has one server, below the name that tests want.
func calledZone(t *testing.T, host string) string {
	t.Helper()
	return dns.TestServer(t, "called.test. IN MX 10 "+host+".\n"+host+". IN A 127.0.0.1\n").String()
}

// callMX runs "facteur mx called.test --connect" and returns what the one server answered, and the faults.
func callMX(t *testing.T, code int, host string, addr net.Addr, args ...string) (answer, string) {
	t.Helper()
	port := fmt.Sprint(addr.(*net.TCPAddr).Port)
	args = append([]string{"mx", "called.test", "--connect", "--dns", calledZone(t, host), "--port", port, "--json"}, args...)
	out := facteur(t, code, args...)
	var report mxReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if len(report.MX) != 1 || len(report.MX[0].Answers) != 1 {
		t.Fatalf("not one answer in\n%s", out)
	}
	return report.MX[0].Answers[0], strings.Join(report.Faults, "\n")
}

// go-smtp's client talks to a whole Facteur.
func TestMXConnectShowsWhatAServerOffers(t *testing.T) {
	d := startDaemon(t, "")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.ca.Cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := d.Addr(serviceMX)
	a, _ := callMX(t, exitOK, "mail.example.org", addr, "--ca", ca)
	if !strings.HasPrefix(a.Greeting, "220 mail.example.org") || a.TLS != "TLS 1.3" || a.Certificate != "verified" || a.Address != addr.String() {
		t.Errorf("answer: %+v", a)
	}
	for _, want := range []string{"PIPELINING", "8BITMIME", "REQUIRETLS"} { // the last only under TLS
		if !slices.Contains(a.Extensions, want) {
			t.Errorf("%s is not in %q", want, a.Extensions)
		}
	}
	if a, _ := callMX(t, exitOK, "mail.example.org", addr); !strings.HasPrefix(a.Certificate, "not verified: x509: ") {
		t.Errorf("of an authority that nobody knows: %q", a.Certificate)
	}
	if a, _ := callMX(t, exitOK, "other.called.test", addr, "--ca", ca); !strings.Contains(a.Certificate, "not other.called.test") {
		t.Errorf("of another name: %q", a.Certificate)
	}
	out := facteur(t, exitOK, "mx", "called.test", "--connect", "--dns", calledZone(t, "mail.example.org"), "--ca", ca, "--port", fmt.Sprint(addr.(*net.TCPAddr).Port))
	for _, want := range []string{"220 mail.example.org", "PIPELINING, ", "TLS 1.3, certificate verified"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	facteur(t, exitUsage, "mx", "called.test", "--connect", "--port", "70000")
}

func TestMXConnectTellsWhatIsWrong(t *testing.T) {
	ca, err := simulate.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	good, err := ca.Issue(time.Now().Add(time.Hour), "peer.called.test")
	if err != nil {
		t.Fatal(err)
	}
	for name, peer := range map[string]*simulate.Peer{
		"no TLS":     {},
		"broken TLS": {TLS: good, TLSFault: simulate.TLSBroken},
		"TLS later":  {TLS: good, TLSFault: simulate.TLSLater},
	} {
		t.Run(name, func(t *testing.T) {
			peer.Name = "peer.called.test"
			l := listenLoopback(t)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- peer.Serve(ctx, l) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			if peer.TLS == nil {
				if a, faults := callMX(t, exitOK, peer.Name, l.Addr()); a.TLS != "" || a.TLSError != "" || faults != "" || !slices.Contains(a.Extensions, "SIZE 104857600") {
					t.Errorf("%+v, %s", a, faults)
				}
				return
			}
			a, faults := callMX(t, exitProblems, peer.Name, l.Addr())
			if a.TLS != "" || a.TLSError == "" || a.Error != "" || !strings.Contains(faults, "STARTTLS with peer.called.test at 127.0.0.1:") {
				t.Errorf("%+v, %s", a, faults)
			}
		})
	}
	for name, c := range map[string]struct{ says, want string }{
		"nobody there":     {"", "connection refused"},
		"not welcome":      {"554 go \x1b[2Jaway\r\n", "go ?[2Jaway"},
		"talks on and on":  {"220-" + strings.Repeat("x\r\n220-", 20<<10), "EOF"},
		"speaks no SMTP":   {"SSH-2.0-OpenSSH\r\n", "SSH-2.0-OpenSSH"},
		"closes in a huff": {"220 hello\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := listenLoopback(t)
			if c.says == "" {
				l.Close()
			} else {
				go func() {
					conn, err := l.Accept()
					if err == nil {
						fmt.Fprint(conn, c.says)
						conn.Close()
					}
				}()
			}
			a, faults := callMX(t, exitProblems, "rude.called.test", l.Addr())
			if a.Error == "" || !strings.Contains(a.Error+a.Greeting, c.want) || !strings.Contains(faults, "rude.called.test can't be talked to on port") {
				t.Errorf("%+v, %s", a, faults)
			}
		})
	}
}

// Some servers refuse who calls himself localhost: the name of the configuration is said with and without TLS.
func TestMXConnectSaysOurName(t *testing.T) {
	ca, err := simulate.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	config, err := ca.Issue(time.Now().Add(time.Hour), "peer.called.test")
	if err != nil {
		t.Fatal(err)
	}
	l := listenLoopback(t)
	said := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(said)
				return
			}
			answerEHLO(conn, config, said)
		}
	}()
	file := filepath.Join(t.TempDir(), "facteur.toml")
	if err := os.WriteFile(file, []byte("hostname = \"mail.example.org\"\ndata = \"data\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, _ := callMX(t, exitOK, "peer.called.test", l.Addr(), "-c", file); a.TLS == "" || !slices.Contains(a.Extensions, "SIZE 7") {
		t.Errorf("answer: %+v", a)
	}
	l.Close()
	var names []string
	for line := range said {
		names = append(names, line)
	}
	if want := "EHLO mail.example.org"; !slices.Equal(names, []string{want, want, "TLS", want}) {
		t.Errorf("said: %q", names)
	}
}

// answerEHLO answers EHLO and STARTTLS, and tells of both.
func answerEHLO(raw net.Conn, config *tls.Config, said chan<- string) {
	defer raw.Close()
	conn := raw
	fmt.Fprint(conn, "220 peer.called.test\r\n")
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		switch line = strings.TrimRight(line, "\r\n"); {
		case err != nil:
			return
		case strings.HasPrefix(line, "EHLO "):
			said <- line
			fmt.Fprint(conn, "250-peer.called.test\r\n250-STARTTLS\r\n250 SIZE 7\r\n")
		case line == "STARTTLS":
			said <- "TLS"
			fmt.Fprint(conn, "220 go ahead\r\n")
			conn = tls.Server(raw, config)
			r = bufio.NewReader(conn)
		default:
			fmt.Fprint(conn, "221 bye\r\n")
			return
		}
	}
}

// A port that nobody answers on is most often one that the provider blocks.
func TestMXConnectTellsOfABlockedPort(t *testing.T) {
	m := mxReport{MX: []mxHost{
		{Host: "a.test", Answers: []answer{{Error: "connection timed out"}}},
		{Host: "b.test", Answers: []answer{{Error: "connection timed out"}, {Error: "network is unreachable"}}},
	}}
	caller{port: 25}.findFaults(&m)
	if text := strings.Join(m.Faults, "\n"); len(m.Faults) != 3 || !strings.Contains(text, "block outgoing port 25") || !strings.Contains(text, "[[route]]") {
		t.Errorf("faults: %s", text)
	}
	m.Faults, m.MX[1].Answers[0] = nil, answer{Greeting: "220 b.test"}
	caller{port: 25}.findFaults(&m)
	if !slices.Equal(m.Faults, []string{"a.test can't be talked to on port 25"}) {
		t.Errorf("with one that answers: %q", m.Faults)
	}
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
