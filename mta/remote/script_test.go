package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/mta"
	"facteur/mta/dns"
	"facteur/storage/message"
	"facteur/test/loopback"
)

// zone is a Resolver made of maps. A name that it lacks does not exist; the name of
// a broken one gets no answer.
type zone struct {
	mx        map[string][]dns.MX
	four, six map[string][]string
	txt       map[string][]string
	broken    map[string]bool
	authentic bool
}

func lookup[T any](z *zone, name, kind string, records []T) (dns.Answer[T], error) {
	switch {
	case z.broken[name]:
		return dns.Answer[T]{}, &dns.Error{Name: name, Type: kind, Kind: dns.Temporary}
	case len(records) > 0:
		return dns.Answer[T]{Records: records, Name: name, Authentic: z.authentic}, nil
	case z.mx[name] != nil || z.four[name] != nil || z.six[name] != nil:
		return dns.Answer[T]{}, &dns.Error{Name: name, Type: kind, Kind: dns.NoData}
	}
	return dns.Answer[T]{}, &dns.Error{Name: name, Type: kind, Kind: dns.NXDomain}
}

func (z *zone) MX(_ context.Context, name string) (dns.Answer[dns.MX], error) {
	return lookup(z, name, "MX", z.mx[name])
}

func (z *zone) IPv4(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	return lookup(z, name, "A", addrs(z.four[name]))
}

func (z *zone) IPv6(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	return lookup(z, name, "AAAA", addrs(z.six[name]))
}

func (z *zone) TXT(_ context.Context, name string) (dns.Answer[string], error) {
	return lookup(z, name, "TXT", z.txt[name])
}

func addrs(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// script is one connection as the peer plays it: lines of "S: " it says, of "C: " it
// wants to hear, "S: starttls" and "close".
type script []string

// play is a peer's part of a script. It reports what did not go by the script.
func (sc script) play(conn net.Conn, cert *tls.Config) error {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(conn)
	for n, line := range sc {
		switch {
		case strings.HasPrefix(line, "S: "):
			if _, err := conn.Write([]byte(line[3:] + "\r\n")); err != nil {
				return fmt.Errorf("line %d, %q: %w", n+1, line, err)
			}
		case strings.HasPrefix(line, "C: ") || line == "C:":
			got, err := r.ReadString('\n')
			if err != nil {
				return fmt.Errorf("line %d, want %q: %w", n+1, line, err)
			}
			want := strings.TrimPrefix(strings.TrimPrefix(line, "C:"), " ")
			if got != want+"\r\n" {
				return fmt.Errorf("line %d: got %q, want %q", n+1, got, want)
			}
		case line == "close":
			return nil
		case line == "tls":
			c := tls.Server(conn, cert)
			if err := c.Handshake(); err != nil {
				return fmt.Errorf("line %d: handshake: %w", n+1, err)
			}
			conn, r = c, bufio.NewReader(c)
		default:
			return fmt.Errorf("line %d makes no sense: %q", n+1, line)
		}
	}
	if got, err := r.ReadString('\n'); err == nil {
		return fmt.Errorf("after the script: got %q", got)
	}
	return nil
}

// peers plays scripts, one for each connection to an address, in order.
type peers struct {
	t       *testing.T
	scripts map[string][]script // by IP address
	cert    *tls.Config

	mu   sync.Mutex
	wg   sync.WaitGroup
	seen []string
}

func (p *peers) dial(_ context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, host)
	list := p.scripts[host]
	if len(list) == 0 {
		return nil, fmt.Errorf("dial %s: connection refused", address)
	}
	p.scripts[host] = list[1:]
	ours, theirs := net.Pipe()
	p.wg.Go(func() {
		if err := list[0].play(theirs, p.cert); err != nil {
			p.t.Errorf("%s: %v", host, err)
		}
	})
	return namedConn{ours, address}, nil
}

// namedConn gives a pipe the address that was dialled.
type namedConn struct {
	net.Conn
	address string
}

func (c namedConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.address))
}

// done waits for the peers and reports scripts that nobody played.
func (p *peers) done() {
	p.t.Helper()
	p.wg.Wait()
	for host, list := range p.scripts {
		if len(list) > 0 {
			p.t.Errorf("%s: %d connections were not made", host, len(list))
		}
	}
}

// TestDialogues plays testdata/*.smtp: the lines before the first "==" are the case's
// settings, then each "== ADDRESS" starts a connection.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.smtp")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues: ", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".smtp"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			playDialogue(t, string(text))
		})
	}
}

