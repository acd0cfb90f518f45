package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// dialogue is one SMTP session of "facteur send", one command at a time so that
// it reads well.
type dialogue struct {
	conn   net.Conn
	trace  io.Writer
	config *tls.Config
	helo   string
	text   *textproto.Conn
	offers map[string]string // what EHLO answered, by upper-case keyword
}

// deliver runs the session from the greeting to QUIT. An error means that the message was
// taken for nobody.
func (d *dialogue) deliver(o sendOptions, text []byte) (sent, error) {
	var result sent
	if err := d.open(o.tls); err != nil {
		return result, err
	}
	if state, ok := d.conn.(*tls.Conn); ok {
		cs := state.ConnectionState()
		result.TLS = tls.VersionName(cs.Version) + " " + tls.CipherSuiteName(cs.CipherSuite)
	}
	if err := d.login(o); err != nil {
		return result, err
	}
	if _, err := d.command(250, "MAIL FROM:<%s>%s", strings.Trim(o.from, "<>"), d.parameters(o, text)); err != nil {
		return result, refusal("MAIL", err)
	}
	for _, to := range o.to {
		_, err := d.command(25, "RCPT TO:<%s>", to)
		var reply *textproto.Error
		switch {
		case errors.As(err, &reply):
			result.Refused = append(result.Refused, fmt.Sprintf("<%s>: %v", to, reply))
		case err != nil:
			return result, fmt.Errorf("RCPT: %w", err)
		}
	}
	if len(result.Refused) == len(o.to) {
		_, _ = d.command(221, "QUIT") // it is over in any case
		return result, &exitError{exitRefused, errors.New("refused: " + strings.Join(result.Refused, "; "))}
	}
	if _, err := d.command(354, "DATA"); err != nil {
		return result, refusal("DATA", err)
	}
	w := d.text.DotWriter()
	_, err := w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return result, fmt.Errorf("send message: %w", err)
	}
	if result.Reply, err = d.reply(250); err != nil {
		return result, refusal("message", err)
	}
	_, _ = d.command(221, "QUIT") // the message is taken, whatever is said now
	return result, nil
}

// open takes the session to where mail can be sent.
func (d *dialogue) open(mode string) error {
	if mode == "implicit" {
		if err := d.startTLS(); err != nil {
			return err
		}
	}
	d.listen()
	_, err := d.reply(220)
	switch foreign := textproto.ProtocolError(""); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the server ended the connection without a greeting; a port with TLS from the start takes --tls implicit")
	case errors.As(err, &foreign):
		return fmt.Errorf("the server does not speak SMTP: %w", err)
	case err != nil:
		return refusal("connection", err)
	}
	if err := d.hello(); err != nil {
		return err
	}
	_, offered := d.offers["STARTTLS"]
	if mode == "none" || mode == "implicit" || mode == "auto" && !offered {
		return nil
	}
	if _, err := d.command(220, "STARTTLS"); err != nil {
		return refusal("STARTTLS", err)
	}
	if err := d.startTLS(); err != nil {
		return err
	}
	d.listen()
	return d.hello()
}

func (d *dialogue) startTLS() error {
	conn := tls.Client(d.conn, d.config)
	if err := conn.Handshake(); err != nil {
		hint := ""
		switch unknown, plain := (*tls.CertificateVerificationError)(nil), (tls.RecordHeaderError{}); {
		case errors.As(err, &unknown):
			hint = "; --ca names its authority, --insecure believes any certificate"
		case errors.As(err, &plain):
			hint = "; --tls starttls is for a port without TLS from the start"
		}
		return fmt.Errorf("TLS with %s: %w%s", d.config.ServerName, err, hint)
	}
	d.conn = conn
	cs := conn.ConnectionState()
	fmt.Fprintf(d.trace, "-- %s %s\n", tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite))
	return nil
}

// listen begins to read and write lines on the connection as it is now.
func (d *dialogue) listen() {
	d.text = textproto.NewConn(struct {
		io.Reader
		io.Writer
		io.Closer
	}{
		io.TeeReader(d.conn, &tracer{w: d.trace, who: "S: "}),
		io.MultiWriter(d.conn, &tracer{w: d.trace, who: "C: "}),
		d.conn,
	})
}

func (d *dialogue) hello() error {
	answer, err := d.command(250, "EHLO %s", d.helo)
	if err != nil {
		return refusal("EHLO", err)
	}
	d.offers = make(map[string]string)
	for _, line := range strings.Split(answer, "\n")[1:] {
		keyword, rest, _ := strings.Cut(line, " ")
		d.offers[strings.ToUpper(keyword)] = rest
	}
	return nil
}

func (d *dialogue) login(o sendOptions) error {
	if o.user == "" {
		return nil
	}
	if _, ok := d.conn.(*tls.Conn); !ok && !isLoopback(d.conn) {
		return errors.New("a password is not sent without TLS")
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + o.user + "\x00" + o.password))
	if _, err := d.command(235, "AUTH PLAIN %s", plain); err != nil {
		return refusal("AUTH", err)
	}
	return nil
}

func isLoopback(conn net.Conn) bool {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// parameters of MAIL, of those that the server offers.
func (d *dialogue) parameters(o sendOptions, text []byte) string {
	var p strings.Builder
	if _, ok := d.offers["SIZE"]; ok {
		fmt.Fprintf(&p, " SIZE=%d", len(text))
	}
	ascii := func(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r > 126 }) }
	if _, ok := d.offers["8BITMIME"]; ok && !ascii(string(text)) {
		p.WriteString(" BODY=8BITMIME")
	}
	if _, ok := d.offers["SMTPUTF8"]; ok && !ascii(o.from+strings.Join(o.to, "")) {
		p.WriteString(" SMTPUTF8")
	}
	return p.String()
}

// command sends one line and reads the reply to it.
func (d *dialogue) command(want int, format string, args ...any) (string, error) {
	d.conn.SetDeadline(time.Now().Add(5 * time.Minute))
	if err := d.text.PrintfLine(format, args...); err != nil {
		return "", err
	}
	return d.reply(want)
}

func (d *dialogue) reply(want int) (string, error) {
	d.conn.SetDeadline(time.Now().Add(10 * time.Minute))
	_, text, err := d.text.ReadResponse(want)
	return text, err
}

// tracer writes what passes through it line by line, and no secrets.
type tracer struct {
	w    io.Writer
	who  string
	line []byte
}

func (t *tracer) Write(p []byte) (int, error) {
	t.line = append(t.line, p...)
	for {
		line, rest, ok := bytes.Cut(t.line, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		line = bytes.TrimRight(line, "\r")
		if bytes.HasPrefix(line, []byte("AUTH PLAIN ")) {
			line = []byte("AUTH PLAIN (secret)")
		}
		fmt.Fprintf(t.w, "%s%s\n", t.who, line)
		t.line = rest
	}
}
