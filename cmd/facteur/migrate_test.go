package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"facteur/admin"
)

const smallest = 64 << 10 // limits.message_size of the new server in these tests

// move is a migration between two daemons: ann's mail of the old one goes to ben of the new one.
type move struct {
	t        *testing.T
	old, new *testDaemon
	password string // file
}

func startMove(t *testing.T) *move {
	m := &move{t: t, old: startDaemon(t, ""), password: filepath.Join(t.TempDir(), "password")}
	m.new = startDaemon(t, "", func(c *Config, _ *Deps) { c.Limits.MessageSize = smallest })
	if err := os.WriteFile(m.password, []byte(testPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// run migrates to the new server's data folder, whether that runs or not.
func (m *move) run(want int, args ...string) migrated {
	m.t.Helper()
	var done migrated
	_, text, ok := strings.Cut("\n"+m.text(want, append(args, "--json")...), "\n{")
	text, _, _ = strings.Cut(text, "\n}")
	if err := json.Unmarshal([]byte("{"+text+"}"), &done); !ok || err != nil {
		m.t.Fatalf("%v in %s", err, text)
	}
	return done
}

func (m *move) text(want int, args ...string) string {
	m.t.Helper()
	args = append([]string{"migrate", "ben@example.org", m.url("ann@example.org"), "--data", m.new.dir,
		"--password-file", m.password, "--ca", filepath.Join(m.old.dir, "ca.pem")}, args...)
	return facteur(m.t, want, args...)
}

func (m *move) url(user string) string {
	_, port, err := net.SplitHostPort(m.old.Addr(serviceIMAPS).String())
	if err != nil {
		m.t.Fatal(err)
	}
	return "imaps://" + user + "@localhost:" + port
}

// put appends a message to a mailbox of ann's on the old server.
func (m *move) put(c *imapclient.Client, mailbox, id, text string, flags ...imap.Flag) {
	m.t.Helper()
	if id != "" {
		id = "Message-ID: <" + id + ">\r\n"
	}
	text = id + "Subject: s\r\n\r\n" + text + "\r\n"
	arrived := time.Date(2009, 2, 13, 23, 31, 30, 0, time.FixedZone("", 3600))
	a := c.Append(mailbox, int64(len(text)), &imap.AppendOptions{Flags: flags, Time: arrived})
	if _, err := a.Write([]byte(text)); err != nil {
		m.t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		m.t.Fatal(err)
	}
	if _, err := a.Wait(); err != nil {
		m.t.Fatal(err)
	}
}

// read returns a line for each message of a mailbox with flags, date and octets.
func (m *move) read(d *testDaemon, user, mailbox string) []string {
	m.t.Helper()
	c := d.IMAP(user)
	box, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		m.t.Fatalf("%s: %v", mailbox, err)
	}
	if box.NumMessages == 0 {
		return nil
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	found, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		m.t.Fatal(err)
	}
	var lines []string
	for _, msg := range found {
		flags := slices.DeleteFunc(msg.Flags, func(f imap.Flag) bool { return f == `\Recent` })
		slices.Sort(flags)
		lines = append(lines, fmt.Sprintf("%v %v %q", flags, msg.InternalDate.UTC(), msg.FindBodySection(whole)))
	}
	return lines
}

func TestMigrateBringsEverythingOnce(t *testing.T) {
	m := startMove(t)
	c := m.old.IMAP("ann@example.org")
	store, err := m.old.parts.store.Account(t.Context(), "ann@example.org")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Release()
	for _, err := range []error{
		c.Rename("Sent", "Gesendet", nil).Wait(), // with its special use
		c.Create("Arbeit/Über/日本.de", nil).Wait(),
		store.CreateMailbox(t.Context(), "Alles", `\All`), // IMAP can't make one here
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m.put(c, "INBOX", "1@old.test", "one", imap.FlagSeen, imap.FlagFlagged, "$Forwarded", "Blue")
	m.put(c, "INBOX", "1@old.test", "the same by another way")
	m.put(c, "INBOX", "", "without an ID", imap.FlagAnswered, imap.FlagDraft)
	m.put(c, "INBOX", "", "", imap.FlagDeleted)
	m.put(c, "Gesendet", "2@old.test", "8bit \xfc and a long one "+strings.Repeat("0123456789\r\n", 4000), imap.FlagSeen)
	m.put(c, "Arbeit/Über/日本.de", "3@old.test", "deep")
	m.put(c, "Arbeit", "big@old.test", strings.Repeat("0123456789\r\n", smallest/12))
	m.put(c, "Arbeit", "4@old.test", "behind the big one")
	m.put(c, "Alles", "1@old.test", "one", imap.FlagSeen)
	m.put(c, "Alles", "5@old.test", "archived: it is only here")

	plan := m.text(exitOK, "--dry-run")
	for _, want := range []string{"FROM", "Gesendet", "Arbeit/Über/日本.de", "Alles"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
	if got := m.read(m.new, "ben@example.org", "INBOX"); got != nil {
		t.Fatalf("--dry-run copied %q", got)
	}

	first := m.run(exitRefused)
	if first.Copied != 8 || first.Present != 1 || len(first.Refused) != 1 || first.Refused[0].Mailbox != "Arbeit" || first.Refused[0].UID != 1 {
		t.Errorf("first run: %+v", first)
	}
	for from, to := range map[string]string{"INBOX": "INBOX", "Gesendet": "Sent", "Arbeit/Über/日本.de": "Arbeit/Über/日本.de"} {
		was, is := m.read(m.old, "ann@example.org", from), m.read(m.new, "ben@example.org", to)
		if !slices.Equal(was, is) {
			t.Errorf("%s was\n%q\nand %s is\n%q", from, was, to, is)
		}
	}
	if is := m.read(m.new, "ben@example.org", "Arbeit"); len(is) != 1 || !strings.Contains(is[0], "behind the big one") {
		t.Errorf("beside the message over the limit: %q", is)
	}
	if is := m.read(m.new, "ben@example.org", "Archive"); len(is) != 1 || !strings.Contains(is[0], "only here") {
		t.Errorf("of all messages the archive has %q", is)
	}

	if second := m.run(exitRefused); second.Copied != 0 || second.Present != 9 {
		t.Errorf("second run: %+v", second)
	}
	m.put(c, "INBOX", "6@old.test", "new")
	if third := m.run(exitOK, "--mailbox", "INB%", "--mailbox", "Gesendet"); third.Copied != 1 || third.Present != 5 {
		t.Errorf("third run: %+v", third)
	}
	// Nobody runs the new server: the data folder is asked itself.
	m.put(c, "INBOX", "7@old.test", "newer")
	if err := m.new.stop(); err != nil {
		t.Fatal(err)
	}
	if fourth := m.run(exitOK, "--mailbox", "INBOX"); fourth.Copied != 1 || fourth.Present != 5 {
		t.Errorf("fourth run: %+v", fourth)
	}
	facteur(t, exitOK, "verify", "--data", m.new.dir)
}

func TestMigrateTellsWhyItCannot(t *testing.T) {
	m := startMove(t)
	c := m.old.IMAP("ann@example.org")
	m.put(c, "INBOX", "1@old.test", strings.Repeat("x\r\n", 1000))
	m.put(c, "INBOX", "2@old.test", "small")
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("guess"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(m.old.dir, "ca.pem")
	plain := "imap://ann@example.org@" + m.old.Addr(serviceIMAP).String()
	for _, tt := range []struct {
		name, account, url string
		more               []string
		code               int
		want               string
	}{
		{"unknown account", "carl@example.org", m.url("ann@example.org"), nil, exitNotFound, "no such account"},
		{"wrong password", "ben@example.org", m.url("ann@example.org"), []string{"--password-file", wrong}, exitRefused, "refused to let ann@example.org in"},
		{"nobody there", "ben@example.org", "imaps://ann@" + nobody.Addr().String(), nil, exitFailed, "connection refused"},
		{"unknown authority", "ben@example.org", m.url("ann@example.org"), []string{"--ca", filepath.Join(m.new.dir, "ca.pem")}, exitFailed, "--ca names its authority"},
		{"password in the URL", "ben@example.org", "imaps://ann:secret@localhost", nil, exitUsage, "use --password-file"},
		{"no user", "ben@example.org", "imaps://localhost", nil, exitUsage, "is not imaps://USER@HOST"},
		{"TLS where none is", "ben@example.org", strings.Replace(plain, "imap:", "imaps:", 1), nil, exitFailed, "greet the old server"},
		{"STARTTLS", "ben@example.org", plain, []string{"--dry-run"}, exitOK, "INBOX"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"migrate", tt.account, tt.url, "--data", m.new.dir, "--password-file", m.password, "--ca", ca}, tt.more...)
			if out := facteur(t, tt.code, args...); !strings.Contains(out, tt.want) || strings.Contains(out, "secret@") {
				t.Errorf("want %q:\n%s", tt.want, out)
			}
		})
	}
	if _, err := m.new.service.SetQuota(context.Background(), admin.Quota{Name: "ben@example.org", Bytes: 1000, Messages: -1, SendPerDay: -1}); err != nil {
		t.Fatal(err)
	}
	if out := m.text(exitFailed); !strings.Contains(out, "over quota") || !strings.Contains(out, "facteur account quota") {
		t.Errorf("over quota:\n%s", out)
	}
	if is := m.read(m.new, "ben@example.org", "INBOX"); is != nil {
		t.Errorf("over quota there is %q", is)
	}
}

// cutOff is a proxy before the old server that ends each connection after so many octets to the client.
func cutOff(t *testing.T, to string, octets int64) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go relay(client, to, octets)
		}
	}()
	return l.Addr().String()
}