func playDialogue(t *testing.T, text string) {
	cert, roots := loopback.Certificate(t, "wrong.test")
	d := &dialogue{
		t:     t,
		zone:  &zone{mx: map[string][]dns.MX{}, four: map[string][]string{}, six: map[string][]string{}, broken: map[string]bool{}},
		peers: &peers{t: t, scripts: map[string][]script{}, cert: cert}, roots: roots,
		message: &mta.Message{ID: "test", Arrived: time.Now()},
		body:    "Subject: hi\r\n\r\nHello\r\n",
		sends:   1,
	}
	d.cfg = Config{Resolver: d.zone, Hello: "home.test", Dial: d.peers.dial}
	d.read(text)
	d.message.Body = mta.BodyBytes([]byte(d.body))
	s := New(d.cfg)
	var results []mta.Result
	for range d.sends {
		results = s.Deliver(context.Background(), d.message, d.message.Env.To)
	}
	s.Close()
	d.peers.done()
	for i, r := range results {
		if got := resultText(r); i >= len(d.want) || !strings.HasPrefix(got, d.want[i]) {
			t.Errorf("recipient %d: got %q, want %q", i+1, got, d.want)
		}
	}
}

// dialogue is one file of testdata.
type dialogue struct {
	t       *testing.T
	zone    *zone
	peers   *peers
	cfg     Config
	roots   *x509.CertPool // trusts the peers' certificate, which is wrong.test's
	message *mta.Message
	body    string
	sends   int
	want    []string // the results
}

// read takes the settings, and then the scripts of the peers.
func (d *dialogue) read(text string) {
	current := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		host, begins := strings.CutPrefix(line, "== ")
		switch {
		case begins:
			current = host
			d.peers.scripts[host] = append(d.peers.scripts[host], nil)
		case line == "" || strings.HasPrefix(line, "#"):
		case current != "":
			last := &d.peers.scripts[current][len(d.peers.scripts[current])-1]
			*last = append(*last, line)
		default:
			key, value, _ := strings.Cut(line, " ")
			d.set(key, value)
		}
	}
}

func (d *dialogue) set(key, value string) {
	env, f := &d.message.Env, strings.Fields(value)
	switch key {
	case "mx": // domain preference host
		var pref uint16
		fmt.Sscan(f[1], &pref)
		d.zone.mx[f[0]] = append(d.zone.mx[f[0]], dns.MX{Preference: pref, Host: strings.TrimPrefix(f[2], ".")})
	case "a":
		d.zone.four[f[0]] = append(d.zone.four[f[0]], f[1:]...)
	case "aaaa":
		d.zone.six[f[0]] = append(d.zone.six[f[0]], f[1:]...)
	case "broken":
		d.zone.broken[f[0]] = true
	case "authentic":
		d.zone.authentic = true
	case "trusted":
		d.cfg.Roots = d.roots
	case "self":
		d.cfg.SelfNames = f
	case "from":
		env.MailFrom = parse(d.t, value)
	case "to": // address [ORCPT]
		r := mta.Recipient{Address: parse(d.t, f[0])}
		if len(f) > 1 {
			r.ORCPT, r.Notify = f[1], mta.NotifyFailure|mta.NotifyDelay
		}
		env.To = append(env.To, r)
	case "envid":
		env.ENVID, env.Return = value, mta.ReturnHeaders
	case "utf8":
		env.UTF8 = true
	case "requiretls":
		env.RequireTLS = true
	case "body":
		d.body = strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(value)
	case "twice":
		d.sends = 2
	case "want":
		d.want = append(d.want, value)
	default:
		d.t.Fatalf("unknown setting %q", key)
	}
}

// resultText is a result on one line: who answered, and what came of it.
func resultText(r mta.Result) string {
	var b bytes.Buffer
	if r.RemoteMTA != "" {
		fmt.Fprintf(&b, "%s: ", r.RemoteMTA)
	}
	switch {
	case r.Err != nil:
		fmt.Fprintf(&b, "%d %s", r.Err.Code, r.Err.Status())
		if r.Unreachable {
			b.WriteString(" unreachable")
		}
		fmt.Fprintf(&b, " %s", r.Err.Text)
	case r.Relayed:
		b.WriteString("relayed")
	default:
		b.WriteString("passed on")
	}
	if r.TLS != "" {
		fmt.Fprintf(&b, " [%s]", r.TLS)
	}
	return b.String()
}

func parse(t *testing.T, s string) message.AddrSpec {
	t.Helper()
	a, err := message.ParseAddrSpec(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
