package peers

import "fmt"

// The servers' configurations: accept mail for their own domain into one Maildir, refuse nobody-refused, and relay
// for demo.test to our port. Everything else is as Debian ships it. The shell that starts a server waits for it: see
// debian's Command.

func postfixFiles(p *peer) map[string]string {
	return map[string]string{
		"/etc/postfix/main.cf": fmt.Sprintf(`compatibility_level = 3.6
myhostname = mail.postfix.test
mydestination =
local_recipient_maps =
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = postfix.test
virtual_mailbox_base = %[1]s
virtual_mailbox_maps = static:box/
virtual_mailbox_limit = 0
virtual_uid_maps = static:8
virtual_gid_maps = static:8
virtual_minimum_uid = 1
smtpd_recipient_restrictions = check_recipient_access inline:{nobody-refused@postfix.test=reject}, permit_mynetworks, reject
transport_maps = inline:{demo.test=smtp:[127.0.0.1]:%[2]d}
message_size_limit = 60000000
mailbox_size_limit = 0
smtpd_tls_cert_file = /etc/peer.pem
smtpd_tls_key_file = /etc/peer.key
smtpd_tls_security_level = may
smtp_tls_security_level = may
disable_dns_lookups = yes
smtpd_peername_lookup = no
maillog_file = %[1]s/maillog
maillog_file_prefixes = /
`, p.data, p.ours),
		"/etc/postfix/master.cf": fmt.Sprintf(`%d inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`, p.port),
	}
}

const postfixStart = `postfix set-permissions >/dev/null 2>&1; postfix check; /usr/lib/postfix/sbin/master & wait`

func eximFiles(p *peer) map[string]string {
	return map[string]string{"/etc/exim4/exim4.conf": fmt.Sprintf(`primary_hostname = mail.exim.test
daemon_smtp_ports = %[2]d
notifier_socket =
local_interfaces = 127.0.0.1
log_file_path = %[1]s/log-%%slog
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = /etc/peer.pem
tls_privatekey = /etc/peer.key
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
chunking_advertise_hosts = *
message_size_limit = 60M
acl_smtp_rcpt = rcpt
acl_smtp_data = any
queue_run_max = 5
begin acl
rcpt:
  deny local_parts = nobody-refused
  accept
any:
  accept
begin routers
mine:
  driver = accept
  domains = exim.test
  transport = box
ours:
  driver = manualroute
  domains = demo.test
  route_list = * 127.0.0.1 byname
  self = send
  transport = out
begin transports
box:
  driver = appendfile
  directory = %[1]s/box
  maildir_format
  user = mail
  group = mail
  return_path_add
out:
  driver = smtp
  port = %[3]d
  allow_localhost
  hosts_try_chunking = *
begin retry
* * F,1h,5s
`, p.data, p.port, p.ours)}
}

const eximStart = `chown Debian-exim $data /etc/peer.key; exim4 -bdf -q5s & wait`

func opensmtpdFiles(p *peer) map[string]string {
	return map[string]string{"/etc/smtpd.conf": fmt.Sprintf(`pki peer cert "/etc/peer.pem"
pki peer key "/etc/peer.key"
smtp max-message-size 60M
table boxes { "nobody-refused@opensmtpd.test" = "error:550 no such user", "@opensmtpd.test" = "mail" }
listen on 127.0.0.1 port %[2]d hostname mail.opensmtpd.test tls pki peer
action "box" maildir "%[1]s/box" virtual <boxes>
action "out" relay host smtp://127.0.0.1:%[3]d
match from any for domain "opensmtpd.test" action "box"
match from any for domain "demo.test" action "out"
`, p.data, p.port, p.ours)}
}

const opensmtpdStart = `mkdir -p -m 711 /var/spool/smtpd; chmod 711 /var/spool/smtpd; smtpd -d & wait`
