package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"facteur/auth"
	"facteur/auth/sender"
	"facteur/mta"
	"facteur/mta/queue"
	"facteur/mta/remote"
	"facteur/storage/message"
)

// router says where the queue's mail goes: to our own accounts, to the server that a
// route names, or elsewhere.
type router struct {
	directory *auth.Directory
	hostname  string
	local     queue.Transport
	routes    map[string]queue.Route // by domain; "*" for all others
	elsewhere queue.Transport
}

// newRouter makes a router of the configured routes; its local is set when the queue
// is open, which local delivery needs for mail that an alias sends on.
func newRouter(cfg Config, deps Deps, p *parts) (*router, error) {
	r := &router{directory: p.directory, hostname: cfg.Hostname}
	out := remote.Config{
		Log: p.log, Now: deps.Now, Resolver: p.resolver, Hello: cfg.Hostname, Dial: deps.Dial, Roots: deps.Roots,
		SelfNames: []string{cfg.Hostname}, SelfAddrs: cfg.site().Addresses, Outcomes: filepath.Join(cfg.Data, "tls-peers.json"),
	}
	for _, a := range cfg.Queue.Source {
		if ip := netip.Addr(a); ip.Is4() {
			out.SourceV4 = ip
		} else {
			out.SourceV6 = ip
		}
	}
	var err error
	out.STS, err = remote.NewSTS(remote.STSConfig{
		Log: p.log, Now: deps.Now, Resolver: p.resolver, Dir: filepath.Join(cfg.Data, "mta-sts"),
		Fetch: remote.HTTPSFetch(remote.FetchConfig{Resolver: p.resolver, Dial: deps.Dial, Roots: deps.Roots, Now: deps.Now}),
	})
	if err != nil {
		return nil, err
	}
	p.sts, p.sender = out.STS, remote.New(out)
	if r.routes, err = smarthosts(cfg.Routes, p.sender); err != nil {
		return nil, err
	}
	r.elsewhere = p.sender
	if deps.Elsewhere != nil {
		r.elsewhere = deps.Elsewhere(p.store)
	}
	return r, nil
}

// route implements queue.Config.Route.
func (r *router) route(domain string) queue.Route {
	if r.directory.Hosted(domain) {
		return queue.Route{Transport: r.local, Key: "local"}
	}
	if route, ok := r.routes[domain]; ok {
		return route
	}
	if strings.EqualFold(domain, r.hostname) {
		return queue.Route{Transport: r.local, Key: "local"} // our postmaster, and nobody else
	}
	if route, ok := r.routes["*"]; ok {
		return route
	}
	return queue.Route{Transport: r.elsewhere, Key: domain}
}

// smarthosts makes a transport for each route of the configuration.
func smarthosts(routes []Route, s *remote.Sender) (map[string]queue.Route, error) {
	list := make(map[string]queue.Route)
	for _, r := range routes {
		host, port, err := net.SplitHostPort(r.Host)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", r.Domain, err)
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", r.Domain, err)
		}
		cfg := remote.SmarthostConfig{Host: host, Port: int(number), User: r.User, TLS: remote.TLSMode(r.TLS)}
		if cfg.Password, err = r.password(); err != nil {
			return nil, err
		}
		domain := r.Domain
		if domain != "*" {
			if domain, err = message.ASCIIDomain(domain); err != nil {
				return nil, fmt.Errorf("route %s: %w", r.Domain, err)
			}
		}
		list[domain] = queue.Route{Transport: s.Smarthost(cfg), Key: r.Host, Schedule: queue.Schedule{
			First: time.Duration(r.First), Max: time.Duration(r.Max), Delay: time.Duration(r.Delay), GiveUp: time.Duration(r.GiveUp),
		}}
	}
	return list, nil
}

// signer signs mail of our domains with their DKIM keys. It is smtpd's Signer and the
// queue's for reports.
type signer struct{ keyring *sender.Keyring }

// Sign implements smtpd.Signer.
func (s signer) Sign(_ context.Context, from message.AddrSpec, m *mta.Message) ([]byte, error) {
	domain, err := from.ASCIIDomain()
	if err != nil {
		return nil, err
	}
	header, err := m.Body.Header()
	if err != nil {
		return nil, err
	}
	whole := bytes.Join([][]byte{m.Prefix, header}, nil)
	lines, err := s.keyring.Sign(domain, whole, bodyAfter(m.Body))
	if errors.Is(err, sender.ErrTooManyFields) {
		return nil, mta.NewReply(550, [3]int{5, 6, 0}, "Refused: the header has a field far too many times")
	}
	return lines, err
}
