// Package differential compares our IMAP answers with those of Debian's Dovecot: each item of FETCH and
// what SEARCH, SORT and THREAD find over a corpus of messages, and the responses to testdata/*.imap,
// command by command. A difference fails the test unless testdata/differences.txt explains it by an RFC,
// and so does an explanation that nothing needs.
//
// Each server chooses some things freely, and they aren't compared: the order of items in a FETCH response,
// texts for people, UIDVALIDITY, response codes that are hints, \Recent on single messages.
package differential

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"facteur/test/debian"
)

const password = "facteur"

// startFacteur runs the demo and returns its plain IMAP address.
func startFacteur(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "facteur")
	if out, err := exec.Command("go", "build", "-tags", "sqlite_fts5", "-o", bin, "facteur/cmd/facteur").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	shift := freeShift(t)
	run(t, exec.Command(bin, "demo", "--dir", filepath.Join(dir, "data"), "--shift", fmt.Sprint(shift), "--plain-auth"))
	return fmt.Sprintf("127.0.0.1:%d", 2143+shift)
}

// startDovecot runs Debian's Dovecot in a private root.
func startDovecot(t *testing.T) string {
	t.Helper()
	root, err := debian.Open(t.Context(), "dovecot-imapd")
	if errors.Is(err, debian.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Dovecot's user has to get through to its mail, and t.TempDir is closed to other users.
	dir, err := os.MkdirTemp("", "facteur-dovecot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o777); err != nil {
		t.Fatal(err)
	}
	s, err := root.NewSession(dir, data)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	if err := s.Write("/etc/dovecot/dovecot.conf", fmt.Sprintf(dovecotConf, data, port), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, s.Command(t.Context(), "sh", "-c", "chown mail:mail "+data+"; exec dovecot -F"))
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

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	cmd.Stdout = nil
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// freeShift finds a shift at which all of the demo's ports are free.
func freeShift(t *testing.T) int {
	t.Helper()
	for range 50 {
		shift := 10_000 + rand.N(15_000)
		free := true
		for _, port := range []int{2525, 2587, 2465, 2143, 2993, 2080, 2110, 2995} {
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+shift))
			if err != nil {
				free = false
				break
			}
			ln.Close()
		}
		if free {
			return shift
		}
	}
	t.Fatal("no free ports for the demo")
	return 0
}
