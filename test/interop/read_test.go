package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestMbsync copies an account two ways. A second run must find nothing to do.
func TestMbsync(t *testing.T) {
	need(t, "mbsync")
	d := startDemo(t)
	for i := range 20 {
		d.append("bob@demo.test", "INBOX", mail("friend@elsewhere.test", "bob@demo.test", fmt.Sprintf("number %d", i), strings.Repeat("text ", i*100)))
	}
	d.append("bob@demo.test", "Archive", mail("friend@elsewhere.test", "bob@demo.test", "old", "old text"))
	local := t.TempDir()
	conf := write(t, filepath.Join(t.TempDir(), "mbsyncrc"), fmt.Sprintf(`IMAPAccount demo
Host localhost
Port %s
User bob@demo.test
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account demo

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, d.port(2993), password, d.ca, local, local))
	mbsync := func() string { t.Helper(); return d.program("", "mbsync", "-V", "-c", conf, "-a") }
	mbsync()
	if n := len(files(t, filepath.Join(local, "INBOX"))); n != 20 {
		t.Fatalf("mbsync fetched %d of 20 messages", n)
	}
	before := listing(t, local)
	mbsync()
	if after := listing(t, local); after != before {
		t.Errorf("a second run changed something:\n%s\nwas\n%s", after, before)
	}

	// A flag set here and a message written here go there; one deleted there goes here.
	first := files(t, filepath.Join(local, "INBOX"))[0]
	base, _, _ := strings.Cut(filepath.Base(first), ":2,")
	if err := os.Rename(first, filepath.Join(local, "INBOX", "cur", base+":2,FS")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(local, "INBOX", "new", fmt.Sprintf("%d.here.test", time.Now().Unix())), mail("bob@demo.test", "bob@demo.test", "written here", "near"))
	c := d.imap("bob@demo.test")
	if _, err := c.Select("Archive", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Expunge().Collect(); err != nil {
		t.Fatal(err)
	}
	mbsync()
	d.waitMessage("bob@demo.test", "INBOX", "written here")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := c.Search(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagFlagged}}, nil).Wait()
	if err != nil || len(found.AllSeqNums()) != 1 {
		t.Errorf("flagged by mbsync: %v, %v", found, err)
	}
	if n := len(files(t, filepath.Join(local, "Archive"))); n != 0 {
		t.Errorf("%d messages left in the near Archive", n)
	}
}

// TestMbsyncOnTheMaildir has mbsync work on the files themselves while the server runs, and write its own UIDs into their names. Those
// must stay as they are: what lost one would be copied again.
func TestMbsyncOnTheMaildir(t *testing.T) {
	need(t, "mbsync")
	d := startDemo(t)
	for i := range 5 {
		d.append("bob@demo.test", "INBOX", mail("friend@elsewhere.test", "bob@demo.test", fmt.Sprintf("number %d", i), "text"))
	}
	local := t.TempDir()
	conf := write(t, filepath.Join(t.TempDir(), "mbsyncrc"), fmt.Sprintf(`MaildirStore far
Inbox %s
SubFolders Maildir++

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel inbox
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync All
SyncState %s/state
`, filepath.Join(d.dir, "mail", "demo.test", "bob"), local, local, local))
	for run := range 4 {
		if run == 2 {
			d.append("bob@demo.test", "INBOX", mail("friend@elsewhere.test", "bob@demo.test", "late", "text"))
		}
		d.program("", "mbsync", "-c", conf, "inbox")
		time.Sleep(500 * time.Millisecond) // the server has seen what mbsync did
		if n := len(files(t, filepath.Join(local, "INBOX"))); n != 5+run/2 {
			t.Fatalf("run %d: %d of %d messages were copied", run, n, 5+run/2)
		}
		c := d.imap("bob@demo.test")
		if box, err := c.Select("INBOX", nil).Wait(); err != nil || box.NumMessages != uint32(5+run/2) || uint32(box.UIDNext) != box.NumMessages+1 {
			t.Fatalf("run %d: %+v, %v", run, box, err)
		}
	}
}

// files lists the messages of a Maildir folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	for _, sub := range []string{"cur", "new"} {
		found, err := filepath.Glob(filepath.Join(dir, sub, "*"))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

// listing names every message file below a folder.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		b.WriteString(strings.TrimPrefix(f, dir) + "\n")
	}
	return b.String()
}

// neomutt runs keys in neomutt on a terminal of its own.
func (d *demo) neomutt(folder, keys string, settings ...string) string {
	d.t.Helper()
	rc := write(d.t, filepath.Join(d.t.TempDir(), "rc"), strings.Join(append([]string{
		"set ssl_ca_certificates_file=" + d.ca, "set imap_user=bob@demo.test", "set imap_pass=" + password,
		"set sort=threads", "set mark_old=no", "set confirmappend=no", "set delete=yes", "set quit=yes", "set abort_unmodified=no",
		"set record=", "set header_cache=", "set wait_key=no", "set move=no", "unset collapse_unread", "set imap_qresync=yes", "set imap_condstore=yes",
	}, settings...), "\n")+"\n")
	d.t.Setenv("TERM", "xterm")
	command := fmt.Sprintf("neomutt -n -F %s -f '%s' -e 'push \"%s\"'", rc, folder, keys)
	return d.program("", "script", "-qec", "stty rows 40 cols 120; "+command, "/dev/null")
}

func TestNeomuttOverIMAP(t *testing.T) {
	need(t, "neomutt")
	need(t, "script")
	d := startDemo(t)
	d.append("bob@demo.test", "INBOX", mail("friend@elsewhere.test", "bob@demo.test", "first", "one"))
	d.append("bob@demo.test", "INBOX", mail("friend@elsewhere.test", "bob@demo.test", "second", "two"))
	out := d.neomutt("imaps://localhost:"+d.port(2993)+"/INBOX", "<first-entry><flag-message><next-entry><save-message>=Archive<enter><sync-mailbox><quit>",
		"set folder=imaps://localhost:"+d.port(2993)+"/")
	contains(t, "neomutt's screen", out, "first") // the other has left before it paints anything
	d.waitMessage("bob@demo.test", "Archive", "second")
	c := d.imap("bob@demo.test")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := c.Search(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagFlagged}}, nil).Wait()
	if err != nil || len(found.AllSeqNums()) != 1 {
		t.Errorf("flagged by neomutt: %v, %v\n%s", found, err, out)
	}
}

// TestNeomuttOnTheMaildir works on the files themselves while the server runs: a session in IDLE's place
// must see it.
func TestNeomuttOnTheMaildir(t *testing.T) {
	need(t, "neomutt")
	need(t, "script")
	d := startDemo(t)
	d.append("bob@demo.test", "INBOX", mail("friend@elsewhere.test", "bob@demo.test", "on disk", "one"))
	c := d.imap("bob@demo.test")
	before, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	d.neomutt(filepath.Join(d.dir, "mail", "demo.test", "bob"), "<first-entry><flag-message><sync-mailbox><quit>", "set mbox_type=Maildir", "set folder="+filepath.Join(d.dir, "mail", "demo.test", "bob"))
	deadline := time.Now().Add(10 * time.Second)
	for {
		found, err := c.UIDSearch(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagFlagged}}, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if uids := found.AllUIDs(); len(uids) == 1 {
			if uids[0] != before.UIDNext-1 {
				t.Errorf("the flagged message has UID %d, it was %d", uids[0], before.UIDNext-1)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the flag set by neomutt on the Maildir was not seen by IMAP")
		}
		time.Sleep(20 * time.Millisecond)
		if err := c.Noop().Wait(); err != nil {
			t.Fatal(err)
		}
	}
}
