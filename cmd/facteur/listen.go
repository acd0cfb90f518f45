package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// service names a kind of listener, as the configuration and systemd's
// FileDescriptorName= call it.
type service string

const (
	serviceMX          service = "mx"
	serviceSubmission  service = "submission"
	serviceSubmissions service = "submissions"
	serviceIMAP        service = "imap"
	serviceIMAPS       service = "imaps"
	servicePOP3        service = "pop3"
	servicePOP3S       service = "pop3s"
	serviceHTTP        service = "http"
	serviceHTTPS       service = "https"
	serviceMetrics     service = "metrics"
)

// listeners are the open sockets of each service.
type listeners map[service][]net.Listener

// endpoints pairs each service that there is with its addresses.
type endpoints map[service][]ListenAddr

// addresses is what the configuration says. Ports 80 and 443 are only opened when
// something is served there.
func (c *Config) addresses() endpoints {
	list := endpoints{
		serviceMX: c.Listen.MX, serviceSubmission: c.Listen.Submission, serviceSubmissions: c.Listen.Submissions,
		serviceIMAP: c.Listen.IMAP, serviceIMAPS: c.Listen.IMAPS, servicePOP3: c.Listen.POP3, servicePOP3S: c.Listen.POP3S,
		serviceMetrics: c.Listen.Metrics,
	}
	if c.Web.Enabled || c.TLS.ACME.Agree {
		list[serviceHTTP], list[serviceHTTPS] = c.Listen.HTTP, c.Listen.HTTPS
	}
	return list
}

// listen opens all sockets, or none. A service that systemd hands sockets for takes
// those instead of its own addresses.
func listen(cfg *Config) (listeners, error) {
	open := make(listeners)
	given, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("sockets from systemd: %w", err)
	}
	addresses := cfg.addresses()
	for name, list := range given {
		if err := addresses.serves(service(name)); err != nil {
			return nil, err
		}
		open[service(name)] = list
	}
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		if open[name] != nil {
			continue
		}
		for _, a := range addresses[name] {
			l, err := net.Listen(a.Network, a.Address)
			if err != nil {
				open.close()
				return nil, &listenError{name, err}
			}
			open[name] = append(open[name], l)
		}
	}
	return open, nil
}

// serves is the error of a socket that systemd hands over and nobody would serve.
func (e endpoints) serves(s service) error {
	switch _, ok := e[s]; {
	case ok:
		return nil
	case s == serviceHTTP || s == serviceHTTPS:
		return fmt.Errorf("systemd hands over a socket for %s, where nothing is served: disable its socket unit, or set web.enabled or tls.acme.agree", s)
	}
	return fmt.Errorf("systemd hands over a socket named %q, which is no service of ours: FileDescriptorName= must be one of mx, submission, submissions, imap, imaps, pop3, pop3s, http, https, metrics", s)
}

// listenError is a port that can't be had; it tells what to do about the configuration.
type listenError struct {
	name service
	err  error
}

func (e *listenError) Unwrap() error { return e.err }

func (e *listenError) Error() string {
	hint, err, name := "", e.err, e.name
	switch {
	case errors.Is(err, os.ErrPermission):
		hint = ": ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket unit"
	case errors.Is(err, syscall.EADDRINUSE):
		hint = fmt.Sprintf(": end the program that has it (\"ss -ltnp\" names it), or change listen.%s", name)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = fmt.Sprintf(": this machine has no such address: change listen.%s", name)
	}
	return fmt.Sprintf("listen for %s: %v%s", name, err, hint)
}

// port is the one a service listens on; 0: it doesn't.
func (l listeners) port(s service) int {
	for _, one := range l[s] {
		if a, ok := one.Addr().(*net.TCPAddr); ok {
			return a.Port
		}
	}
	return 0
}

func (l listeners) close() {
	for _, list := range l {
		for _, one := range list {
			one.Close()
		}
	}
}
