// Package differential compares our IMAP answers with those of Debian's Dovecot: each item of FETCH and
// what SEARCH, SORT and THREAD find over a corpus of messages, and the responses to testdata/*.imap,
// command by command. A difference fails the test unless testdata/differences.txt explains it by an RFC,
// and so does an explanation that nothing needs. Random messages, new ones for each -seed, look for differences
// that nobody thought of; what they find becomes a message of the corpus.
//
// Each server chooses some things freely, and they aren't compared: the order of items in a FETCH response,
// texts for people, UIDVALIDITY, response codes that are hints, \Recent on single messages.
package differential

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"facteur/test/loopback"
)

func TestMain(m *testing.M) { loopback.Main(m) }

const password = "facteur"

// startFacteur runs the demo and returns its plain IMAP address.
func startFacteur(t *testing.T) string {
	t.Helper()
	shift := loopback.Shift(t)
	loopback.Run(t, exec.Command(loopback.Build(t), "demo", "--dir", filepath.Join(t.TempDir(), "data"), "--shift", fmt.Sprint(shift), "--plain-auth"))
	return fmt.Sprintf("127.0.0.1:%d", 2143+shift)
}

// startDovecot runs Debian's Dovecot in a private root.
func startDovecot(t *testing.T) string {
	t.Helper()
	root, dir := loopback.Debian(t, "dovecot-imapd"), loopback.OpenDir(t)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o777); err != nil {
		t.Fatal(err)
	}
	s, err := root.NewSession(dir, data)
	if err != nil {
		t.Fatal(err)
	}
	port := loopback.Port(t)
	if err := s.Write("/etc/dovecot/dovecot.conf", fmt.Sprintf(dovecotConf, data, port), 0o644); err != nil {
		t.Fatal(err)
	}
	loopback.Run(t, s.Command(t.Context(), "sh", "-c", "chown mail:mail "+data+"; exec dovecot -F"))
	return fmt.Sprintf("127.0.0.1:%d", port)
}

const dovecotConf = `protocols = imap
listen = 127.0.0.1
log_path = %[1]s/log
mail_location = maildir:%[1]s/mail
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
disable_plaintext_auth = no
ssl = no
mail_fsync = never
passdb {
  driver = static
  args = password=facteur
}
userdb {
  driver = static
  args = home=%[1]s/home allow_all_users=yes
}
service imap-login {
  inet_listener imap {
    port = %[2]d
  }
}
namespace inbox {
  inbox = yes
  separator = /
}
`
