package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"facteur/mta/dns"
	"facteur/storage/message"
)

// sendOptions are the flags of "facteur send".
type sendOptions struct {
	server, from, subject, body, file, helo string
	to                                      []string
	tls, ca, keylog                         string
	insecure, trace                         bool
	user, passwordFile, password            string
}

func (c *cli) sendCommand() *cobra.Command {
	var o sendOptions
	cmd := &cobra.Command{
		Use: "send --to ADDRESS", Short: "Send one message and show the dialogue", Args: noArgs,
		Long: `Sends a message to a server as another mail server or, with --user, as a mail program
would. --trace shows every line: C: ours, S: the server's. Without --server the message goes
to the recipient's MX. The password of --user is read from --password-file or $FACTEUR_PASSWORD.`,
		Example: "  facteur send --to bob@demo.test --server 127.0.0.1:2525 --trace",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.send(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", "", "`host:port` (default: the MX of the first recipient)")
	f.StringVar(&o.from, "from", "", "reverse-path and From `address` (default: --user, or nobody@ this machine); \"<>\" is the null one")
	f.StringArrayVar(&o.to, "to", nil, "recipient `address`; repeatable")
	f.StringVar(&o.subject, "subject", "A test from facteur send", "`text`")
	f.StringVar(&o.body, "body", "This message was sent by \"facteur send\".", "`text`")
	f.StringVar(&o.file, "file", "", "send this complete message instead; \"-\" is standard input")
	f.StringVar(&o.helo, "helo", "", "`name` to say in EHLO (default: this machine's)")
	f.StringVar(&o.tls, "tls", "auto", "`mode`: auto (when offered; verified with --user or --ca), none, starttls, implicit (default on port 465)")
	f.StringVar(&o.ca, "ca", "", "PEM `file` of the authority to believe")
	f.BoolVar(&o.insecure, "insecure", false, "believe any certificate")
	f.StringVar(&o.keylog, "keylog", "", "append TLS secrets to this `file`, for Wireshark")
	f.StringVar(&o.user, "user", "", "log in as this `address`")
	f.StringVar(&o.passwordFile, "password-file", "", "`file` with the password on its first line")
	f.BoolVar(&o.trace, "trace", false, "show the dialogue")
	return cmd
}

// sent is what "send --json" prints.
type sent struct {
	Server  string   `json:"server"`
	TLS     string   `json:"tls,omitempty"`
	Reply   string   `json:"reply"`
	Refused []string `json:"refused,omitempty"`
}

func (c *cli) send(ctx context.Context, o sendOptions) error {
	if len(o.to) == 0 {
		return usage("--to is missing")
	}
	for _, word := range append([]string{o.from, o.helo, o.user, o.subject}, o.to...) {
		if strings.ContainsFunc(word, unicode.IsControl) { // a line end would begin another command or field
			return usage("%q has control characters", word)
		}
	}
	if o.user != "" {
		var err error
		if o.password, err = loginPassword("--user", o.passwordFile); err != nil {
			return err
		}
	}
	text, err := c.messageToSend(&o)
	if err != nil {
		return err
	}
	if o.server == "" {
		if o.server, err = findMX(ctx, o.to[0]); err != nil {
			return err
		}
	}
	config, closeKeys, err := o.tlsConfig()
	if err != nil {
		return err
	}
	defer closeKeys()
	conn, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, "tcp", o.server)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	trace := io.Discard
	switch {
	case o.trace && c.json:
		trace = c.err
	case o.trace:
		trace = c.out
	}
	d := &dialogue{conn: conn, trace: trace, config: config, helo: o.helo}
	result, err := d.deliver(o, text)
	if err != nil {
		return err
	}
	result.Server = o.server
	err = c.show(result, func(w io.Writer) {
		for _, r := range result.Refused {
			fmt.Fprintf(w, "refused: %s\n", r)
		}
		fmt.Fprintf(w, "%s said: %s\n", o.server, result.Reply)
	})
	if err == nil && len(result.Refused) > 0 {
		err = &exitError{exitRefused, nil}
	}
	return err
}

// messageToSend fills in the sender and reads or writes the message.
func (c *cli) messageToSend(o *sendOptions) ([]byte, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	if o.helo == "" {
		o.helo = host
	}
	if o.from == "" {
		o.from = "nobody@" + host
		if o.user != "" {
			o.from = o.user
		}
	}
	if o.file != "" {
		return c.readMessage(o.file)
	}
	author := strings.Trim(o.from, "<>")
	if author == "" { // a null reverse-path; the From field has no such thing
		author = "nobody@" + host
	}
	return fmt.Appendf(nil, "From: <%s>\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n%s\r\n",
		author, "<"+strings.Join(o.to, ">, <")+">", o.subject, time.Now().Format(time.RFC1123Z), rand.Text(), host, o.body), nil
}

func findMX(ctx context.Context, to string) (string, error) {
	a, err := message.ParseAddrSpec(to)
	if err != nil {
		return "", usage("--to %q: %w", to, err)
	}
	r, err := dns.New(dns.Config{})
	if err != nil {
		return "", err
	}
	answer, err := r.MX(ctx, a.Domain)
	if dns.IsNotFound(err) {
		return net.JoinHostPort(a.Domain, "25"), nil // RFC 5321 5.1: the implicit MX
	}
	if err != nil {
		return "", err
	}
	best := answer.Records[0]
	for _, mx := range answer.Records {
		if mx.Preference < best.Preference {
			best = mx
		}
	}
	if best.Host == "" {
		return "", fmt.Errorf("%s takes no mail (null MX, RFC 7505)", a.Domain)
	}
	return net.JoinHostPort(best.Host, "25"), nil
}

func (o *sendOptions) tlsConfig() (config *tls.Config, closeKeys func() error, err error) {
	closeKeys = func() error { return nil }
	host, port, err := net.SplitHostPort(o.server)
	if err != nil {
		return nil, nil, usage("--server %q is not host:port", o.server)
	}
	if o.tls == "auto" && port == "465" {
		o.tls = "implicit"
	}
	if !oneOf(o.tls, "auto", "none", "starttls", "implicit") {
		return nil, nil, usage("--tls %q is none of auto, none, starttls, implicit", o.tls)
	}
	// Without a password to protect we are as other mail servers are: they encrypt what they
	// can and believe any certificate (RFC 7435).
	opportunistic := o.tls == "auto" && o.user == "" && o.ca == ""
	config = &tls.Config{ServerName: host, InsecureSkipVerify: o.insecure || opportunistic}
	if config.RootCAs, err = readCA(o.ca); err != nil {
		return nil, nil, err
	}
	if o.keylog != "" {
		f, err := openKeyLog(o.keylog)
		if err != nil {
			return nil, nil, err
		}
		config.KeyLogWriter, closeKeys = f, f.Close
	}
	return config, closeKeys, nil
}

// readCA reads the authority that --ca names; empty: those of the system.
func readCA(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: %s holds no certificate in PEM", file)
	}
	return pool, nil
}

func openKeyLog(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--keylog: %w", err)
	}
	return f, nil
}

// loginPassword reads the password for another server from --password-file or the environment.
func loginPassword(who, file string) (string, error) {
	if file == "" {
		if p := os.Getenv("FACTEUR_PASSWORD"); p != "" {
			return p, nil
		}
		return "", usage("%s needs --password-file or $FACTEUR_PASSWORD", who)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimRight(line, "\r"), nil
}

// refusal makes a reply of the server an error with an exit code; other errors stay.
func refusal(what string, err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return &exitError{exitRefused, fmt.Errorf("%s refused: %w", what, err)}
	}
	return fmt.Errorf("%s: %w", what, err)
}
