package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/spf13/cobra"

	"facteur/admin"
)

// migrateOptions are the flags of "facteur migrate".
type migrateOptions struct {
	mailboxes        []string
	passwordFile, ca string
	insecure, dryRun bool
}

func (c *cli) migrateCommand() *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use: "migrate ADDRESS imaps://USER@HOST[:PORT]", Short: "Copy an account's mail from another server", Args: args(cobra.ExactArgs(2)),
		Long: `Copies all mail of USER on another IMAP server into the account ADDRESS here, with flags and dates; the other
server's is not changed. Messages that are here already are left out, so it can be broken off and run again,
and brings what is new until the day of the move. imap:// is for servers with STARTTLS. USER's password, which for
Gmail and others is an app password, is read from --password-file or $FACTEUR_PASSWORD.

Mailboxes for sent mail, drafts, junk, trash and archive go into the account's own, whatever their names are. Of one
with all messages, such as Gmail's, what is in none of the others goes into the archive; views of flagged and important
messages are left out.`,
		Example: `  facteur migrate ann@example.org imaps://ann@imap.old.example --password-file old.password --dry-run
  facteur migrate ann@example.org imaps://ann@imap.old.example --password-file old.password`,
		RunE: func(cmd *cobra.Command, a []string) error {
			from, err := parseOldServer(a[1])
			if err != nil {
				return err
			}
			// The files before the data folder: its owner may not be allowed to read them.
			password, err := loginPassword("migrate", o.passwordFile)
			if err != nil {
				return err
			}
			roots, err := readCA(o.ca)
			if err != nil {
				return err
			}
			config := &tls.Config{ServerName: from.host, RootCAs: roots, InsecureSkipVerify: o.insecure}
			return c.withService(cmd, func(ctx context.Context, s admin.Service) error {
				return c.migrate(ctx, s, a[0], from, password, config, o)
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.mailboxes, "mailbox", []string{"*"}, "only mailboxes like this `pattern` of IMAP: * is anything, % anything on one level; repeatable")
	f.StringVar(&o.passwordFile, "password-file", "", "`file` with the password on its first line")
	f.StringVar(&o.ca, "ca", "", "PEM `file` of the authority to believe")
	f.BoolVar(&o.insecure, "insecure", false, "believe any certificate")
	f.BoolVar(&o.dryRun, "dry-run", false, "only list the mailboxes, and where they would go")
	return cmd
}

func (c *cli) migrate(ctx context.Context, s admin.Service, account string, from oldServer, password string, config *tls.Config, o migrateOptions) error {
	known, err := s.Mailboxes(ctx, admin.Name{Name: account})
	if err != nil {
		return err
	}
	old, err := from.connect(ctx, config)
	if err != nil {
		return err
	}
	defer old.close()
	defer context.AfterFunc(ctx, old.hangUp)()
	if err := old.login(from.user, password); err != nil {
		return err
	}
	list, err := old.mailboxes(o.mailboxes, known)
	if err != nil {
		return err
	}
	if o.dryRun {
		return c.showMailboxes(old, list)
	}
	m := &migration{service: s, old: old, account: account, known: known, progress: c.out, done: migrated{Account: account}}
	if c.json {
		m.progress = c.err
	}
	failed := m.run(ctx, list)
	if ctx.Err() != nil {
		failed = errors.New("broken off; run the same command again, and it goes on where it stopped")
	}
	err = c.show(m.done, func(w io.Writer) {
		fmt.Fprintf(w, "copied %d messages (%s), %d were here already, %d refused\n", m.done.Copied, humanSize(m.done.Bytes), m.done.Present, len(m.done.Refused))
	})
	switch {
	case failed != nil:
		return failed
	case err == nil && len(m.done.Refused) > 0:
		err = &exitError{exitRefused, errors.New("what was refused is on the old server only")}
	}
	return err
}

// planned is what "migrate --dry-run" shows of a mailbox.
type planned struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Messages uint32 `json:"messages"`
}

func (c *cli) showMailboxes(old *oldConn, list []oldMailbox) error {
	var plan []planned
	for _, box := range list {
		status, err := old.Status(box.name, &imap.StatusOptions{NumMessages: true}).Wait()
		if err != nil {
			return old.failed(fmt.Sprintf("count the messages of %q", box.name), err)
		}
		p := planned{From: box.name, To: box.to}
		if status.NumMessages != nil {
			p.Messages = *status.NumMessages
		}
		plan = append(plan, p)
	}
	return c.show(plan, func(w io.Writer) {
		fmt.Fprintln(w, "FROM\tTO\tMESSAGES")
		for _, p := range plan {
			fmt.Fprintf(w, "%q\t%q\t%d\n", p.From, p.To, p.Messages)
		}
	})
}