func TestMigrateGoesOnAfterALostConnection(t *testing.T) {
	m := startMove(t)
	c := m.old.IMAP("ann@example.org")
	const messages = 30
	for i := range messages {
		m.put(c, "INBOX", fmt.Sprint(i, "@old.test"), strings.Repeat(fmt.Sprintf("line %08d\r\n", i), 2000))
	}
	proxy := "imaps://ann@example.org@" + cutOff(t, m.old.Addr(serviceIMAPS).String(), 300<<10)
	out := facteur(t, exitFailed, "migrate", "ben@example.org", proxy, "--data", m.new.dir, "--password-file", m.password, "--insecure")
	if !strings.Contains(out, "was lost") || !strings.Contains(out, "run the same command again") {
		t.Errorf("it says\n%s", out)
	}
	copied := len(m.read(m.new, "ben@example.org", "INBOX"))
	if copied == 0 || copied == messages {
		t.Fatalf("%d messages came before the connection was lost", copied)
	}
	if done := m.run(exitOK); done.Present != copied || done.Copied != messages-copied {
		t.Errorf("%d were here: %+v", copied, done)
	}
	if was, is := m.read(m.old, "ann@example.org", "INBOX"), m.read(m.new, "ben@example.org", "INBOX"); !slices.Equal(was, is) {
		t.Errorf("%d messages were there, %d are here, or they differ", len(was), len(is))
	}
}

