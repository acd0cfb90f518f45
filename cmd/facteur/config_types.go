package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The types of single values in facteur.toml. A value that is wrong in itself is
// refused here, where the TOML decoder still knows its line.

// Duration is "90s", "5m", "4h" or "5d".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a time such as 90s, 5m, 4h or 5d", s)
		}
		*d = Duration(n) * Duration(24*time.Hour)
		return nil
	}
	t, err := time.ParseDuration(s)
	if err != nil || t < 0 {
		return fmt.Errorf("%q is not a time such as 90s, 5m, 4h or 5d", s)
	}
	*d = Duration(t)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// Size is a number of octets: "0", "512KiB", "50MiB", "10GB".
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	v := strings.TrimSpace(string(text))
	unit := int64(1)
	for _, u := range []struct {
		name string
		n    int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}} {
		if rest, ok := strings.CutSuffix(v, u.name); ok {
			v, unit = strings.TrimSpace(rest), u.n
			break
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || n > 1<<62/unit {
		return fmt.Errorf("%q is not a size such as 0, 512KiB, 50MiB or 10GB", text)
	}
	*s = Size(n * unit)
	return nil
}

// LogFormat is how log lines look.
type LogFormat uint8

// The log formats.
const (
	LogText LogFormat = iota
	LogJSON
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *LogFormat) UnmarshalText(text []byte) error {
	switch string(text) {
	case "text":
		*f = LogText
	case "json":
		*f = LogJSON
	default:
		return fmt.Errorf("%q is neither text nor json", text)
	}
	return nil
}

// LogLevel is a level of log/slog.
type LogLevel slog.Level

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LogLevel) UnmarshalText(text []byte) error {
	if !oneOf(string(text), "debug", "info", "warn", "error") {
		return fmt.Errorf("%q is none of debug, info, warn, error", text)
	}
	return (*slog.Level)(l).UnmarshalText(text)
}

// ListenAddr is an address to listen on: ":25" is every address of this machine,
// IPv4 and IPv6; "192.0.2.1:25", "[2001:db8::1]:25", "127.0.0.1:0". Network is
// "tcp4" or "tcp6" where the address is, so that "0.0.0.0:25" and "[::]:25" can
// stand side by side.
type ListenAddr struct{ Network, Address string }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *ListenAddr) UnmarshalText(text []byte) error {
	host, err := splitHostPort(string(text))
	if err != nil {
		return err
	}
	*a = ListenAddr{"tcp", string(text)}
	if host == "" || host == "localhost" {
		return nil
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return fmt.Errorf("%q: listen on an IP address, not on a name", text)
	case ip.Is4():
		a.Network = "tcp4"
	default:
		a.Network = "tcp6"
	}
	return nil
}

func splitHostPort(s string) (host string, err error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port (an IPv6 address stands in brackets: [2001:db8::1]:25)", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%q: %q is not a port number", s, port)
	}
	return host, nil
}

// Addr is an IP address.
type Addr netip.Addr

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Addr) UnmarshalText(text []byte) error {
	ip, err := netip.ParseAddr(string(text))
	if err != nil {
		return fmt.Errorf("%q is not an IP address", text)
	}
	*a = Addr(ip)
	return nil
}

// DNSServer is an IP address with or without a port.
type DNSServer netip.AddrPort

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *DNSServer) UnmarshalText(text []byte) error {
	if ip, err := netip.ParseAddr(string(text)); err == nil {
		*d = DNSServer(netip.AddrPortFrom(ip, 53))
		return nil
	}
	ap, err := netip.ParseAddrPort(string(text))
	if err != nil {
		return fmt.Errorf("%q is not the address of a DNS server such as 127.0.0.1 or 127.0.0.1:5353", text)
	}
	*d = DNSServer(ap)
	return nil
}