// oldServer is where the mail comes from.
type oldServer struct {
	user, host, port string
	startTLS         bool
}

// parseOldServer reads the URL of RFC 5092, without a mailbox.
func parseOldServer(text string) (oldServer, error) {
	u, err := url.Parse(text)
	var bad *url.Error
	if errors.As(err, &bad) {
		err = bad.Err // bad itself would show the whole URL, and perhaps a password
	}
	switch {
	case err != nil:
		return oldServer{}, usage("the old server's URL: %w", err)
	case !oneOf(u.Scheme, "imaps", "imap") || u.Hostname() == "" || u.User.Username() == "" || u.Path != "" && u.Path != "/":
		return oldServer{}, usage("the old server's URL is not imaps://USER@HOST[:PORT]")
	}
	if _, given := u.User.Password(); given {
		return oldServer{}, usage("others on this machine see a password in the command: use --password-file or $FACTEUR_PASSWORD")
	}
	from := oldServer{u.User.Username(), u.Hostname(), u.Port(), u.Scheme == "imap"}
	switch {
	case from.port != "":
	case from.startTLS:
		from.port = "143"
	default:
		from.port = "993"
	}
	return from, nil
}

// oldConn is the connection with the old server.
type oldConn struct {
	*imapclient.Client
	conn net.Conn
	host string
}

func (o oldServer) connect(ctx context.Context, config *tls.Config) (*oldConn, error) {
	conn, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(o.host, o.port))
	if err != nil {
		return nil, fmt.Errorf("connect to the old server: %w", err)
	}
	conn = patientConn{conn}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	old := &oldConn{conn: conn, host: o.host}
	if o.startTLS {
		old.Client, err = imapclient.NewStartTLS(conn, &imapclient.Options{TLSConfig: config})
	} else {
		secure := tls.Client(conn, config)
		if err = secure.HandshakeContext(ctx); err == nil {
			old.Client = imapclient.New(secure, nil)
			err = old.WaitGreeting()
		}
	}
	var refused *imap.Error
	var unknown *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		err = fmt.Errorf("the old server's certificate: %w; --ca names its authority, --insecure believes any", err)
	case o.startTLS && errors.As(err, &refused):
		err = fmt.Errorf("the old server offers no STARTTLS, and without TLS the password is not sent: %q; is imaps:// there?", refused.Text)
	case err != nil:
		err = fmt.Errorf("greet the old server: %w; imaps:// is for a port with TLS from the start, imap:// for STARTTLS", err)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return old, nil
}

// patientConn waits a while for each read. The client's own deadline is one for a whole message, which a large one
// behind a slow line misses every time, and it has none for the beginning of an answer.
type patientConn struct{ net.Conn }

const patience = 5 * time.Minute

func (c patientConn) SetReadDeadline(time.Time) error { return nil }

func (c patientConn) Read(p []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (o *oldConn) login(user, password string) (err error) {
	if slices.Contains(o.Caps().AuthMechanisms(), sasl.Plain) {
		err = o.Authenticate(sasl.NewPlainClient("", user, password))
	} else {
		err = o.Login(user, password).Wait()
	}
	var refused *imap.Error
	if errors.As(err, &refused) {
		return &exitError{exitRefused, fmt.Errorf("%s refused to let %s in: %q; some servers want an app password", o.host, user, refused.Text)}
	}
	if err != nil {
		return o.failed("log in", err)
	}
	return nil
}

// hangUp ends the connection at once, whatever is under way.
func (o *oldConn) hangUp() { o.conn.Close() }

// close says goodbye first, unless the connection has ended.
func (o *oldConn) close() {
	if o.State() != imap.ConnStateLogout {
		_ = o.Logout().Wait()
	}
	o.hangUp()
}

// failed tells an answer of the old server from the loss of the connection.
func (o *oldConn) failed(what string, err error) error {
	var answer *imap.Error
	if errors.As(err, &answer) {
		return fmt.Errorf("%s: the old server said: %q", what, answer.Text)
	}
	return fmt.Errorf("%s: the connection with %s was lost: %w; run the same command again, and it goes on where it stopped", what, o.host, err)
}
