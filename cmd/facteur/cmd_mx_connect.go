package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/emersion/go-smtp"
	"golang.org/x/sync/errgroup"

	"facteur/mta/remote"
)

const (
	connectPatience = 15 * time.Second // for a connection; a blocked port is silent
	talkPatience    = time.Minute      // for all that is said on it
	talkLimit       = 64 << 10         // octets that a server may say
	callsAtOnce     = 8
	callsPerHost    = 6 // addresses that a delivery tries
)

// answer is what a server said: one call in the clear, and one with STARTTLS when that is offered.
type answer struct {
	Address     string   `json:"address"`
	Greeting    string   `json:"greeting,omitempty"`
	Extensions  []string `json:"extensions,omitempty"`  // offered at last: under TLS, if there was TLS
	TLS         string   `json:"tls,omitempty"`         // version; empty: none
	Certificate string   `json:"certificate,omitempty"` // "verified", or why not
	TLSError    string   `json:"tls_error,omitempty"`   // STARTTLS is offered and does not work
	Error       string   `json:"error,omitempty"`       // nobody to talk to
}

// caller calls the servers of a domain as another mail server would. It sends nothing. It is go-smtp's client, not the
// one of mta/remote, so that it shows what others see, and not what our own makes of it.
type caller struct {
	helo  string
	port  int
	roots *x509.CertPool // nil: those of the system
}

// callAll fills in what each server of the report answers.
func (c caller) callAll(ctx context.Context, m *mxReport) {
	var calls errgroup.Group
	calls.SetLimit(callsAtOnce)
	for i := range m.MX {
		h := &m.MX[i]
		addrs := h.Addresses[:min(len(h.Addresses), callsPerHost)]
		h.Answers = make([]answer, len(addrs))
		for j, addr := range addrs {
			calls.Go(func() error {
				h.Answers[j] = c.call(ctx, h.Host, netip.AddrPortFrom(addr, uint16(c.port)).String())
				return nil
			})
		}
	}
	_ = calls.Wait() // what failed stands in the answers
	c.findFaults(m)
}

// findFaults adds the servers that don't answer and the TLS that doesn't work to the report.
func (c caller) findFaults(m *mxReport) {
	called, silent := 0, 0
	for _, h := range m.MX {
		if len(h.Answers) == 0 {
			continue
		}
		called++
		up := 0
		for _, a := range h.Answers {
			if a.Error == "" {
				up++
			}
			if a.TLSError != "" {
				m.fault("STARTTLS with %s at %s: %s", h.Host, a.Address, a.TLSError)
			}
		}
		if up == 0 {
			silent++
			m.fault("%s can't be talked to on port %d", h.Host, c.port)
		}
	}
	if called > 0 && silent == called && c.port == 25 {
		m.fault("no server could be reached: many providers block outgoing port 25; ask yours to open it, or send by way of a smarthost, a [[route]] in facteur.toml")
	}
}

// call talks to one address of a host.
func (c caller) call(ctx context.Context, host, address string) answer {
	a := answer{Address: address}
	err := c.talk(ctx, address, func(conn net.Conn) error { return a.inTheClear(conn, c.helo) })
	if err != nil {
		a.Error = printable(err.Error())
		return a
	}
	if a.offers("STARTTLS") {
		err = c.talk(ctx, address, func(conn net.Conn) error { return a.underTLS(conn, c.helo, host, c.roots) })
		if err != nil {
			a.TLSError = printable(err.Error())
		}
	}
	return a
}

// talk connects and lets f hold the conversation, within all limits.
func (c caller) talk(ctx context.Context, address string, f func(net.Conn) error) error {
	conn, err := (&net.Dialer{Timeout: connectPatience}).DialContext(ctx, "tcp", address)
	if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
		return errors.New("connection timed out")
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err // the address is known
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	// go-smtp sets deadlines of its own, for each command; this one is for all of them.
	ctx, cancel := context.WithTimeout(ctx, talkPatience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err = f(&limitedConn{conn, io.LimitReader(conn, talkLimit)})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("the conversation took longer than %v", talkPatience)
	}
	return err
}

