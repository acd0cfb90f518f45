package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"facteur/test/debian"
)

// postfixDovecot is Debian's Postfix, which hands mail to Dovecot by LMTP over a Unix socket; Dovecot
// keeps Maildir. Settings are Debian's, but for the limits that the load would run into, names
// that nobody could look up here, and Postfix's own delays against unknown clients.
type postfixDovecot struct{ root *debian.Root }

func (p *postfixDovecot) name() string { return "postfix+dovecot" }

func (p *postfixDovecot) version(ctx context.Context, dir string) string {
	s, err := p.root.NewSession(dir)
	if err != nil {
		return "unknown"
	}
	out, err := s.Command(ctx, "sh", "-c", `echo "Postfix $(postconf -dh mail_version), Dovecot $(dovecot --version)"`).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func (p *postfixDovecot) addresses() addresses {
	return addresses{mx: "127.0.0.1:23525", submission: "127.0.0.1:23587", imap: "127.0.0.1:23143", imaps: "127.0.0.1:23993"}
}

func (p *postfixDovecot) command(ctx context.Context, dir string, f flags) (*exec.Cmd, error) {
	data := filepath.Join(dir, "data")
	s, err := p.session(dir, data)
	if err != nil {
		return nil, err
	}
	sink := ""
	if f.sink != "" {
		host, port, _ := strings.Cut(f.sink, ":")
		sink = fmt.Sprintf("transport_maps = inline:{sink.test=smtp:[%s]:%s}\n", host, port)
	}
	for path, text := range map[string]string{
		"/etc/postfix/main.cf":      fmt.Sprintf(mainCf, data) + sink,
		"/etc/postfix/master.cf":    masterCf,
		"/etc/dovecot/dovecot.conf": fmt.Sprintf(dovecotConf, data),
	} {
		if err := s.Write(path, text, 0o644); err != nil {
			return nil, err
		}
	}
	script := `set -e
data=$1
mkdir -p $data/mail $data/queue $data/lib; chown mail:mail $data/mail; chown postfix $data/lib
ulimit -n $(ulimit -Hn)
if [ ! -f /etc/dovecot/bench.key ]; then # the first start
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost -keyout /etc/dovecot/bench.key -out /etc/dovecot/bench.pem 2>/dev/null
	postfix set-permissions >/dev/null 2>&1 || true
fi
rm -f $data/queue/pid/master.pid
postfix check
dovecot -F & dovecot=$!
/usr/lib/postfix/sbin/master & postfix=$!
trap 'kill $postfix $dovecot; wait' TERM INT
wait`
	return s.Command(ctx, "sh", "-c", script, "sh", data), nil
}

// session makes the overlay on the first start and takes it up again on a restart.
func (p *postfixDovecot) session(dir, data string) (*debian.Session, error) {
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "layer")); err == nil {
		return debian.Resume(dir, data), nil
	}
	return p.root.NewSession(dir, data)
}

const mainCf = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/lib
myhostname = mail.demo.test
mydestination =
local_recipient_maps =
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = demo.test
virtual_mailbox_maps = static:all
virtual_transport = lmtp:unix:/run/dovecot/lmtp
message_size_limit = 52428800
mailbox_size_limit = 0
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_process_limit = 200
lmtp_destination_recipient_limit = 1
smtpd_tls_cert_file = /etc/dovecot/bench.pem
smtpd_tls_key_file = /etc/dovecot/bench.key
smtpd_sasl_type = dovecot
smtpd_sasl_path = /run/dovecot/auth-smtp
maillog_file = %[1]s/maillog
maillog_file_prefixes = /
`

const masterCf = `23525     inet  n       -       n       -       -       smtpd
23587     inet  n       -       n       -       -       smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
postlog   unix-dgram n  -       n       -       1       postlogd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
`

const dovecotConf = `protocols = imap lmtp
listen = 127.0.0.1
log_path = %[1]s/dovecot.log
mail_location = maildir:%[1]s/mail/%%u
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
disable_plaintext_auth = no
ssl = yes
ssl_cert = </etc/dovecot/bench.pem
ssl_key = </etc/dovecot/bench.key
mail_max_userip_connections = 0
default_client_limit = 40000
default_process_limit = 10000
default_vsz_limit = 0
passdb {
  driver = static
  args = password=facteur
}
userdb {
  driver = static
  args = home=%[1]s/mail/%%u allow_all_users=yes
}
service imap-login {
  inet_listener imap {
    port = 23143
  }
  inet_listener imaps {
    port = 23993
    ssl = yes
  }
}
service imap {
  process_limit = 10000
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener auth-smtp {
    mode = 0666
  }
}
namespace inbox {
  inbox = yes
  separator = /
}
`