// The IMAP client has one deadline for a whole message, however large that is.
func TestASlowMessageIsNotCutOff(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	conn := patientConn{near}
	if err := conn.SetReadDeadline(time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = far.Write([]byte("late")) }()
	if n, err := conn.Read(make([]byte, 10)); n != 4 || err != nil {
		t.Errorf("%d octets, %v", n, err)
	}
}

func TestMailboxesOfOtherServersHaveTheirPlaceHere(t *testing.T) {
	known := []admin.Mailbox{{Name: "INBOX"}, {Name: "Sent", SpecialUse: `\Sent`}, {Name: "Archive", SpecialUse: `\Archive`}}
	courier := &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Prefix: "INBOX.", Delim: '.'}}, Shared: []imap.NamespaceDescriptor{{Prefix: "shared.", Delim: '.'}}}
	dovecot := &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Prefix: "", Delim: '/'}}}
	for _, tt := range []struct {
		name   string
		delim  rune
		attrs  []imap.MailboxAttr
		spaces *imap.NamespaceData
		to     string // empty: it is left out
		all    bool
	}{
		{"Inbox", '/', nil, dovecot, "INBOX", false},
		{"[Gmail]", '/', []imap.MailboxAttr{`\Noselect`, `\HasChildren`}, dovecot, "", false},
		{"[Gmail]/Gesendet", '/', []imap.MailboxAttr{`\HasNoChildren`, `\Sent`}, dovecot, "Sent", false},
		{"[Gmail]/Alle Nachrichten", '/', []imap.MailboxAttr{`\All`}, dovecot, "Archive", true},
		{"[Gmail]/Wichtig", '/', []imap.MailboxAttr{`\Important`}, dovecot, "", false},
		{"[Gmail]/Markiert", '/', []imap.MailboxAttr{`\flagged`}, dovecot, "", false},
		{"INBOX.Work.a/b", '.', nil, courier, "Work/a_b", false},
		{"INBOX", '.', nil, courier, "INBOX", false},
		{"INBOX.Sent Items", '.', []imap.MailboxAttr{`\sent`}, courier, "Sent", false},
		{"shared.team", '.', nil, courier, "", false},
		{"flat.name", 0, nil, dovecot, "flat.name", false},
		{"a//b/", '/', nil, dovecot, "a/b", false},
	} {
		box, ok := destination(&imap.ListData{Mailbox: tt.name, Delim: tt.delim, Attrs: tt.attrs}, tt.spaces, known)
		if ok != (tt.to != "") || ok && (box.to != tt.to || box.all != tt.all || box.name != tt.name) {
			t.Errorf("%s: %+v, %v", tt.name, box, ok)
		}
	}
}

// relay passes octets both ways.
func relay(client net.Conn, to string, octets int64) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, client) }()
	_, _ = io.CopyN(client, server, octets)
}