func (a *answer) inTheClear(conn net.Conn, helo string) error {
	client := smtp.NewClient(conn)
	var transcript bytes.Buffer // go-smtp keeps the greeting to itself
	client.DebugWriter = &transcript
	err := client.Hello(helo)
	a.Greeting, _, _ = strings.Cut(transcript.String(), "\n")
	a.Greeting = printable(strings.TrimRight(a.Greeting, "\r"))
	if err != nil {
		return err
	}
	a.Extensions = extensions(client)
	_ = client.Quit() // what we came for is known
	return nil
}

func (a *answer) underTLS(conn net.Conn, helo, host string, roots *x509.CertPool) error {
	if err := startTLS(conn, helo); err != nil {
		return err
	}
	secure := tls.Client(conn, &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection tells; mail goes to who can't be verified too (RFC 7435)
		VerifyConnection: func(cs tls.ConnectionState) error {
			a.TLS, a.Certificate = tls.VersionName(cs.Version), "verified"
			if err := remote.VerifyChain(cs, host, roots, time.Now()); err != nil {
				a.Certificate = printable("not verified: " + err.Error())
			}
			return nil
		},
	})
	// No greeting follows STARTTLS (RFC 3207 4.2), but go-smtp's client waits for one.
	client := smtp.NewClient(&limitedConn{secure, io.MultiReader(strings.NewReader("220 TLS\r\n"), secure)})
	if err := client.Hello(helo); err != nil {
		return err
	}
	a.Extensions = extensions(client)
	_ = client.Quit()
	return nil
}

// startTLS gets as far as the handshake. go-smtp has STARTTLS only for clients that call themselves localhost, which
// some servers refuse, so the command itself is ours.
func startTLS(conn net.Conn, helo string) error {
	if err := smtp.NewClient(conn).Hello(helo); err != nil {
		return err
	}
	text := textproto.NewConn(conn) // what it might read beyond the reply is forgotten, as it must be (RFC 3207 4.2)
	if _, err := text.Cmd("STARTTLS"); err != nil {
		return err
	}
	_, _, err := text.ReadResponse(220)
	return err
}

func (a *answer) offers(extension string) bool {
	for _, e := range a.Extensions {
		if word, _, _ := strings.Cut(e, " "); word == extension {
			return true
		}
	}
	return false
}

// extensions are those offered that matter between servers, with their parameters.
func extensions(client *smtp.Client) []string {
	list := []string{}
	for _, name := range []string{"STARTTLS", "PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME",
		"DSN", "ENHANCEDSTATUSCODES", "REQUIRETLS", "LIMITS", "DELIVERBY", "MT-PRIORITY"} {
		if ok, parameters := client.Extension(name); ok {
			list = append(list, printable(strings.TrimSpace(name+" "+parameters)))
		}
	}
	return list
}

func (a answer) write(w io.Writer) {
	if a.Error != "" {
		fmt.Fprintf(w, "  fails\t\t%s\t%s\n", a.Address, a.Error)
		return
	}
	fmt.Fprintf(w, "  says\t\t%s\t%s\n", a.Address, a.Greeting)
	fmt.Fprintf(w, "  offers\t\t\t%s\n", strings.Join(a.Extensions, ", "))
	switch {
	case a.TLSError != "":
		fmt.Fprintf(w, "  TLS\t\t\tfails: %s\n", a.TLSError)
	case a.TLS == "":
		fmt.Fprint(w, "  TLS\t\t\tnot offered\n")
	default:
		fmt.Fprintf(w, "  TLS\t\t\t%s, certificate %s\n", a.TLS, a.Certificate)
	}
}

// limitedConn ends after so many octets read: a server that talks without end is a stranger's.
type limitedConn struct {
	net.Conn
	r io.Reader
}

func (c *limitedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// printable keeps what strangers say from moving the terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// heloName is the host name of the configuration, or the machine's.
func (c *cli) heloName() string {
	if file, err := c.configFile(); err == nil {
		if cfg, err := LoadConfig(file); err == nil {
			return cfg.Hostname
		}
	}
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "localhost"
}

// newCaller makes a caller of the flags of "facteur mx".
func (c *cli) newCaller(o mxOptions) (caller, error) {
	call := caller{helo: c.heloName(), port: o.port}
	if o.port < 1 || o.port > 65535 {
		return call, usage("--port %d is no port", o.port)
	}
	var err error
	call.roots, err = readCA(o.ca)
	return call, err
}
